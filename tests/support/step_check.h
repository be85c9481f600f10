// Compares a training step of an engine with the same step of the f64 network and of the rounded f64 network
// (tests/support/rounded_error.h): gradients, buffers, loss terms. Several steps can be summed.
#pragma once
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
  // config: the engine's.
  explicit StepCheck(const EngineConfig& config);

  // Copies the engine's values; call it before the engine's step.
  void begin(const EngineState& engine);
  // Adds a step to the comparison; call it after the step, before the gradients are overwritten. loss_scale: the
  // step's.
  void compare(const Engine& engine, const Batch& batch, int epoch, double loss_scale);

  struct Result {
    int gradients = 0, buffers = 0;  // tensors compared
    Worst losses;                    // bounds: loss_tolerance() in step_check.cpp
    Worst tensors;                   // each gradient and buffer, and all gradients together
    std::vector<std::string> wrong;  // tensors whose error is beyond a bound
    RoundedError all;                // gradients
    bool within() const { return gradients > 0 && losses.within() && tensors.within(); }
  };
  Result result() const;

 private:
  EngineConfig config_;
  std::unique_ptr<Engine> exact_;
  RoundedNetwork rounded_;
  std::map<std::string, RoundedError> gradients_, buffers_;
  Worst losses_;
};

}  // namespace mpanet
