#include "kernels/cuda/allocator.h"

#include <algorithm>

#include "core/base/error.h"

namespace mpanet::cuda {
namespace {

// Small sizes are rounded up in steps of an eighth of their power of two, so that similar requests can reuse a block
// and at most an eighth of it is wasted. Large sizes are not rounded, so that they equal the memory plan's.
size_t size_class(size_t bytes) {
  constexpr size_t kSmallest = 256, kLarge = size_t{1} << 20;
  if (bytes >= kLarge) return bytes;
  size_t step = kSmallest;
  while (step * 16 <= bytes) step *= 2;
  return (std::max(bytes, kSmallest) + step - 1) / step * step;
}

}  // namespace

DeviceBlock Allocator::take(size_t bytes) {
  void* memory = nullptr;
  const cudaError_t error = cudaMalloc(&memory, bytes);
  if (error == cudaErrorMemoryAllocation)
    cudaGetLastError();
  else
    CUDA_CALL(error);
  return DeviceBlock(memory);
}

void* Allocator::allocate(size_t bytes, cudaStream_t stream) {
  const size_t size = size_class(bytes);
  Block block;
  // Best fit, unless more than a quarter of the request would be wasted.
  if (const auto fit = kept_.lower_bound(size); fit != kept_.end() && fit->first - size <= size / 4) {
    block = std::move(fit->second);
    kept_.erase(fit);
  } else {
    block = {take(size), size};
    if (block.memory == nullptr && !kept_.empty()) {
      CUDA_CALL(cudaStreamSynchronize(stream));
      for (const auto& [kept_bytes, kept] : kept_) held_ -= kept_bytes;
      kept_.clear();
      block.memory = take(size);
    }
    if (block.memory == nullptr) return nullptr;
    held_ += size;
  }
  in_use_ += block.bytes;
  peak_ = std::max(peak_, in_use_);
  void* const memory = block.memory.get();
  used_[memory] = std::move(block);
  return memory;
}

void Allocator::release(void* memory) {
  auto node = used_.extract(memory);
  MPANET_CHECK(!node.empty(), "{} was not handed out", memory);
  in_use_ -= node.mapped().bytes;
  kept_.emplace(node.mapped().bytes, std::move(node.mapped()));
}

}  // namespace mpanet::cuda
