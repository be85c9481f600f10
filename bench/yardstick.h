// Common parts of the benchmarks: a clock, and a matrix product as reference for other times.
#pragma once
#include <functional>
#include <optional>

namespace mpanet {

double seconds_of(const std::function<void()>& work);

// Seconds of one product a (m, k) * b (n, k)^T in float on all threads: by oneDNN if the build has it, else by
// multiply() of kernels/cpu/packed_rows.h.
double seconds_of_product(int m, int n, int k, const float* a, const float* b);
const char* product_yardstick();  // the name of that product's library

// Seconds of the same product by OpenBLAS's sgemm on as many threads. Nothing if the system has no libopenblas.so.0
// (Debian's libopenblas0-pthread), which is loaded at the first call.
std::optional<double> seconds_of_openblas_product(int m, int n, int k, const float* a, const float* b);

// FLOP/s of a large square product: the best of five.
double product_flops();

}  // namespace mpanet
