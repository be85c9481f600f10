// Sums over the rows of a matrix: the gradients of biases.
#include <algorithm>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/rows.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {
namespace {

// to (k) = sum over the rows of from (rows, k). Blocks of rows are summed, then added in order. Each thread takes some
// columns.
template <class T>
void sum_rows(const T* from, int64_t rows, int k, real* to, Write write) {
  constexpr int kSlice = 32;
  constexpr int64_t kBlock = 256;
  const int slices = static_cast<int>(divide_up(k, kSlice));
#pragma omp parallel for schedule(static) if (rows * k > kSerialCount)
  for (int slice = 0; slice < slices; slice++) {
    const int first = slice * kSlice, width = std::min(kSlice, k - first);
    real total[kSlice] = {};
    for (int64_t block = 0; block < rows; block += kBlock) {
      real sum[kSlice] = {}, buffer[kSlice];
      for (int64_t row = block; row < std::min(rows, block + kBlock); row++) {
        const real* values = widened(from + row * k + first, width, buffer);
#pragma omp simd
        for (int j = 0; j < width; j++) sum[j] += values[j];
      }
      for (int j = 0; j < width; j++) total[j] += sum[j];
    }
    for (int j = 0; j < width; j++) put(to[first + j], total[j], write);
  }
}

}  // namespace

size_t row_sums_workspace_bytes(int64_t, int) { return 0; }

void bias_backward(Stream, const storage* dy, int64_t rows, int k, real* db, Write write, void*) {
  sum_rows(dy, rows, k, db, write);
}

void column_sums(Stream, const real* dy, int64_t rows, int k, real* db, Write write, void*) {
  sum_rows(dy, rows, k, db, write);
}

}  // namespace mpanet::PRECISION::cpu
