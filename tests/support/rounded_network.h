// The f64 network, rounded at the tensors that an engine rounds: those that it stores in 16 bits, and the operands that
// it multiplies in TF32. Its errors of embeddings, loss terms and gradients are those of rounding only. A check allows
// the engine errors of about this size.
#pragma once
#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mpanet/network/engine.h"

namespace mpanet {

// Functions that round to the precision's storage type, and to the type of the operands of convolutions and products.
double (*rounding_of(Precision precision))(double);
double (*operand_rounding_of(Precision precision))(double);

// Multiplies each value by 1 + perturbation before it is rounded, and divides the result by it, until the next call. If
// this is small, rounding errors have the size that they had, but some values are rounded to the other neighbour, as
// sums in another order cause it. In f32, where sums are wrong by more than what is stored, a perturbed value is
// rounded to 19 bits.
void perturb_roundings(double perturbation);

// Of the rounded network's runs after the first.
constexpr size_t kMostPerturbations = 7;
extern const std::array<double, kMostPerturbations> kPerturbations;
// How many of them. In bf16 seven would hide the gradient of one parameter that is halved.
size_t perturbed_runs(Precision precision);

class RoundedNetwork {
 public:
  // Uses config's model and sizes of batches. All objects of a process round to the newest one's config.precision.
  explicit RoundedNetwork(const EngineConfig& config);
  ~RoundedNetwork();
  RoundedNetwork(const RoundedNetwork&) = delete;
  RoundedNetwork& operator=(const RoundedNetwork&) = delete;

  void copy_values(const EngineState& from);  // every parameter and buffer, for later runs and embeddings
  struct Step {
    Losses losses;
    std::map<std::string, std::vector<double>> tensors;  // gradients, in PyTorch's order; of buffers the new values
  };
  // Forward and backward pass of one batch with the copied values. The loss is multiplied by loss_scale before the
  // backward pass, and the gradients are divided by it. perturbation: see
  // perturb_roundings().
  Step run(const Batch& batch, int epoch, double loss_scale = 1, double perturbation = 0);
  // Embeddings (embed_batch, D) of a batch of that many pictures.
  std::vector<double> embed(const Batch& batch);

 private:
  struct Body;
  std::unique_ptr<Body> body_;
};

}  // namespace mpanet
