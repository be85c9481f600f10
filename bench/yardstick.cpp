#include "bench/yardstick.h"

#include <algorithm>
#include <chrono>
#include <vector>

#ifdef MPANET_HAS_ONEDNN
#  include <oneapi/dnnl/dnnl.h>
#else
#  include "kernels/cpu/packed_rows.h"
#endif

namespace mpanet {

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

#ifdef MPANET_HAS_ONEDNN
const char* product_yardstick() { return "oneDNN"; }
#else
const char* product_yardstick() { return "mpanet"; }
#endif

double seconds_of_product(int m, int n, int k, const float* a, const float* b) {
#ifdef MPANET_HAS_ONEDNN
  std::vector<float> product(static_cast<size_t>(m) * n);
  return seconds_of([&] { dnnl_sgemm('N', 'T', m, n, k, 1.0f, a, k, b, k, 0.0f, product.data(), n); });
#else
  PackedRows left(PackedRows::Side::Left, m, k), right(PackedRows::Side::Right, n, k);
  left.assign(a, std::vector<double>(m, 1).data(), m);
  right.assign(b, std::vector<double>(n, 1).data(), n);
  std::vector<float> product(static_cast<size_t>(left.padded_rows()) * right.padded_rows());
  return seconds_of([&] { multiply(left, right, product.data(), right.padded_rows()); });
#endif
}

double product_flops() {
  constexpr int kSize = 3072;
  const std::vector<float> a(size_t{kSize} * kSize, 1.0F);
  double best = 1e30;
  for (int i = 0; i < 5; i++) best = std::min(best, seconds_of_product(kSize, kSize, kSize, a.data(), a.data()));
  return 2.0 * kSize * kSize * kSize / best;
}

}  // namespace mpanet
