#include "kernels/emu/matrix.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "core/base/real.h"
#include "kernels/emu/block.h"

namespace mpanet::simt {
namespace {

constexpr unsigned kAll = 0xffffffffu;
constexpr int kRows = 16, kColumns = 8, kMaxDepth = 16;  // sizes of an mma
constexpr int kMaxFragments = 8;                         // of B in one call

struct LoadArgument {
  const unsigned char* row;
  uint32_t* registers;
  int matrices;
  bool transposed;
};

void finish_load(void* const* arguments, unsigned) {
  const auto argument = [&](int lane) -> const LoadArgument& {
    return *static_cast<const LoadArgument*>(arguments[lane]);
  };
  for (int m = 0; m < argument(0).matrices; m++) {
    uint16_t matrix[8][8];
    for (int r = 0; r < 8; r++) std::memcpy(matrix[r], argument(8 * m + r).row, sizeof matrix[r]);
    for (int lane = 0; lane < kLanes; lane++) {
      const int i = lane / 4, j = lane % 4 * 2;
      const bool transposed = argument(lane).transposed;
      const uint32_t low = transposed ? matrix[j][i] : matrix[i][j];
      const uint32_t high = transposed ? matrix[j + 1][i] : matrix[i][j + 1];
      argument(lane).registers[m] = low | high << 16;
    }
  }
}

struct MultiplyArgument {
  Operand type;
  int depth, rows, columns;  // fragments along each side of D
  float* d;
  const uint32_t *a, *b;
};

float half_value(Operand type, uint32_t bits) {
  if (type == Operand::BFloat16) return std::bit_cast<float>(bits << 16);
  return static_cast<float>(std::bit_cast<float16>(static_cast<uint16_t>(bits)));
}
float tf32_value(uint32_t bits) { return std::bit_cast<float>(bits & ~0x1fffu); }

// A fragment as (8 halves, depth) doubles: halves is 2 for A's 16 rows, 1 for B's 8 columns. Register r of a lane is of
// row lane / 4 + 8 (r % halves); its elements begin at depth (r / halves * 4 + lane % 4) * elements.
template <class Take>
void unpack(Operand type, int depth, int halves, const Take& take, double (*to)[kMaxDepth]) {
  const int elements = type == Operand::Tf32 ? 1 : 2, registers = depth / (4 * elements) * halves;
  for (int lane = 0; lane < kLanes; lane++) {
    const uint32_t* bits = take(lane);
    for (int r = 0; r < registers; r++) {
      double* row = to[lane / 4 + r % halves * 8] + (r / halves * 4 + lane % 4) * elements;
      if (type == Operand::Tf32) {
        row[0] = static_cast<double>(tf32_value(bits[r]));
      } else {
        row[0] = static_cast<double>(half_value(type, bits[r] & 0xffffu));
        row[1] = static_cast<double>(half_value(type, bits[r] >> 16));
      }
    }
  }
}

// Products of these types are exact in double. The sum of one mma is computed in double and rounded once. How a tensor
// core rounds the sum is not documented.
void finish_multiply(void* const* arguments, unsigned) {
  const auto argument = [&](int lane) -> const MultiplyArgument& {
    return *static_cast<const MultiplyArgument*>(arguments[lane]);
  };
  const Operand type = argument(0).type;
  const int depth = argument(0).depth, rows = argument(0).rows, columns = argument(0).columns;
  const int registers = type == Operand::Tf32 ? depth / 4 : depth / 8;  // of a fragment of B; A has twice as many
  double left[kRows][kMaxDepth], right[kColumns][kMaxDepth], down[kMaxFragments][kMaxDepth][kColumns];
  for (int j = 0; j < columns; j++) {
    unpack(
        type, depth, 1, [&](int lane) { return argument(lane).b + registers * j; }, right);
    for (int k = 0; k < depth; k++)
      for (int column = 0; column < kColumns; column++) down[j][k][column] = right[column][k];
  }
  for (int i = 0; i < rows; i++) {
    unpack(
        type, depth, 2, [&](int lane) { return argument(lane).a + 2 * registers * i; }, left);
    for (int j = 0; j < columns; j++)
      for (int row = 0; row < kRows; row++) {
        double sums[kColumns];
        const auto part = [&](int column) -> float& {
          return argument(row % 8 * 4 + column / 2).d[(i * columns + j) * 4 + row / 8 * 2 + column % 2];
        };
        for (int column = 0; column < kColumns; column++) sums[column] = part(column);
        for (int k = 0; k < depth; k++)
          for (int column = 0; column < kColumns; column++) sums[column] += left[row][k] * down[j][k][column];
        for (int column = 0; column < kColumns; column++) part(column) = static_cast<float>(sums[column]);
      }
  }
}

struct DoubleArgument {
  double* d;
  double a, b;
};

void finish_double(void* const* arguments, unsigned) {
  const auto argument = [&](int lane) -> const DoubleArgument& {
    return *static_cast<const DoubleArgument*>(arguments[lane]);
  };
  for (int lane = 0; lane < kLanes; lane++) {
    const int row = lane / 4;
    for (int i = 0; i < 2; i++) {
      const int column = lane % 4 * 2 + i;
      double& sum = argument(lane).d[i];
      for (int k = 0; k < 4; k++) sum = std::fma(argument(4 * row + k).a, argument(4 * column + k).b, sum);
    }
  }
}

}  // namespace

void load_matrices(uint32_t* registers, const void* row, int matrices, bool transposed, Where where) {
  constexpr size_t kRowBytes = 16;
  if (static_cast<int>(running_block->lane()) < 8 * matrices) {
    check_aligned(row, kRowBytes, where);
    if (!running_block->in_shared(row, kRowBytes))
      fault(fmt::format("ldmatrix: a row at {}, which is not in shared memory", row), where);
    if (recording) running_block->note_access(row, kRowBytes, false, {nullptr, where});
  }
  LoadArgument mine{static_cast<const unsigned char*>(row), registers, matrices, transposed};
  warp_collective("ldmatrix", kAll, &mine, finish_load, where);
}

void multiply(Operand type, int depth, float* d, const uint32_t* a, const uint32_t* b, Where where) {
  MultiplyArgument mine{type, depth, 1, 1, d, a, b};
  warp_collective("mma", kAll, &mine, finish_multiply, where);
}

void multiply(Operand type, int rows, int columns, float* d, const uint32_t* a, const uint32_t* b, Where where) {
  if (columns > kMaxFragments)
    fault(fmt::format("mma: expected at most {} fragments of B, got {}", kMaxFragments, columns), where);
  MultiplyArgument mine{type, type == Operand::Tf32 ? 8 : kMaxDepth, rows, columns, d, a, b};
  warp_collective("mma", kAll, &mine, finish_multiply, where);
}

void multiply(double* d, double a, double b, Where where) {
  DoubleArgument mine{d, a, b};
  warp_collective("mma", kAll, &mine, finish_double, where);
}

}  // namespace mpanet::simt
