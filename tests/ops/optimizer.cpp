// One step of each optimiser, and the teachers' moving average. They update their arguments in place.
#include "kernels/kernels.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

// By default a step in the middle of a run.
const StepState* step_state(Inputs& in, int64_t step = 100) {
  StepState state;
  state.learning_rate = 1e-4;
  state.teacher_rate = 0.2;
  state.step = step;
  StepState* on_device = in.keep<Buffer>(in.context(), sizeof state).as<StepState>();
  in.context().to_device(on_device, &state, sizeof state);
  return on_device;
}

OpCase adam_case(int64_t count) {
  const auto make = [=](Inputs& in) -> Call {
    const StepState* state = step_state(in);
    const RealTensor gradient = in.values("", {count}, {}, false), first = in.values("", {count}, {}, false),
                     second = in.values("", {count}, Draw::unit(), false), value = in.values("", {count}, {}, false);
    return [=, &context = in.context()] {
      RUN_ON(context, adam_step(context.stream(), state, AdamSettings{.weight_decay = 5e-4}, gradient.data(),
                                first.data(), second.data(), value.data(), count));
      return Outputs{{}, {first, second, value}};
    };
  };
  return without_backward({"adam", std::to_string(count), make, {7 * kRealBytes * static_cast<double>(count)}});
}

// The first step takes no momentum from the buffer, whatever is there.
OpCase sgd_case(int64_t count, int64_t step = 100) {
  const auto make = [=](Inputs& in) -> Call {
    const StepState* state = step_state(in, step);
    const RealTensor gradient = in.values("", {count}, {}, false), momentum = in.values("", {count}, {}, false),
                     value = in.values("", {count}, {}, false);
    return [=, &context = in.context()] {
      RUN_ON(context,
             sgd_step(context.stream(), state, SgdSettings{}, gradient.data(), momentum.data(), value.data(), count));
      return Outputs{{}, {momentum, value}};
    };
  };
  return without_backward({"sgd",
                           std::to_string(count) + (step == 1 ? " first step" : ""),
                           make,
                           {5 * kRealBytes * static_cast<double>(count)}});
}

OpCase teacher_case(int64_t count) {
  const auto make = [=](Inputs& in) -> Call {
    const StepState* state = step_state(in);
    const RealTensor live = in.values("", {count}, {}, false), teacher = in.values("", {count}, {}, false);
    return [=, &context = in.context()] {
      RUN_ON(context, teacher_update(context.stream(), state, live.data(), teacher.data(), count));
      return Outputs{{}, {teacher}};
    };
  };
  return without_backward(
      {"teacher_update", std::to_string(count), make, {3 * kRealBytes * static_cast<double>(count)}});
}

Cases checks() {
  Cases cases;
  for (const int64_t count : {1, 3, 67, 1003, 5000}) {
    cases.push_back(adam_case(count));
    cases.push_back(sgd_case(count));
    cases.push_back(teacher_case(count));
  }
  cases.push_back(sgd_case(67, 1));
  return cases;
}

Cases benchmarks(const NetworkSizes& z) {
  return {adam_case(z.parameters()), sgd_case(z.parameters()), teacher_case(int64_t{z.identities()} * z.features())};
}

const OpRegistration registration("optimizer", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
