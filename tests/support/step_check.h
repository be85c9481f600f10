// One training step of an engine beside the same step of the f64 network, plain and rounded where the engine stores
// (tests/support/rounded_error.h): gradients, buffers, loss terms. Steps may be added up.
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

  // Before the engine's step, of the values that it begins with.
  void begin(const EngineState& engine);
  // After it, while its gradients stand; loss_scale: the step's. Adds it to what was compared so far.
  void compare(const Engine& engine, const Batch& batch, int epoch, double loss_scale);

  struct Result {
    int gradients = 0, buffers = 0;  // tensors compared
    Worst losses;                    // by kLossTolerance
    Worst tensors;                   // each gradient and buffer, and all gradients together
    std::vector<std::string> wrong;  // tensors that are not within
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
