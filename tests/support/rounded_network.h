// The f64 network rounded at the tensors that an engine stores in fewer bits: what rounding alone does to loss terms
// and gradients. A check allows an engine of 16 bits about as much.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mpanet/network/engine.h"

namespace mpanet {

// To what the precision's storage can hold.
double (*rounding_of(Precision precision))(double);

class RoundedNetwork {
 public:
  // Of config: the model and its batches' sizes. All objects of a process round alike, to config.precision.
  explicit RoundedNetwork(const EngineConfig& config);
  ~RoundedNetwork();
  RoundedNetwork(const RoundedNetwork&) = delete;
  RoundedNetwork& operator=(const RoundedNetwork&) = delete;

  void copy_values(const EngineState& from);  // every parameter and buffer
  struct Step {
    Losses losses;
    std::map<std::string, std::vector<double>> tensors;  // gradients, in PyTorch's order; of buffers the new values
  };
  // Forward and backward of one batch. loss_scale: the loss is multiplied by it before the backward pass, and the
  // gradients are divided by it.
  Step run(const Batch& batch, int epoch, double loss_scale = 1);

 private:
  struct Body;
  std::unique_ptr<Body> body_;
};

}  // namespace mpanet
