// One list of cases for every op and loss: inputs, the call, its cost and tolerance. No backend and no precision is
// named in a case, so that the same list feeds the gradient check and comparisons between backends and precisions.
#pragma once
#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/random.h"
#include "layers/parameter.h"

namespace mpanet::PRECISION {

struct Outputs {
  std::vector<Tensor> activations;
  std::vector<RealTensor> values;
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

// The inputs of one case in one context. Values depend on `seed` and the order of the calls alone; `rounding`, if
// given, takes each one to what a narrower type can hold.
class Inputs {
 public:
  Inputs(Context& context, uint64_t seed, double (*rounding)(double) = nullptr)
      : context_(context), seed_(seed), rounding_(rounding) {}
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
  void give_own_memory(Parameter& p);
  Context& context_;
  uint64_t seed_;
  double (*rounding_)(double);
  uint32_t drawn_ = 0;
  ParameterStore store_;
  std::vector<std::shared_ptr<void>> kept_;
  std::vector<Leaf> leaves_;
};

struct OpCase {
  std::string op, shapes;
  std::function<Call(Inputs&)> make;
  double flops = 0;         // of the forward pass; 0: bound by the memory it touches
  double tolerance = 1e-7;  // of a gradient against central differences in double (tests/ops/gradcheck.cpp)
  int samples = 48;         // elements of each leaf that are checked one by one, beside directions through all
  int between = 0;          // tensors that it rounds to storage on the way: a ReLU after one may take its other side
  double harder = 1;        // times more rounding than usual: sums that cancel, ops in a row that magnify
};

std::string text(const Shape& shape);  // "2x3x5x7"

// A case whose op rounds so many tensors to storage on its way.
inline OpCase rounding(OpCase c, int between) {
  c.between = between;
  return c;
}

// A case of the network's own widths: the ways that whole packs and several blocks take. Few elements one by one.
// A loss near 50 and sums of thousands of terms round at 1e-13, not at the 1e-15 that the tolerance counts with.
inline OpCase wide(OpCase c) {
  c.samples = 2;
  c.tolerance = std::max(c.tolerance, 1e-6);
  return c;
}

void add_conv_cases(std::vector<OpCase>& cases);
void add_layer_cases(std::vector<OpCase>& cases);
void add_module_cases(std::vector<OpCase>& cases);
void add_loss_cases(std::vector<OpCase>& cases);
void add_network_cases(std::vector<OpCase>& cases);
std::vector<OpCase> op_cases();  // all of them

}  // namespace mpanet::PRECISION
