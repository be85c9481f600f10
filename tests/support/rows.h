// Numbers and gradients of tensors and of logits, as dense lists. Behind the rows of logits everything that is set is
// NaN, so that a kernel that uses it shows.
#pragma once
#include <algorithm>
#include <limits>
#include <vector>

#include "layers/tensors.h"

namespace mpanet::PRECISION {

// Copies `values` to rows of `width` elements that begin `stride` apart.
template <class T>
void set_rows(Context& context, T* to, const std::vector<T>& values, int64_t width, int64_t stride) {
  if (width == stride) return context.to_device(to, values.data(), values.size() * sizeof(T));
  const int64_t rows = static_cast<int64_t>(values.size()) / width;
  std::vector<T> memory(static_cast<size_t>(rows * stride), static_cast<T>(std::numeric_limits<float>::quiet_NaN()));
  for (int64_t row = 0; row < rows; row++)
    std::copy_n(values.begin() + row * width, width, memory.begin() + row * stride);
  context.to_device(to, memory.data(), memory.size() * sizeof(T));
}

template <class T>
std::vector<T> rows_of(Context& context, const T* from, int64_t rows, int64_t width, int64_t stride) {
  std::vector<T> memory(static_cast<size_t>(rows * stride)), values(static_cast<size_t>(rows * width));
  context.to_host(memory.data(), from, memory.size() * sizeof(T));
  for (int64_t row = 0; row < rows; row++)
    std::copy_n(memory.begin() + row * stride, width, values.begin() + row * width);
  return values;
}

// The same functions for tensors and logits.
template <class T>
int64_t count_of(const TensorOf<T>& t) {
  return t.count();
}
template <class T>
std::vector<T> values_of(Context&, const TensorOf<T>& t) {
  return t.to_host();
}
template <class T>
void set_values(Context&, const TensorOf<T>& t, const std::vector<T>& values) {
  t.from_host(values);
}
template <class T>
std::vector<T> gradient_of(Context& context, const TensorOf<T>& t) {
  return rows_of(context, t.grad(), 1, t.count(), t.count());
}
// The gradient as the first writer's, or over what is there.
template <class T>
Write set_gradient(Context& context, const TensorOf<T>& t, const std::vector<T>& values) {
  const auto [gradient, write] = t.grad_sink();
  context.to_device(gradient, values.data(), values.size() * sizeof(T));
  return write;
}

inline int64_t count_of(const Logits& x) { return int64_t{x.n()} * x.k; }
inline std::vector<real> values_of(Context& context, const Logits& x) {
  return rows_of<real>(context, x.rows.data(), x.n(), x.k, x.stride());
}
inline void set_values(Context& context, const Logits& x, const std::vector<real>& values) {
  set_rows(context, x.rows.data(), values, x.k, x.stride());
}
inline std::vector<real> gradient_of(Context& context, const Logits& x) {
  return rows_of(context, x.rows.grad(), x.n(), x.k, x.stride());
}
inline Write set_gradient(Context& context, const Logits& x, const std::vector<real>& values) {
  const auto [gradient, write] = x.rows.grad_sink();
  set_rows(context, gradient, values, x.k, x.stride());
  return write;
}

inline const RealTensor& memory_of(const Logits& x) { return x.rows; }
template <class T>
const TensorOf<T>& memory_of(const TensorOf<T>& t) {
  return t;
}

}  // namespace mpanet::PRECISION
