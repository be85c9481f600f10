#include "tests/ops/op_case.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <type_traits>

#include "tests/support/rows.h"

namespace mpanet::PRECISION {
namespace {

template <class T>
std::vector<T> narrow(const std::vector<double>& values) {
  std::vector<T> narrowed(values.size());
  std::transform(values.begin(), values.end(), narrowed.begin(),
                 [](double v) { return static_cast<T>(static_cast<real>(v)); });
  return narrowed;
}

template <class T>
void to_device(Context& context, T* to, const std::vector<double>& values) {
  context.to_device(to, narrow<T>(values).data(), values.size() * sizeof(T));
}

template <class T>
std::vector<double> widen(const std::vector<T>& values) {
  std::vector<double> wide(values.size());
  std::transform(values.begin(), values.end(), wide.begin(),
                 [](T v) { return static_cast<double>(static_cast<real>(v)); });
  return wide;
}

// T: of a tensor's elements. t: a tensor or logits.
template <class T, class Tensor>
Leaf leaf_of(Context& context, const std::string& name, const Tensor& t, const std::vector<double>& values) {
  return {name,
          values,
          [=, &context](const std::vector<double>& v) { set_values(context, t, narrow<T>(v)); },
          [=, &context](const std::vector<double>* preset) {
            memory_of(t).release_grad();
            if (preset != nullptr) set_gradient(context, t, narrow<T>(*preset));
          },
          [=, &context] {
            MPANET_CHECK(memory_of(t).has_grad(), "{} got no gradient", name);
            return widen(gradient_of(context, t));
          },
          std::is_same_v<T, storage>};
}

// Sets a parameter's value and its working copy for convolutions.
void set_parameter(Context& context, ParameterStore& store, Parameter& p, const std::vector<double>& values) {
  to_device(context, p.value, values);
  if (p.convolution && static_cast<const void*>(p.working) != p.value)
    to_device(context, const_cast<storage*>(p.working), values);
  store.moved();
}

Leaf leaf_of(Context& context, ParameterStore& store, Parameter& p, const std::vector<double>& values) {
  return {p.name, values, [&](const std::vector<double>& v) { set_parameter(context, store, p, v); },
          [&](const std::vector<double>* preset) {
            p.has_gradient = false;
            if (preset != nullptr) to_device(context, p.grad_sink().first, *preset);
          },
          [&] {
            MPANET_CHECK(p.has_gradient, "{} got no gradient", p.name);
            return widen(rows_of<real>(context, p.gradient, 1, p.count, p.count));
          }};
}

struct Lists {
  Cases (*checks)() = nullptr;
  Cases (*benchmarks)(const NetworkSizes&) = nullptr;
};

// The lists by file name, so that their order does not depend on the linker. Made at the first registration, before
// main().
std::map<std::string, Lists>& registered() {
  static std::map<std::string, Lists> lists;
  return lists;
}

Draw draw_of(const Parameter& p) {
  if (p.name.ends_with("running_var")) return Draw::unit();
  if (p.shape.size() == 1) return Draw::normal(0.2, p.name.ends_with("weight") ? 1 : 0);
  return Draw::normal(std::sqrt(static_cast<double>(p.shape[0]) / static_cast<double>(p.count)));
}

}  // namespace

std::string text(const Shape& shape) {
  std::string joined;
  for (int i = 0; i < shape.rank(); i++) joined += fmt::format("{}{}", i > 0 ? "x" : "", shape[i]);
  return joined;
}

std::vector<double> Inputs::draw(int64_t count, Draw how) {
  Random random(seed_, Purpose::Test, 7, drawn_++);
  std::vector<double> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); i++) {
    if (how.kind == Draw::Kind::Unit) {
      values[i] = random.uniform(0.05, 0.95);
    } else if (how.kind == Draw::Kind::Distinct) {
      values[i] = 0.01 * (static_cast<double>(i) - static_cast<double>(count) / 2);
    } else {
      const double v = random.normal();
      values[i] =
          how.kind == Draw::Kind::AwayFromZero ? std::copysign(0.1 + std::fabs(v), v) : how.mean + how.scale * v;
    }
  }
  if (how.kind == Draw::Kind::Distinct) random.shuffle(values);
  if (rounding_ != nullptr) std::transform(values.begin(), values.end(), values.begin(), rounding_);
  return values;
}

