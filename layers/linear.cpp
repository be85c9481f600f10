#include "layers/layers.h"

namespace mpanet::PRECISION {
namespace {

void check_linear(const RealTensor& x, const Parameter& weight) {
  MPANET_CHECK(x.shape().rank() == 2 && weight.shape.size() >= 2 && weight.count == weight.shape[0] * x.dim(1),
               "{}: expected x (N, {}), got {}", weight.name, weight.count / weight.shape[0], x.shape().str());
}

// gemm() with its workspace.
void product(Context& context, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const real* a,
             const real* b, const real* bias, real* c, Write write) {
  const Scratch<> workspace(
      context, static_cast<int64_t>(
                   ASK_BACKEND(context, gemm_workspace_bytes(context.stream(), transpose_a, transpose_b, m, n, k))));
  context.add_flops(2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k));
  RUN_ON(context, gemm(context.stream(), transpose_a, transpose_b, m, n, k, a, b, bias, c, write, workspace.data()));
}

}  // namespace

RealTensor linear(Context& context, const RealTensor& x, Parameter& weight, Parameter* bias) {
  check_linear(x, weight);
  const int64_t n = x.dim(0), d = x.dim(1), k = weight.shape[0];
  const RealTensor y(context, {n, k}, context.recording());
  product(context, false, true, n, k, d, x.data(), weight.value, bias != nullptr ? bias->value : nullptr, y.data(),
          Write::Set);
  if (context.recording())
    context.tape().record("linear", [=, &context, &weight] {
      if (!y.has_grad()) return;
      const auto [dw, dw_write] = weight.grad_sink();
      product(context, true, false, k, d, n, y.grad(), x.data(), nullptr, dw, dw_write);
      if (bias != nullptr) {
        const int columns = static_cast<int>(k);
        const Scratch<> workspace(context,
                                  static_cast<int64_t>(ASK_BACKEND(context, row_sums_workspace_bytes(n, columns))));
        const auto [db, db_write] = bias->grad_sink();
        RUN_ON(context, column_sums(context.stream(), y.grad(), n, columns, db, db_write, workspace.data()));
      }
      if (!x.needs_grad()) return;
      const auto [dx, dx_write] = x.grad_sink();
      product(context, false, false, n, d, k, y.grad(), weight.value, nullptr, dx, dx_write);
    });
  return y;
}

RealTensor linear_frozen(Context& context, const RealTensor& x, const Parameter& weight) {
  check_linear(x, weight);
  const int64_t n = x.dim(0), d = x.dim(1), k = weight.shape[0];
  const RealTensor y(context, {n, k});
  product(context, false, true, n, k, d, x.data(), weight.value, nullptr, y.data(), Write::Set);
  return y;
}

}  // namespace mpanet::PRECISION
