// What the benchmarks share: a clock, and the matrix product that other times are held against.
#pragma once
#include <functional>

namespace mpanet {

double seconds_of(const std::function<void()>& work);

// Seconds of one product a (m, k) * b (n, k)^T in float on all threads: oneDNN's where the build has it, else ours.
double seconds_of_product(int m, int n, int k, const float* a, const float* b);
const char* product_yardstick();  // whose product that is

}  // namespace mpanet
