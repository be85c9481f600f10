// Parameters and buffers. All trainable values lie in one flat array, the weights of convolutions first; their
// gradients and the optimiser's state lie in arrays of the same order. So one launch updates everything, and rounds
// only what convolutions read. Buffers (running statistics, teachers, the frozen bias) lie in another array.
// Convolution weights are OHWI here, and OIHW in files and in the engine's interface.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "layers/tensors.h"

namespace mpanet::PRECISION {

struct Parameter {
  std::string name;
  std::vector<int64_t> shape;  // PyTorch's
  bool trainable = true;
  bool convolution = false;       // the weight of a convolution
  int64_t count = 0, offset = 0;  // in its array, from allocate() on
  real* value = nullptr;
  real* gradient = nullptr;          // null in an engine without training
  const storage* working = nullptr;  // of a convolution: `value` itself, or its copy in a narrower type
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
  Parameter& add_convolution(const std::string& name, std::vector<int64_t> shape);  // trainable, with `working`
  void allocate(Context& context, State state);

  std::deque<Parameter>& list() { return list_; }
  const std::deque<Parameter>& list() const { return list_; }
  Parameter* find(const std::string& name);
  const Parameter* find(const std::string& name) const;

  // Copies of weights (reordered, folded) store the version of their source. They are made again when it has changed.
  uint64_t version() const { return version_; }
  void changed(Context& context);  // the values changed; makes the working copies again
  void moved() { version_++; }     // the values changed, and the working copies with them

  // p's gradient, whose first writer this is, will be the sum of `splits` parts, which lie at the beginning of
  // `memory`. The parts of all gradients are added in one launch at the end of the tape's backward pass.
  void add_splits_later(Context&, const Parameter& p, int splits, const FlagTensor& memory);
  void add_splits(Context&);  // adds those that wait now: before another writer adds to such a gradient

  void begin_step();                                // forgets the gradients
  void finish_gradients(Context&);                  // sets gradients that no backward wrote to zero
  void check_gradients(Context&, int32_t* finite);  // *finite = 0 unless all gradients are finite
  void adam(Context&, const StepRates* rates, const StepState* state, const AdamSettings& settings);
  void sgd(Context&, const StepRates* rates, const StepState* state, const SgdSettings& settings);

  real* first(const Parameter& p) const { return moment(first_, p); }
  real* second(const Parameter& p) const { return moment(second_, p); }
  size_t state_bytes() const { return first_.bytes() + second_.bytes(); }

  // The flat arrays of everything that a checkpoint holds: trainable values, other values, the optimiser's first and
  // second moments. Those that the State does not have are empty. A parameter begins at its offset in each of its
  // arrays.
  std::array<const Buffer*, 4> saved_arrays() const { return {&values_, &buffers_, &first_, &second_}; }

 private:
  void place();  // sets every offset, and the three numbers of elements
  int64_t trainable() const { return convolutions_ + others_; }
  int64_t working_count() const { return std::is_same_v<real, storage> ? 0 : convolutions_; }
  static real* moment(const Buffer& buffer, const Parameter& p) {
    return p.trainable && buffer.bytes() > 0 ? buffer.as<real>() + p.offset : nullptr;
  }
  // Parts that are still to be added, and their memory. The tape's closure owns them.
  struct Splits {
    std::vector<SplitSums> sums;
    std::vector<FlagTensor> memory;
  };
  std::weak_ptr<Splits> splits_;
  std::deque<Parameter> list_;
  int64_t convolutions_ = 0, others_ = 0, fixed_ = 0;  // elements: trainable, trainable, not trainable
  Buffer values_, buffers_, working_, gradients_, first_, second_;
  uint64_t version_ = 1;
};

}  // namespace mpanet::PRECISION
