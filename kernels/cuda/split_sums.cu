// Adds the splits of several products, as of all weight gradients at the end of a backward pass, in one launch:
//   to (count) = or += sum over the splits, in order, of partial (splits, count)
// A thread has a pack of elements. Blocks are numbered through all products, a block finds its own by the number.
// Bytes: the partial sums are read once, and their sums written.
#include <algorithm>

#include "kernels/cuda/flat.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

constexpr int kMostProducts = 64;  // of a launch: a kernel's parameters are at most 4 KiB

struct Product {
  SplitSums sums;
  int first_block;
  bool packed;
};
struct Products {
  Product at[kMostProducts];
  int count;
};

template <int N>
__device__ void add_splits_of(const SplitSums& sums, int64_t at) {
  if (at >= sums.count) return;
  real total[N] = {};
  for (int split = 0; split < sums.splits; split++) {
    const Pack<real, N> part = load_pack<N>(sums.partial + split * sums.count + at);
    UNROLL
    for (int j = 0; j < N; j++) total[j] += part.lane[j];
  }
  put_lanes(sums.to + at, total, sums.write);
}

// __grid_constant__: otherwise an index that is not known at compile time would copy the products to the stack.
__global__ void __launch_bounds__(kFlatThreads) add_split_sums_kernel(const __grid_constant__ Products products) {
  const int block = static_cast<int>(blockIdx.x);
  int own = 0;  // the last product whose first block is not after this one
  for (int step = kMostProducts / 2; step > 0; step /= 2)
    if (own + step < products.count && products.at[own + step].first_block <= block) own += step;
  const Product& product = products.at[own];
  const int64_t thread = int64_t{block - product.first_block} * kFlatThreads + threadIdx.x;
  if (product.packed)
    add_splits_of<kFull<real>>(product.sums, thread * kFull<real>);
  else
    add_splits_of<1>(product.sums, thread);
}

}  // namespace

void add_split_sums(Stream stream, const SplitSums* list, int length) {
  for (int first = 0; first < length; first += kMostProducts) {
    Products products{};
    products.count = std::min(kMostProducts, length - first);
    int64_t blocks = 0;
    for (int i = 0; i < products.count; i++) {
      const SplitSums& sums = list[first + i];
      const bool packed = sums.count % kFull<real> == 0 && flat_packs_fit(sums.partial, sums.to);
      products.at[i] = {sums, static_cast<int>(blocks), packed};
      blocks += divide_up(sums.count, int64_t{kFlatThreads} * (packed ? kFull<real> : 1));
      KERNEL_CHECK(sums.count > 0 && sums.splits > 0, "sums");
      KERNEL_CHECK(blocks < int64_t{1} << 31, "fewer than 2^31 blocks");
    }
    LAUNCH(add_split_sums_kernel, static_cast<unsigned>(blocks), kFlatThreads, 0, stream, products);
  }
}

}  // namespace mpanet::PRECISION::KERNEL_NS
