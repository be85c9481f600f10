// The table of kernel benchmarks: each kernel of kernels.inc at the sizes that MPANet's training step gives it.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/precisions.h"
#include "core/base/real.h"
#include "core/context.h"
#include "kernels/types.h"

namespace mpanet {

// MPANet on a ResNet-50 as the paper trains it. `narrow` divides the channels and everything that has a size of its
// own (identities, parameters, the test set): a rehearsal under the emulation.
struct KernelSizes {
  int batch = 128, height = 384, width = 128;
  int samples = 128;  // rows of the losses
  int narrow = 1;
  bool odd = false;  // channels that no vector width divides
  int channels(int c) const { return (c / narrow < 4 ? 4 : c / narrow) + odd; }
  int identities() const { return narrow == 1 ? 395 : 5; }
  int features() const { return (parts + 1) * channels(2048); }
  int queries() const { return narrow == 1 ? 3803 : 7; }  // SYSU-MM01, all search
  int gallery() const { return narrow == 1 ? 301 : 5; }
  int64_t parameters() const;  // that the optimiser changes
  static constexpr int parts = 6;
};

// The distinct convolutions of the backbone (last stride 1), stem first.
std::vector<ConvShape> backbone_convolutions(const KernelSizes& sizes);
std::string describe(const ConvShape& shape);  // 128x192x64x64 -> 64 3x3/2

using Call = std::function<void()>;

// The memory of one instance of a benchmark. `dry`: addresses without memory behind them, for calls whose launches are
// recorded and not executed.
class Memory {
 public:
  Memory(Context& context, bool dry) : context_(context), dry_(dry) {}
  Context& context() const { return context_; }
  bool dry() const { return dry_; }
  size_t bytes() const { return bytes_; }
  void* allocate(size_t bytes);  // zero at first
  void upload(void* to, const void* from, size_t bytes);

 private:
  Context& context_;
  bool dry_;
  std::vector<Buffer> buffers_;
  size_t bytes_ = 0;
};

struct KernelBench {
  std::string kernel, shape;
  double bytes = 0, flops = 0;  // bytes: the least that must move, inputs read once and outputs written once
  bool storage = false;         // flops are of products of storage values, else of real ones
  std::function<Call(Memory&)> make;
  std::function<Call(Memory&)> vendor;  // the same work by the CPU's vendor library; empty: none
};

// Per precision: a kernel's types, and so its bytes, are the engine's.
#define DECLARE_KERNEL_BENCHES(precision)                              \
  namespace precision {                                                \
  std::vector<KernelBench> kernel_benches(const KernelSizes& sizes);   \
  }
MPANET_EACH_PRECISION(DECLARE_KERNEL_BENCHES)
#undef DECLARE_KERNEL_BENCHES

}  // namespace mpanet
