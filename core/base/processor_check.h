// A program that was built for more than its processor has says so in one line and exits with code 2. Otherwise it
// would end with an illegal instruction, anywhere.
#pragma once

// The compiler's macro of each instruction set that is checked, and its name in __builtin_cpu_supports().
#define MPANET_INSTRUCTION_SETS(SET)          \
  SET(__SSE3__, "sse3")                       \
  SET(__SSSE3__, "ssse3")                     \
  SET(__SSE4_1__, "sse4.1")                   \
  SET(__SSE4_2__, "sse4.2")                   \
  SET(__POPCNT__, "popcnt")                   \
  SET(__AES__, "aes")                         \
  SET(__PCLMUL__, "pclmul")                   \
  SET(__AVX__, "avx")                         \
  SET(__BMI__, "bmi")                         \
  SET(__BMI2__, "bmi2")                       \
  SET(__FMA__, "fma")                         \
  SET(__AVX2__, "avx2")                       \
  SET(__AVX512F__, "avx512f")                 \
  SET(__AVX512CD__, "avx512cd")               \
  SET(__AVX512BW__, "avx512bw")               \
  SET(__AVX512DQ__, "avx512dq")               \
  SET(__AVX512VL__, "avx512vl")               \
  SET(__AVX512IFMA__, "avx512ifma")           \
  SET(__AVX512VBMI__, "avx512vbmi")           \
  SET(__AVX512VBMI2__, "avx512vbmi2")         \
  SET(__AVX512VNNI__, "avx512vnni")           \
  SET(__AVX512BITALG__, "avx512bitalg")       \
  SET(__AVX512VPOPCNTDQ__, "avx512vpopcntdq") \
  SET(__AVX512BF16__, "avx512bf16")           \
  SET(__AVX5124VNNIW__, "avx5124vnniw")

namespace mpanet {

#define MPANET_COUNT(macro, name) +1
constexpr int kInstructionSets = 0 MPANET_INSTRUCTION_SETS(MPANET_COUNT);
#undef MPANET_COUNT

// The names of the instruction sets that the build's options allow the compiler to use; null in the others' places.
extern const char* const kBuiltFor[kInstructionSets];

}  // namespace mpanet
