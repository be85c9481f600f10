// One description for every op and loss: inputs, the call, its cost and tolerance. No backend and no precision is named
// in a case, so that the same list feeds the gradient check, the comparison of backends and precisions, and the
// benchmark of kernels. Each op has a file here under its own name, which registers its cases itself.
#pragma once
#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/random.h"
#include "layers/parameter.h"
#include "tests/ops/network_sizes.h"
#include "tests/ops/op_run.h"

namespace mpanet::PRECISION {

struct Outputs {
  std::vector<Tensor> activations;
  std::vector<RealTensor> values;
  std::vector<LabelTensor> indices = {};  // integers: no gradient
};
// Runs the op on the inputs it was made with, any number of times.
using Call = std::function<Outputs()>;

// An input that a backward pass must reach: a tensor or a trainable parameter, seen in double.
struct Leaf {
  std::string name;
  std::vector<double> values;  // what the case drew
  std::function<void(const std::vector<double>&)> write;
  // Forgets the gradient; with `preset`, leaves those numbers there for the backward pass to add to.
  std::function<void(const std::vector<double>* preset)> begin;
  std::function<std::vector<double>()> gradient;  // CheckError where nothing wrote one
  bool stored = false;                            // the gradient is of the storage type
};

// How an input's values are drawn.
struct Draw {
  enum class Kind { Normal, AwayFromZero, Distinct, Unit } kind = Kind::Normal;
  double scale = 1, mean = 0;

  static Draw normal(double scale = 1, double mean = 0) { return {Kind::Normal, scale, mean}; }
  static Draw away_from_zero() { return {Kind::AwayFromZero}; }  // |v| >= 0.1: a ReLU's kink is out of reach
  static Draw distinct() { return {Kind::Distinct}; }            // 0.01 apart: no maximum ever ties
  static Draw unit() { return {Kind::Unit}; }                    // 0.05..0.95: pattern maps
};

// Each: every value is drawn and kept. Repeated: a large tensor repeats one block of drawn values, and the leaves keep
// none; for benchmarks.
enum class Filling { Each, Repeated };

// The inputs of one case in one context. Values depend on `seed` and the order of the calls alone; `rounding`, if
// given, takes each one to what a narrower type can hold.
class Inputs {
 public:
  Inputs(Context& context, uint64_t seed, double (*rounding)(double) = nullptr, Filling filling = Filling::Each)
      : context_(context), seed_(seed), rounding_(rounding), filling_(filling) {}
  Inputs(const Inputs&) = delete;
  Inputs& operator=(const Inputs&) = delete;

  Context& context() { return context_; }
  std::vector<Leaf>& leaves() { return leaves_; }

  // needs_grad: becomes a leaf.
  Tensor activation(const std::string& name, const Shape& shape, Draw how = {}, bool needs_grad = true);
  RealTensor values(const std::string& name, const Shape& shape, Draw how = {}, bool needs_grad = true);
  LabelTensor labels(const std::vector<int32_t>& labels);
  FlagTensor flags(const std::vector<uint8_t>& flags);

  // A layer, or anything else that the call needs; lives as long as the inputs.
  template <class T, class... Args>
  T& keep(Args&&... args) {
    const auto made = std::make_shared<T>(std::forward<Args>(args)...);
    kept_.push_back(made);
    return *made;
  }
  ParameterStore& store() { return store_; }
  // After the last parameter was added: memory and values for all of them, each in buffers of its own, so that a
  // guarded context has zones round every one. Weights of norms are near 1, running variances between 0.05 and 0.95,
  // other weights normal with a deviation of 1 / sqrt(inputs).
  void fill_parameters();

 private:
  template <class T>
  TensorOf<T> add_tensor(const std::string& name, const Shape& shape, Draw how, bool needs_grad);
  std::vector<double> draw(int64_t count, Draw how);
  template <class T>
  std::vector<double> fill(T* to, int64_t count, Draw how);  // the drawn values, unless they are repeated
  void give_own_memory(Parameter& p);
  Context& context_;
  uint64_t seed_;
  double (*rounding_)(double);
  Filling filling_;
  uint32_t drawn_ = 0;
  ParameterStore store_;
  std::vector<std::shared_ptr<void>> kept_;
  std::vector<Leaf> leaves_;
};

constexpr double kStorageBytes = sizeof(storage), kRealBytes = sizeof(real);

struct OpCase {
  std::string op, shapes;
  std::function<Call(Inputs&)> make;
  OpCost forward = {}, backward = {};
  bool recording = true;    // false: only without a backward pass (inference, optimisers, evaluation)
  bool differences = true;  // false: so large a sum that it rounds by more than its slopes; backends are compared
  double tolerance = 1e-7;  // of a gradient against central differences in double (tests/ops/gradcheck.cpp)
  int samples = 48;         // elements of each leaf that are checked one by one, beside directions through all
  int intermediate_roundings = 0;  // tensors between inputs and results that it rounds to storage
  double tolerance_factor = 1;     // times more rounding than usual: sums that cancel, ops in a row that magnify
};

std::string text(const Shape& shape);  // "2x3x5x7"

// A case of something that has no backward pass, or whose op is not the one that records it.
inline OpCase without_backward(OpCase c) {
  c.recording = false;
  return c;
}

// A case whose op rounds so many tensors to storage on its way.
inline OpCase rounding(OpCase c, int intermediate_roundings) {
  c.intermediate_roundings = intermediate_roundings;
  return c;
}

// A case of the network's own widths: the ways that whole packs and several blocks take. Few elements one by one.
// A loss near 50 and sums of thousands of terms round at 1e-13, not at the 1e-15 that the tolerance counts with.
inline OpCase wide(OpCase c) {
  c.samples = 2;
  c.tolerance = std::max(c.tolerance, 1e-6);
  return c;
}

using Cases = std::vector<OpCase>;

// A file's cases, registered under its name before main():
//   checks      small, odd and awkward sizes, for the gradient check and the comparison of backends
//   benchmarks  the sizes at which the network calls the op
class OpRegistration {
 public:
  OpRegistration(const char* file, Cases (*checks)(), Cases (*benchmarks)(const NetworkSizes&));
};

Cases op_cases();                                  // every file's checks, by the files' names
Cases benchmark_cases(const NetworkSizes& sizes);  // every file's benchmarks, by the files' names

}  // namespace mpanet::PRECISION
