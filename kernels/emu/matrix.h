// ldmatrix and mma.sync under the emulation. Lane layouts: kernels/cuda/ptx.cuh.
#pragma once
#include <cstdint>

#include "kernels/emu/runtime.h"

namespace mpanet::simt {

enum class Operand { BFloat16, Float16, Tf32 };

// Loads `matrices` (1, 2 or 4) matrices of 8 x 8 16-bit elements. Lane 8 m + r provides the address of row r of matrix
// m.
void load_matrices(uint32_t* registers, const void* row, int matrices, bool transposed, Where where);

// d = a b + d. d: 16 x 8 floats, four per lane; a: 16 x depth; b: depth x 8.
void multiply(Operand type, int depth, float* d, const uint32_t* a, const uint32_t* b, Where where);
// The products of `rows` fragments of 16 x depth and `columns` fragments of depth x 8, like as many calls of the
// function above: d[i][j] = a[i] b[j] + d[i][j]. The depth is 16, or 8 in TF32. d: (rows, columns, 4), a: (rows, 4), b:
// (columns, 2).
void multiply(Operand type, int rows, int columns, float* d, const uint32_t* a, const uint32_t* b, Where where);
// d = a b + d. d: 8 x 8 doubles, two per lane; a: 8 x 4; b: 4 x 8.
void multiply(double* d, double a, double b, Where where);

}  // namespace mpanet::simt
