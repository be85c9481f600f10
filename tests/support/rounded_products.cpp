// Convolutions and products of the rounded precision: f64's, on operands that are rounded to the format of
// set_rounding(). Results are rounded when they are stored, as everywhere in this precision. The engines under test
// round operands in the kernels of each backend.
#include <vector>

#include "kernels/kernels.h"
#include "tests/support/exact_products.h"

namespace mpanet::rounded::cpu {
namespace {

using Doubles = std::vector<double>;

// The elements of an operand, rounded.
template <class T>
Doubles operand(const T* from, int64_t count) {
  Doubles values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); i++) values[i] = operand_rounding(static_cast<double>(from[i]));
  return values;
}

Doubles exactly(const storage* from, int64_t count) {
  Doubles values(from == nullptr ? 0 : static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); i++) values[i] = static_cast<double>(from[i]);
  return values;
}

void put(const Doubles& values, storage* to) {
  for (size_t i = 0; i < values.size(); i++) to[i] = storage(values[i]);
}

}  // namespace

size_t conv_weights_bytes(Stream, const ConvShape&, ConvPass) { return 0; }
void conv_prepare_weights(Stream, const ConvShape&, ConvPass, const storage*, const real*, void*) {}
size_t conv_workspace_bytes(Stream, const ConvShape&, ConvPass) { return 0; }
size_t gemm_workspace_bytes(Stream, bool, bool, int64_t, int64_t, int64_t, const GemmStrides&) { return 0; }

void conv_forward(Stream, const ConvShape& s, const storage* x, const storage* w, const void*,
                  const ConvEpilogue& epilogue, storage* y, void*) {
  const Doubles residual = exactly(epilogue.residual, s.output_count());
  Doubles sums(static_cast<size_t>(s.output_count()));
  exact::conv_forward(s, operand(x, s.input_count()).data(), operand(w, s.weight_count()).data(), epilogue.scale,
                      epilogue.shift, residual.empty() ? nullptr : residual.data(), epilogue.relu, sums.data());
  put(sums, y);
}

void conv_backward_data(Stream, const ConvShape& s, const storage* dy, const storage* w, const void*, storage* dx,
                        Write write, void*, const GradEpilogue&) {
  const bool add = write == Write::Add;
  Doubles sums = add ? exactly(dx, s.input_count()) : Doubles(static_cast<size_t>(s.input_count()));
  exact::conv_backward_data(s, operand(dy, s.output_count()).data(), operand(w, s.weight_count()).data(), sums.data(),
                            add);
  put(sums, dx);
}

void conv_backward_weights(Stream, const ConvShape& s, const storage* x, const storage* dy, real* dw, Write write,
                           void*) {
  exact::conv_backward_weights(s, operand(x, s.input_count()).data(), operand(dy, s.output_count()).data(), dw,
                               write == Write::Add);
}

void gemm(Stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const real* a, const real* b,
          const real* bias, real* c, Write write, void*, const GemmStrides& given) {
  const GemmStrides strides = given.of(transpose_a, transpose_b, m, n, k);
  exact::gemm(transpose_a, transpose_b, m, n, k, operand(a, strides.a * (transpose_a ? k : m)).data(),
              operand(b, strides.b * (transpose_b ? n : k)).data(), bias, c, write == Write::Add, strides);
}

}  // namespace mpanet::rounded::cpu
