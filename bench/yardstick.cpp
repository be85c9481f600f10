#include "bench/yardstick.h"

#include <dlfcn.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <thread>
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

namespace {

// Two functions of OpenBLAS, as cblas.h declares them where blasint is int.
struct OpenBlas {
  void (*sgemm)(int order, int transposed_a, int transposed_b, int m, int n, int k, float alpha, const float* a,
                int lda, const float* b, int ldb, float beta, float* c, int ldc) = nullptr;
  void (*set_num_threads)(int) = nullptr;

  OpenBlas() {
    void* library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    sgemm = reinterpret_cast<decltype(sgemm)>(dlsym(library, "cblas_sgemm"));
    set_num_threads = reinterpret_cast<decltype(set_num_threads)>(dlsym(library, "openblas_set_num_threads"));
  }
};

}  // namespace

std::optional<double> seconds_of_openblas_product(int m, int n, int k, const float* a, const float* b) {
  static const OpenBlas library;
  if (!library.sgemm || !library.set_num_threads) return std::nullopt;
  constexpr int kRowMajor = 101, kNotTransposed = 111, kTransposed = 112;
  library.set_num_threads(omp_get_max_threads());
  std::vector<float> product(static_cast<size_t>(m) * n);
  const double seconds = seconds_of([&] {
    library.sgemm(kRowMajor, kNotTransposed, kTransposed, m, n, k, 1.0f, a, k, b, k, 0.0f, product.data(), n);
  });
  // OpenBLAS's threads spin for some tenths of a second before they sleep. They must not slow down what is timed next.
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  return seconds;
}

double product_flops() {
  constexpr int kSize = 3072;
  const std::vector<float> a(size_t{kSize} * kSize, 1.0F);
  double best = 1e30;
  for (int i = 0; i < 5; i++) best = std::min(best, seconds_of_product(kSize, kSize, kSize, a.data(), a.data()));
  return 2.0 * kSize * kSize * kSize / best;
}

}  // namespace mpanet
