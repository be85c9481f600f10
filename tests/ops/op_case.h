// One description for every op and loss: inputs, the call, its cost and tolerance. A case names no backend and no
// precision. The same list is used by the gradient check, the comparison of backends and precisions, and the benchmark
// of kernels. Each op has a file of its own name here, which registers its cases itself.
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
  // Without gradient: integers, and numbers whose type is the same in every precision.
  std::vector<LabelTensor> indices = {};
  std::vector<TensorOf<float>> floats = {};
  std::vector<TensorOf<double>> doubles = {};
  std::vector<Logits> logits = {};  // with gradient
};
// Runs the op on the inputs that it was made with. It may be called any number of times.
using Call = std::function<Outputs()>;

// An input whose gradient is checked: a tensor or a trainable parameter. Values are converted to double.
struct Leaf {
  std::string name;
  std::vector<double> values;  // the initial values
  std::function<void(const std::vector<double>&)> write;
  // Clears the gradient; with `preset`, sets it to these numbers, to which the backward pass adds.
  std::function<void(const std::vector<double>* preset)> begin;
  std::function<std::vector<double>()> gradient;  // CheckError if no gradient was written
  bool stored = false;                            // the gradient is of the storage type
};

// The distribution of an input's values.
struct Draw {
  enum class Kind { Normal, AwayFromZero, Distinct, Unit } kind = Kind::Normal;
  double scale = 1, mean = 0;

  static Draw normal(double scale = 1, double mean = 0) { return {Kind::Normal, scale, mean}; }
  static Draw away_from_zero() { return {Kind::AwayFromZero}; }  // |v| >= 0.1: no step crosses a ReLU's kink
  static Draw distinct() { return {Kind::Distinct}; }            // distances of at least 0.01: maxima never tie
  static Draw unit() { return {Kind::Unit}; }                    // 0.05..0.95: pattern maps
};

// Each: every value is drawn, and leaves keep their values. Repeated: a large tensor repeats one block of drawn values,
// and leaves keep none; for benchmarks.
enum class Filling { Each, Repeated };

// The inputs of one case in one context. Values depend only on `seed` and the order of the calls. `rounding`, if
// given, is applied to each value (rounding to a narrower type).
class Inputs {
 public:
  Inputs(Context& context, uint64_t seed, double (*rounding)(double) = nullptr, Filling filling = Filling::Each)
      : context_(context), seed_(seed), rounding_(rounding), filling_(filling) {}
  Inputs(const Inputs&) = delete;
  Inputs& operator=(const Inputs&) = delete;

  Context& context() { return context_; }
  std::vector<Leaf>& leaves() { return leaves_; }

  // needs_grad: the tensor becomes a leaf.
  Tensor activation(const std::string& name, const Shape& shape, Draw how = {}, bool needs_grad = true);
  RealTensor values(const std::string& name, const Shape& shape, Draw how = {}, bool needs_grad = true);
  Logits logits(const std::string& name, int n, int k, Draw how = {}, bool needs_grad = true);
  // Numbers whose type is the same in every precision; no leaves.
  TensorOf<float> floats(const Shape& shape, Draw how = {});
  TensorOf<double> doubles(const Shape& shape, Draw how = {});
  LabelTensor labels(const std::vector<int32_t>& labels);
  FlagTensor flags(const std::vector<uint8_t>& flags);

  // Makes a layer or another object with the lifetime of the inputs.
  template <class T, class... Args>
  T& keep(Args&&... args) {
    const auto made = std::make_shared<T>(std::forward<Args>(args)...);
    kept_.push_back(made);
    return *made;
  }
  ParameterStore& store() { return store_; }
  // To be called after the last parameter was added. Allocates and fills all parameters, each in buffers of its own, so
  // that a guarded context has zones around each. Weights of norms are near 1, running variances between 0.05 and 0.95,
  // other weights normal with a deviation of 1 / sqrt(inputs).
  void fill_parameters();

 private:
  template <class T>
  TensorOf<T> add_tensor(const std::string& name, const Shape& shape, Draw how, bool needs_grad);
  std::vector<double> draw(int64_t count, Draw how);
  template <class T>
  std::vector<double> fill(T* to, int64_t count, Draw how);  // returns the values; none for Filling::Repeated
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
  bool recording = true;    // false: no backward pass (inference, optimisers, evaluation)
  bool differences = true;  // false: gradcheck omits it, because the loss rounds by more than its differences
  double tolerance = 1e-7;  // of a gradient against central differences in double (tests/ops/gradcheck.cpp)
  int samples = 48;         // elements of each leaf that are checked one by one, besides random directions
  // Number of intermediate tensors that the op rounds to storage. A ReLU after such a rounding may cross its kink.
  int intermediate_roundings = 0;
  double tolerance_factor = 1;  // of opcheck's bound, for sums that cancel and sequences of ops
  // Where products are in TF32: the largest number of roundings of operands that a result depends on one after another
  // (0: the op has no product), and how many of these round a value that the op has computed.
  int operand_roundings = 0, computed_operands = 0;
};

std::string text(const Shape& shape);  // "2x3x5x7"

// A case without a backward pass, or whose backward pass belongs to another op.
inline OpCase without_backward(OpCase c) {
  c.recording = false;
  return c;
}

// Sets OpCase::intermediate_roundings.
inline OpCase rounding(OpCase c, int intermediate_roundings) {
  c.intermediate_roundings = intermediate_roundings;
  return c;
}

// Sets OpCase::operand_roundings and computed_operands, for products of parameters.
inline OpCase with_products(OpCase c, int operand_roundings, int computed_operands) {
  c.operand_roundings = operand_roundings;
  c.computed_operands = computed_operands;
  return c;
}

// The same for convolutions. Operands of 16 bits are not rounded.
inline OpCase with_convolutions(OpCase c, int operand_roundings, int computed_operands) {
  return kTf32Convolutions ? with_products(c, operand_roundings, computed_operands) : c;
}

// A case with the network's widths, for whole packs and several blocks. It checks few elements one by one. The
// tolerance is larger, because a loss near 50 and sums of thousands of terms round by 1e-13 and not by 1e-15.
inline OpCase wide(OpCase c) {
  c.samples = 2;
  c.tolerance = std::max(c.tolerance, 1e-6);
  return c;
}

using Cases = std::vector<OpCase>;

// Registers a file's cases under its name, before main():
//   checks      small and odd sizes, for the gradient check and the comparison of backends
//   benchmarks  the sizes at which the network calls the op
class OpRegistration {
 public:
  OpRegistration(const char* file, Cases (*checks)(), Cases (*benchmarks)(const NetworkSizes&));
};

Cases op_cases();                                  // the checks of all files, sorted by file name
Cases benchmark_cases(const NetworkSizes& sizes);  // the benchmarks of all files, sorted by file name

}  // namespace mpanet::PRECISION
