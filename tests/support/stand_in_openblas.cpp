// In place of OpenBLAS, for test_bench_eval: cblas_sgemm() computes nothing, and takes STAND_IN_MS milliseconds. It
// ends the program with exit code 9 unless its arguments are those of the product a (m, k) * b (n, k)^T that
// test_bench_eval expects, in row-major order.
#include <chrono>
#include <cstdlib>
#include <thread>

namespace {
int threads = 0;
}

extern "C" {

void openblas_set_num_threads(int count) { threads = count; }

void cblas_sgemm(int order, int transposed_a, int transposed_b, int m, int n, int k, float alpha, const float* a,
                 int lda, const float* b, int ldb, float beta, float* c, int ldc) {
  const bool right = order == 101 && transposed_a == 111 && transposed_b == 112 && m == 40 && n == 60 && k == 8 &&
                     alpha == 1 && beta == 0 && lda == k && ldb == k && ldc == n && a && b && c && threads == 2;
  if (!right) std::_Exit(9);
  std::this_thread::sleep_for(std::chrono::milliseconds(std::atoi(std::getenv("STAND_IN_MS"))));
}
}
