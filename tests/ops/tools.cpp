// The kernels of a training step besides the network.
#include <fmt/format.h>

#include "kernels/kernels.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

OpCase l2_norm_case(int64_t count) {
  const auto make = [=](Inputs& in) -> Call {
    const RealTensor x = in.values("", {count}, {}, false);
    return [=, &context = in.context()] {
      const RealTensor norm(context, {1});
      const Scratch<> workspace(context, static_cast<int64_t>(ASK_BACKEND(context, l2_norm_workspace_bytes(count))));
      RUN_ON(context, l2_norm(context.stream(), x.data(), count, norm.data(), workspace.data()));
      return Outputs{{}, {norm}};
    };
  };
  return without_backward({"l2_norm", std::to_string(count), make, {kRealBytes * static_cast<double>(count)}});
}

OpCase check_finite_case(int64_t count) {
  const auto make = [=](Inputs& in) -> Call {
    const RealTensor x = in.values("", {count}, {}, false);
    return [=, &context = in.context()] {
      const LabelTensor finite(context, {1});
      finite.from_host({1});
      RUN_ON(context, check_finite(context.stream(), x.data(), count, finite.data()));
      return Outputs{{}, {}, {finite}};
    };
  };
  return without_backward({"check_finite", std::to_string(count), make, {kRealBytes * static_cast<double>(count)}});
}

OpCase transpose_case(int64_t batch, int64_t rows, int64_t columns) {
  const auto make = [=](Inputs& in) -> Call {
    const RealTensor from = in.values("", {batch, rows, columns}, {}, false);
    return [=, &context = in.context()] {
      const RealTensor to(context, {batch, columns, rows});
      RUN_ON(context, transpose(context.stream(), from.data(), batch, rows, columns, to.data()));
      return Outputs{{}, {to}};
    };
  };
  return without_backward({"transpose",
                           fmt::format("{} of {} x {}", batch, rows, columns),
                           make,
                           {2 * kRealBytes * static_cast<double>(batch * rows * columns)}});
}

Cases checks() {
  Cases cases;
  for (const int64_t count : {1, 3, 67, 1003, 5000}) {
    cases.push_back(l2_norm_case(count));
    cases.push_back(check_finite_case(count));
  }
  cases.push_back(transpose_case(3, 7, 5));
  cases.push_back(transpose_case(2, 33, 67));
  return cases;
}

// transpose changes the layout of convolution weights when a checkpoint is read or written.
Cases benchmarks(const NetworkSizes& z) {
  return {l2_norm_case(z.parameters()), check_finite_case(z.parameters()),
          transpose_case(z.channels(512), z.channels(512), 9)};
}

const OpRegistration registration("tools", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