template <class T>
std::vector<double> Inputs::fill(T* to, int64_t count, Draw how) {
  if (filling_ == Filling::Each) {
    const std::vector<double> drawn = draw(count, how);
    to_device(context_, to, drawn);
    return drawn;
  }
  if (context_.planning()) return {};
  constexpr int64_t kBlock = 1 << 20;
  const std::vector<T> block = narrow<T>(draw(std::min(count, kBlock), how));
  for (int64_t done = 0; done < count; done += kBlock)
    context_.to_device(to + done, block.data(), static_cast<size_t>(std::min(kBlock, count - done)) * sizeof(T));
  return {};
}

template <class T>
TensorOf<T> Inputs::add_tensor(const std::string& name, const Shape& shape, Draw how, bool needs_grad) {
  const TensorOf<T> t(context_, shape, needs_grad);
  const std::vector<double> drawn = fill(t.data(), t.count(), how);
  if (needs_grad) leaves_.push_back(leaf_of<T>(context_, name, t, drawn));
  return t;
}

Tensor Inputs::activation(const std::string& name, const Shape& shape, Draw how, bool needs_grad) {
  return add_tensor<storage>(name, shape, how, needs_grad);
}

RealTensor Inputs::values(const std::string& name, const Shape& shape, Draw how, bool needs_grad) {
  return add_tensor<real>(name, shape, how, needs_grad);
}

Logits Inputs::logits(const std::string& name, int n, int k, Draw how, bool needs_grad) {
  const Logits made(context_, n, k, needs_grad);
  const std::vector<double> drawn = draw(int64_t{n} * k, how);
  if (!context_.planning()) set_values(context_, made, narrow<real>(drawn));
  if (needs_grad) leaves_.push_back(leaf_of<real>(context_, name, made, drawn));
  return made;
}

TensorOf<float> Inputs::floats(const Shape& shape, Draw how) { return add_tensor<float>("", shape, how, false); }

TensorOf<double> Inputs::doubles(const Shape& shape, Draw how) { return add_tensor<double>("", shape, how, false); }

LabelTensor Inputs::labels(const std::vector<int32_t>& labels) {
  const LabelTensor t(context_, {static_cast<int64_t>(labels.size())});
  t.from_host(labels);
  return t;
}

FlagTensor Inputs::flags(const std::vector<uint8_t>& flags) {
  const FlagTensor t(context_, {static_cast<int64_t>(flags.size())});
  t.from_host(flags);
  return t;
}

void Inputs::give_own_memory(Parameter& p) {
  const auto bytes = static_cast<size_t>(p.count) * sizeof(real);
  p.value = keep<Buffer>(context_, bytes).as<real>();
  if (!p.trainable) return;
  p.gradient = keep<Buffer>(context_, bytes).as<real>();
  if (!p.convolution) return;
  if (std::is_same_v<real, storage>)
    p.working = reinterpret_cast<const storage*>(p.value);  // the same type
  else
    p.working = keep<Buffer>(context_, static_cast<size_t>(p.count) * sizeof(storage)).as<storage>();
}

void Inputs::fill_parameters() {
  store_.allocate(context_, ParameterStore::State::Gradients);
  for (Parameter& p : store_.list()) {
    if (filling_ == Filling::Each) give_own_memory(p);
    const std::vector<double> drawn = fill(p.value, p.count, draw_of(p));
    if (p.trainable && filling_ == Filling::Each) set_parameter(context_, store_, p, drawn);
    if (p.trainable) leaves_.push_back(leaf_of(context_, store_, p, drawn));
  }
  if (filling_ == Filling::Repeated) store_.changed(context_);
}

OpRegistration::OpRegistration(const char* file, Cases (*checks)(), Cases (*benchmarks)(const NetworkSizes&)) {
  registered()[file] = {checks, benchmarks};
}

Cases op_cases() {
  Cases cases;
  for (const auto& [file, lists] : registered())
    for (OpCase& made : lists.checks()) cases.push_back(std::move(made));
  return cases;
}

Cases benchmark_cases(const NetworkSizes& sizes) {
  Cases cases;
  for (const auto& [file, lists] : registered())
    for (OpCase& made : lists.benchmarks(sizes)) cases.push_back(std::move(made));
  return cases;
}

}  // namespace mpanet::PRECISION
