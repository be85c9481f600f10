// Casts (elementwise.cuh: one thread per pack).
//   cast        real or float to storage
//   round       float to TF32, in integers: sm_75 has no instruction for it
// Every kernel moves its inputs and outputs once, in whole sectors.
#include "kernels/cuda/elementwise.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

// Lanes of a pack for a conversion: the wider type fills 16 bytes.
constexpr int kCastLanes = kFull<real>;
constexpr int kImageLanes = kFull<storage> < kFull<float> ? kFull<storage> : kFull<float>;

// From is float or real; load_lanes() converts both to real (in f64 real is double).
template <int kLanes, class From>
__global__ void __launch_bounds__(kPackThreads) cast_kernel(const From* from, storage* to, int64_t count, bool packed) {
  each_pack<kLanes>(count, packed, [&]<int N>(int64_t i) {
    real v[N];
    load_lanes(from + i, v);
    put_lanes(to + i, v, Write::Set);
  });
}

__global__ void __launch_bounds__(kPackThreads)
    round_to_tf32_kernel(const float* from, float* to, int64_t count, bool packed) {
  each_pack<kFull<float>>(count, packed, [&]<int N>(int64_t i) {
    Pack<float, N> pack = load_pack<N>(from + i);
    UNROLL
    for (int j = 0; j < N; j++) {
      const uint32_t bits = std::bit_cast<uint32_t>(pack.lane[j]);
      // Adding half of the last kept bit carries into it, and into the exponent, as rounding does.
      if ((bits & 0x7f800000u) != 0x7f800000u) pack.lane[j] = std::bit_cast<float>((bits + 0x1000u) & 0xffffe000u);
    }
    store_pack(to + i, pack);
  });
}

}  // namespace

void cast_to_storage(Stream stream, const real* from, storage* to, int64_t count) {
  const bool packed = packs_fit(0, from, to);
  LAUNCH((cast_kernel<kCastLanes, real>), pack_blocks<kCastLanes>(count, packed), kPackThreads, 0, stream, from, to,
         count, packed);
}

void cast_images(Stream stream, const float* from, storage* to, int64_t count) {
  const bool packed = packs_fit(0, from, to);
  LAUNCH((cast_kernel<kImageLanes, float>), pack_blocks<kImageLanes>(count, packed), kPackThreads, 0, stream, from, to,
         count, packed);
}

void round_to_tf32(Stream stream, const float* from, float* to, int64_t count) {
  constexpr int N = kFull<float>;
  const bool packed = reinterpret_cast<uintptr_t>(from) % (N * sizeof(float)) == 0 &&
                      reinterpret_cast<uintptr_t>(to) % (N * sizeof(float)) == 0;
  LAUNCH(round_to_tf32_kernel, pack_blocks<N>(count, packed), kPackThreads, 0, stream, from, to, count, packed);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
