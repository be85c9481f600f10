// Parameters and buffers. All trainable values lie in one flat array; their gradients and the optimiser's state lie in
// arrays of the same order, so that one launch updates everything. Buffers (running statistics, teachers, the frozen
// bias) lie in another array. Convolution weights are OHWI here, and OIHW in files and in the engine's interface.
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "layers/tensors.h"

namespace mpanet::PRECISION {

struct Parameter {
  std::string name;
  std::vector<int64_t> shape;  // PyTorch's
  bool trainable = true;
  int64_t count = 0, offset = 0;  // in its array
  real* value = nullptr;
  real* gradient = nullptr;          // null in an engine without training
  const storage* working = nullptr;  // for convolutions: `value` itself, or its copy in a narrower type
  bool has_gradient = false;         // in this step

  // The address for a backward kernel to write the gradient to. The first writer of a step sets it, later ones add.
  std::pair<real*, Write> grad_sink() {
    return {gradient, std::exchange(has_gradient, true) ? Write::Add : Write::Set};
  }
};

class ParameterStore {
 public:
  enum class State { None, Gradients, Momentum, Adam };  // arrays besides the values

  // Only before allocate(). The returned reference stays valid.
  Parameter& add(const std::string& name, std::vector<int64_t> shape, bool trainable);
  void allocate(Context& context, State state);

  std::deque<Parameter>& list() { return list_; }
  const std::deque<Parameter>& list() const { return list_; }
  Parameter* find(const std::string& name);

  // Copies of weights (reordered, cast, folded) store the version of their source. They are made again when it has
  // changed.
  uint64_t version() const { return version_; }
  void changed(Context& context);
  void moved() { version_++; }  // the values changed, and the working copies with them

  void begin_step();                // forgets the gradients
  void finish_gradients(Context&);  // sets gradients that no backward wrote to zero
  // Divides all gradients by the loss scale. *finite becomes 1 when all of them are finite, else 0.
  void unscale_gradients(Context&, double loss_scale, int32_t* finite);
  void adam(Context&, const StepState* state, const AdamSettings& settings);
  void sgd(Context&, const StepState* state, const SgdSettings& settings);

  real* first(const Parameter& p) const { return moment(first_, p); }
  real* second(const Parameter& p) const { return moment(second_, p); }
  size_t value_bytes() const { return values_.bytes() + buffers_.bytes() + working_.bytes() + gradients_.bytes(); }
  size_t state_bytes() const { return first_.bytes() + second_.bytes(); }

 private:
  static real* moment(const Buffer& buffer, const Parameter& p) {
    return p.trainable && buffer.bytes() > 0 ? buffer.as<real>() + p.offset : nullptr;
  }
  std::deque<Parameter> list_;
  int64_t trainable_ = 0, fixed_ = 0;
  Buffer values_, buffers_, working_, gradients_, first_, second_;
  uint64_t version_ = 1;
};

}  // namespace mpanet::PRECISION
