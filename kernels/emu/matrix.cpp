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
  int depth;
  float* d;
  const uint32_t *a, *b;
};

float half_value(Operand type, uint32_t bits) {
  if (type == Operand::BFloat16) return std::bit_cast<float>(bits << 16);
  return static_cast<float>(std::bit_cast<float16>(static_cast<uint16_t>(bits)));
}
float tf32_value(uint32_t bits) { return std::bit_cast<float>(bits & ~0x1fffu); }

// Products of these types are exact in double. The sum is computed in double and rounded once. How a tensor core rounds
// the sum is not documented.
void finish_multiply(void* const* arguments, unsigned) {
  const auto argument = [&](int lane) -> const MultiplyArgument& {
    return *static_cast<const MultiplyArgument*>(arguments[lane]);
  };
  const Operand type = argument(0).type;
  const int depth = argument(0).depth, per_register = type == Operand::Tf32 ? 1 : 2;
  double a[kRows][kMaxDepth], b[kMaxDepth][kColumns];
  for (int lane = 0; lane < kLanes; lane++) {
    const int group = lane / 4, four = lane % 4;
    const MultiplyArgument& mine = argument(lane);
    for (int part = 0; part < per_register; part++) {
      const auto value = [&](uint32_t bits) {
        return static_cast<double>(type == Operand::Tf32 ? tf32_value(bits)
                                                         : half_value(type, bits >> 16 * part & 0xffffu));
      };
      for (int k = four * per_register + part, i = 0; k < depth; k += 4 * per_register, i++) {
        a[group][k] = value(mine.a[2 * i]);
        a[group + 8][k] = value(mine.a[2 * i + 1]);
        b[k][group] = value(mine.b[i]);
      }
    }
  }
  for (int lane = 0; lane < kLanes; lane++) {
    const int column = lane % 4 * 2;
    for (int i = 0; i < 4; i++) {
      const int row = lane / 4 + i / 2 * 8;
      double sum = argument(lane).d[i];
      for (int k = 0; k < depth; k++) sum += a[row][k] * b[k][column + i % 2];
      argument(lane).d[i] = static_cast<float>(sum);
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
  MultiplyArgument mine{type, depth, d, a, b};
  warp_collective("mma", kAll, &mine, finish_multiply, where);
}

void multiply(double* d, double a, double b, Where where) {
  DoubleArgument mine{d, a, b};
  warp_collective("mma", kAll, &mine, finish_double, where);
}

}  // namespace mpanet::simt
