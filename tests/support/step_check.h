// Compares a training step of an engine with the same step of the f64 network and of the rounded f64 network
// (tests/support/rounded_error.h): gradients, buffers, loss terms; embeddings too. Several steps can be summed.
#pragma once
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mpanet/network/engine.h"
#include "tests/support/rounded_error.h"
#include "tests/support/rounded_network.h"

namespace mpanet {

class StepCheck {
 public:
  // config: the engine's. along_below: see RoundedError; of all gradients together, and of a tensor, which has fewer
  // values.
  static constexpr double kAlways = std::numeric_limits<double>::infinity();
  explicit StepCheck(const EngineConfig& config, double along_below = kAlways, double tensor_along_below = kAlways);

  // Copies the engine's values; call it before the engine's step.
  void begin(const EngineState& engine);
  // Adds a step to the comparison; call it after the step, before the gradients are overwritten. loss_scale: the
  // step's. false, and nothing is added, if a gradient is not finite: the loss scale is too large for f16, in the
  // engine or in the rounded network.
  [[nodiscard]] bool compare(const Engine& engine, const Batch& batch, int epoch, double loss_scale);
  // The same for the embeddings of a batch of embed_batch pictures, with the engine's values of now.
  void compare_embedding(Engine& engine, const Batch& batch);

  // The f64 network, after the last comparison.
  const Engine& exact() const { return *exact_; }

  struct Result {
    int gradients = 0, buffers = 0;  // tensors compared
    Worst losses;                    // bounds: loss_tolerance() in step_check.cpp
    Worst tensors;                   // each gradient and buffer, and all gradients together
    std::vector<std::string> wrong;  // tensors whose error is beyond a bound
    RoundedError all;                // gradients
    RoundedError terms, embedding;   // loss terms of all steps as one vector; all embeddings
    bool within() const { return gradients > 0 && losses.within() && tensors.within(); }
  };
  Result result() const;

 private:
  // Of one step or of several.
  struct Sums {
    std::map<std::string, RoundedError> gradients, buffers;
    Worst losses;
    RoundedError terms;
    void add(const Sums& other);
  };
  using Runs = std::vector<RoundedNetwork::Step>;
  Sums compared(const Engine& engine, const Runs& runs) const;
  Result result_of(const Sums& sums) const;

  EngineConfig config_;
  double along_below_, tensor_along_below_;
  std::unique_ptr<Engine> exact_;
  RoundedNetwork rounded_;
  Sums sums_;
  RoundedError embedding_;
};

}  // namespace mpanet
