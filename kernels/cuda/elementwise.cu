// Casts and sums (elementwise.cuh: one thread per pack).
//   cast        real or float to storage;  accumulate: to (+)= from
// Every kernel moves its inputs and outputs once, in whole sectors (Write::Add reads its output too).
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
    accumulate_kernel(const real* from, real* to, int64_t count, bool packed, Write write) {
  each_pack<kFull<real>>(count, packed, [&]<int N>(int64_t i) {
    real v[N];
    load_lanes(from + i, v);
    put_lanes(to + i, v, write);
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

void accumulate(Stream stream, const real* from, real* to, int64_t count, Write write) {
  const bool packed = packs_fit(0, from, to);
  LAUNCH(accumulate_kernel, pack_blocks<kFull<real>>(count, packed), kPackThreads, 0, stream, from, to, count, packed,
         write);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
