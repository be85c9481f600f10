#include "layers/layers.h"

namespace mpanet::PRECISION {
namespace {

void check_linear(const RealTensor& x, const Parameter& weight) {
  MPANET_CHECK(x.shape().rank() == 2 && weight.shape.size() >= 2 && weight.count == weight.shape[0] * x.dim(1),
               "{}: expected x (N, {}), got {}", weight.name, weight.count / weight.shape[0], x.shape().str());
}

// gemm() with its workspace.
void product(Context& context, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const real* a,
             const real* b, const real* bias, real* c, Write write, const GemmStrides& strides = {}) {
  const Scratch<> workspace(
      context, static_cast<int64_t>(ASK_BACKEND(
                   context, gemm_workspace_bytes(context.stream(), transpose_a, transpose_b, m, n, k, strides))));
  context.add_flops(2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k));
  RUN_ON(context,
         gemm(context.stream(), transpose_a, transpose_b, m, n, k, a, b, bias, c, write, workspace.data(), strides));
}

// gemm_batch() with its workspace.
void products(Context& context, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
              const std::vector<GemmOperands>& list, const GemmStrides& strides) {
  const int length = static_cast<int>(list.size());
  const Scratch<> workspace(
      context,
      static_cast<int64_t>(ASK_BACKEND(
          context, gemm_batch_workspace_bytes(context.stream(), transpose_a, transpose_b, m, n, k, length, strides))));
  context.add_flops(2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) * length);
  RUN_ON(context, gemm_batch(context.stream(), transpose_a, transpose_b, m, n, k, list.data(), length, workspace.data(),
                             strides));
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

std::vector<Logits> linear_several(Context& context, const RealTensor& x, const std::vector<Parameter*>& weights,
                                   const std::vector<const Parameter*>& frozen) {
  std::vector<const Parameter*> all(weights.begin(), weights.end());
  all.insert(all.end(), frozen.begin(), frozen.end());
  MPANET_CHECK(!all.empty(), "expected a weight");
  for (const Parameter* weight : all) {
    check_linear(x, *weight);
    MPANET_CHECK(weight->shape[0] == all[0]->shape[0], "{}: expected {} outputs as of {}, got {}", weight->name,
                 all[0]->shape[0], all[0]->name, weight->shape[0]);
  }
  const int64_t n = x.dim(0), d = x.dim(1), k = all[0]->shape[0];
  std::vector<Logits> outputs;
  std::vector<GemmOperands> list;
  for (const Parameter* weight : all) {
    const Logits& y =
        outputs.emplace_back(context, x.dim(0), static_cast<int>(k), context.recording() && weight->trainable);
    list.push_back({x.data(), weight->value, y.rows.data()});
  }
  const int64_t stride = outputs[0].stride();
  products(context, false, true, n, k, d, list, {.c = stride});
  if (context.recording())
    context.tape().record("linear", [=, &context] {
      std::vector<GemmOperands> gradients;
      for (size_t i = 0; i < weights.size(); i++) {
        if (!outputs[i].rows.has_grad()) continue;
        const auto [dw, write] = weights[i]->grad_sink();
        gradients.push_back({outputs[i].rows.grad(), x.data(), dw, write});
      }
      if (gradients.empty()) return;
      products(context, true, false, k, d, n, gradients, {.a = stride});
      if (!x.needs_grad()) return;
      for (size_t i = weights.size(); i-- > 0;) {
        if (!outputs[i].rows.has_grad()) continue;
        const auto [dx, write] = x.grad_sink();
        product(context, false, false, n, d, k, outputs[i].rows.grad(), weights[i]->value, nullptr, dx, write,
                {.a = stride});
      }
    });
  return outputs;
}

}  // namespace mpanet::PRECISION
