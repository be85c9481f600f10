// One step of each optimiser, the teachers' moving average, and the kernels around the backward pass and the optimiser.
// They update their arguments in place.
#include <fmt/format.h>

#include <cstddef>

#include "kernels/kernels.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

template <class T>
T* on_device(Inputs& in, const T& value) {
  T* memory = in.keep<Buffer>(in.context(), sizeof value).template as<T>();
  in.context().to_device(memory, &value, sizeof value);
  return memory;
}

const StepRates* rates_of(Inputs& in) { return on_device(in, StepRates{.learning_rate = 1e-4, .teacher_rate = 0.2}); }

// A step in the middle of a run.
constexpr StepState kMiddle{.step = 100};

// The working copies, none for a count of 0.
struct Copies {
  Copies(Inputs& in, int64_t count) {
    if (count > 0) list.push_back(in.activation("", {count}, {}, false));
  }
  storage* data() const { return list.empty() ? nullptr : list.front().data(); }
  std::vector<Tensor> list;
};

double bytes_of(int64_t count, int reals, int64_t working_count) {
  return reals * kRealBytes * static_cast<double>(count) + kStorageBytes * static_cast<double>(working_count);
}

std::string text_of(int64_t count, int64_t working_count, const std::string& what) {
  return std::to_string(count) + ", " + std::to_string(working_count) + " copied" + (what.empty() ? "" : ", " + what);
}

// `what` names a state that is not kMiddle.
OpCase adam_case(int64_t count, int64_t working_count, const StepState& at = kMiddle, const std::string& what = "") {
  const auto make = [=](Inputs& in) -> Call {
    const StepRates* rates = rates_of(in);
    const StepState* state = on_device(in, at);
    const RealTensor gradient = in.values("", {count}, {}, false), first = in.values("", {count}, {}, false),
                     second = in.values("", {count}, Draw::unit(), false), value = in.values("", {count}, {}, false);
    const Copies copies(in, working_count);
    return [=, &context = in.context()] {
      RUN_ON(context, adam_step(context.stream(), rates, state, AdamSettings{.weight_decay = 5e-4}, gradient.data(),
                                first.data(), second.data(), value.data(), count, copies.data(), working_count));
      return Outputs{copies.list, {first, second, value}};
    };
  };
  return without_backward({"adam", text_of(count, working_count, what), make, {bytes_of(count, 7, working_count)}});
}

OpCase sgd_case(int64_t count, int64_t working_count, const StepState& at = kMiddle, const std::string& what = "") {
  const auto make = [=](Inputs& in) -> Call {
    const StepRates* rates = rates_of(in);
    const StepState* state = on_device(in, at);
    const RealTensor gradient = in.values("", {count}, {}, false), momentum = in.values("", {count}, {}, false),
                     value = in.values("", {count}, {}, false);
    const Copies copies(in, working_count);
    return [=, &context = in.context()] {
      RUN_ON(context, sgd_step(context.stream(), rates, state, SgdSettings{}, gradient.data(), momentum.data(),
                               value.data(), count, copies.data(), working_count));
      return Outputs{copies.list, {momentum, value}};
    };
  };
  return without_backward({"sgd", text_of(count, working_count, what), make, {bytes_of(count, 5, working_count)}});
}

OpCase teacher_case(int64_t count) {
  const auto make = [=](Inputs& in) -> Call {
    const StepRates* rates = rates_of(in);
    const RealTensor live = in.values("", {count}, {}, false), teacher = in.values("", {count}, {}, false);
    return [=, &context = in.context()] {
      RUN_ON(context, teacher_update(context.stream(), rates, live.data(), teacher.data(), count));
      return Outputs{{}, {teacher}};
    };
  };
  return without_backward({"teacher_update", std::to_string(count), make, {bytes_of(count, 3, 0)}});
}

// The state's fields as integers, in tensors of numbers of similar size.
std::vector<LabelTensor> fields_of(Context& context, StepState* state) {
  const auto words = [&](size_t offset, int64_t count) {
    return LabelTensor::at(context, {count}, reinterpret_cast<int32_t*>(state) + offset / sizeof(int32_t));
  };
  return {words(offsetof(StepState, step), 2), words(offsetof(StepState, loss_scale), 2),
          words(offsetof(StepState, gradient_scale), 2), words(offsetof(StepState, steady), 3)};
}

OpCase begin_backward_case(double loss_scale) {
  const auto make = [=](Inputs& in) -> Call {
    StepState* state = on_device(in, StepState{.step = 7, .loss_scale = loss_scale, .gradient_scale = 3});
    return [=, &context = in.context()] {
      const RealTensor gradient(context, {1});
      RUN_ON(context, begin_backward(context.stream(), state, gradient.data()));
      return Outputs{{}, {gradient}, fields_of(context, state)};
    };
  };
  return without_backward({"begin_backward", fmt::format("{}", loss_scale), make, {2 * 8 + kRealBytes}});
}

OpCase begin_update_case(const StepState& at, const LossScaling& scaling, const std::string& what) {
  const auto make = [=](Inputs& in) -> Call {
    StepState* state = on_device(in, at);
    return [=, &context = in.context()] {
      RUN_ON(context, begin_update(context.stream(), state, scaling));
      return Outputs{{}, {}, fields_of(context, state)};
    };
  };
  return without_backward({"begin_update", what, make, {2 * sizeof(StepState)}});
}

constexpr LossScaling kScaling{.largest = 4096, .steady_steps = 3};

Cases checks() {
  Cases cases;
  // Copies: all, a part that ends inside a pack, on a pack's edge, none.
  const std::pair<int64_t, int64_t> counts[] = {{1, 1}, {3, 2}, {67, 64}, {1003, 1001}, {5000, 5000}, {5000, 0}};
  for (const auto& [count, working] : counts) {
    cases.push_back(adam_case(count, working));
    cases.push_back(sgd_case(count, working));
    cases.push_back(teacher_case(count));
  }
  // The first step of SGD takes no momentum from the buffer, whatever is there.
  cases.push_back(sgd_case(67, 33, {.step = 1}, "first step"));
  const StepState scaled{.step = 100, .gradient_scale = 8}, left_out{.step = 100, .updated = 0};
  cases.push_back(adam_case(1003, 501, scaled, "scaled gradients"));
  cases.push_back(sgd_case(1003, 501, scaled, "scaled gradients"));
  cases.push_back(adam_case(1003, 501, left_out, "left out"));
  cases.push_back(sgd_case(1003, 501, left_out, "left out"));
  for (const double scale : {1.0, 65536.0}) cases.push_back(begin_backward_case(scale));
  for (const double scale : {1.0, 1024.0, 4096.0})
    for (const int32_t steady : {0, 2})
      for (const int32_t finite : {0, 1})
        cases.push_back(begin_update_case(
            {.step = 7, .loss_scale = scale, .gradient_scale = scale, .steady = steady, .finite = finite}, kScaling,
            fmt::format("scale {} after {}, {}finite", scale, steady, finite == 0 ? "not " : "")));
  cases.push_back(begin_update_case({.step = 7, .steady = 2}, LossScaling{}, "constant scale"));
  return cases;
}

Cases benchmarks(const NetworkSizes& z) {
  const int64_t all = z.parameters(), copied = all * 4 / 7;  // about the network's part of convolutions
  return {adam_case(all, copied), sgd_case(all, copied), teacher_case(int64_t{z.identities()} * z.features()),
          begin_backward_case(1), begin_update_case({.step = 7}, kScaling, "finite")};
}

const OpRegistration registration("optimizer", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
