#define PRECISION f64
#include "tests/support/exact_products.h"

#include <vector>

#include "kernels/kernels.h"

namespace mpanet::exact {
namespace {

namespace cpu = f64::cpu;

Write write_of(bool add) { return add ? Write::Add : Write::Set; }

std::vector<char> prepared(const ConvShape& s, ConvPass pass, const double* w, const double* scale) {
  std::vector<char> memory(cpu::conv_weights_bytes(nullptr, s, pass));
  cpu::conv_prepare_weights(nullptr, s, pass, w, scale, memory.data());
  return memory;
}

std::vector<char> workspace(const ConvShape& s, ConvPass pass) {
  return std::vector<char>(cpu::conv_workspace_bytes(nullptr, s, pass));
}

}  // namespace

void conv_forward(const ConvShape& s, const double* x, const double* w, const double* scale, const double* shift,
                  const double* residual, bool relu, double* y) {
  const std::vector<char> weights = prepared(s, ConvPass::Forward, w, scale);
  cpu::conv_forward(nullptr, s, x, w, weights.data(),
                    {.scale = scale, .shift = shift, .residual = residual, .relu = relu}, y,
                    workspace(s, ConvPass::Forward).data());
}

void conv_backward_data(const ConvShape& s, const double* dy, const double* w, double* dx, bool add) {
  const std::vector<char> weights = prepared(s, ConvPass::BackwardData, w, nullptr);
  cpu::conv_backward_data(nullptr, s, dy, w, weights.data(), dx, write_of(add),
                          workspace(s, ConvPass::BackwardData).data());
}

void conv_backward_weights(const ConvShape& s, const double* x, const double* dy, double* dw, bool add) {
  cpu::conv_backward_weights(nullptr, s, x, dy, dw, write_of(add), workspace(s, ConvPass::BackwardWeights).data());
}

void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const double* a, const double* b,
          const double* bias, double* c, bool add, const GemmStrides& strides) {
  std::vector<char> memory(cpu::gemm_workspace_bytes(nullptr, transpose_a, transpose_b, m, n, k, strides));
  cpu::gemm(nullptr, transpose_a, transpose_b, m, n, k, a, b, bias, c, write_of(add), memory.data(), strides);
}

}  // namespace mpanet::exact
