// The finite check of gradients. Reads x once. A block changes the result to 0 or not at all.
#include <limits>

#include "kernels/cuda/flat.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

__global__ void __launch_bounds__(kFlatThreads)
    check_finite_kernel(const real* x, int64_t count, bool packed, int32_t* finite) {
  bool good = true;
  each_flat(count, packed, [&]<int N>(int64_t i) {
    const Pack<real, N> v = load_pack<N>(x + i);
    for (int j = 0; j < N; j++) good &= fabs(v.lane[j]) <= std::numeric_limits<real>::max();
  });
  if (!__syncthreads_and(good) && threadIdx.x == 0) atomicAnd(finite, 0);
}

}  // namespace

void check_finite(Stream stream, const real* x, int64_t count, int32_t* finite) {
  KERNEL_CHECK(count > 0, "values");
  const bool packed = flat_packs_fit(x);
  LAUNCH(check_finite_kernel, flat_blocks(count, packed), kFlatThreads, 0, stream, x, count, packed, finite);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
