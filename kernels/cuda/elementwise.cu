// Casts (elementwise.cuh: one thread per pack).
//   cast        real or float to storage
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

}  // namespace mpanet::PRECISION::KERNEL_NS
