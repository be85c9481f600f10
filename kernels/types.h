// The types of the kernel interface that do not depend on the precision.
#pragma once
#include <cstddef>
#include <cstdint>

namespace mpanet {

// cpu: plain loops. cuda: the handwritten kernels on a GPU. emu: the same kernels under the emulation of kernels/emu.
enum class Backend { cpu, emu, cuda };

// CheckError: this build does not have the backend `what`.
[[noreturn]] void no_backend(const char* what);
// Throws CheckError for a violated precondition of a launcher. For .cu files, which do not include fmt.
[[noreturn]] void kernel_check_failed(const char* function, const char* expected, const char* condition);

// An opaque stream; each backend defines the type that it points to. Work on a stream runs in order. The cpu backend
// runs it immediately; its stream holds oneDNN's engine and compiled primitives.
struct StreamBody;
using Stream = StreamBody*;

// A device's memory, in bytes; all 0 for a backend that does not count.
struct MemoryUse {
  size_t in_use = 0, peak = 0;  // allocated on this stream: now, and the maximum so far
  size_t held = 0;              // in use or kept for reuse
  size_t free = 0, total = 0;   // of the device; other programs count as used
};

// A convolution's geometry. Activations NHWC, weights OHWI. Padding is symmetric, stride equal in both directions.
struct ConvShape {
  int n = 0, h = 0, w = 0, c = 0;  // input (n, h, w, c)
  int k = 0, kh = 0, kw = 0;       // weights (k, kh, kw, c)
  int stride = 1, pad = 0;
  int oh() const { return (h + 2 * pad - kh) / stride + 1; }  // output (n, oh, ow, k)
  int ow() const { return (w + 2 * pad - kw) / stride + 1; }
  int64_t input_count() const { return int64_t{n} * h * w * c; }
  int64_t output_count() const { return int64_t{n} * oh() * ow() * k; }
  int64_t weight_count() const { return int64_t{k} * kh * kw * c; }
  double flops() const { return 2.0 * static_cast<double>(output_count()) * kh * kw * c; }
  auto operator<=>(const ConvShape&) const = default;
};

// A product's matrices in memory: elements from row to row; 0: dense. All rows have as many elements, the last one too.
// What lies behind a row's own elements has no meaning: it never changes a result, and may be overwritten in c.
struct GemmStrides {
  int64_t a = 0, b = 0, c = 0;
  // The numbers behind each 0, for the sizes of gemm().
  GemmStrides of(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k) const {
    return {a > 0 ? a : transpose_a ? m : k, b > 0 ? b : transpose_b ? k : n, c > 0 ? c : n};
  }
};

enum class ConvPass { Forward, BackwardData, BackwardWeights };

// Max pooling over size x size windows. Ties: the first maximum in row order wins.
struct PoolShape {
  int n = 0, h = 0, w = 0, c = 0;
  int size = 3, stride = 2, pad = 1;
  int oh() const { return (h + 2 * pad - size) / stride + 1; }
  int ow() const { return (w + 2 * pad - size) / stride + 1; }
  int64_t input_count() const { return int64_t{n} * h * w * c; }
  int64_t output_count() const { return int64_t{n} * oh() * ow() * c; }
};

// Values that change from step to step are in device memory, so that a captured step can be replayed. The host sends
// StepRates before each step. Kernels alone change StepState during training.
struct StepRates {
  double learning_rate = 0;
  double teacher_rate = 0;  // r of docs/method.md, section 2
};

struct StepState {
  int64_t step = 0;           // updates so far; in the optimiser's launch the number of this update, from 1
  double loss_scale = 1;      // factor of the next step's loss
  double gradient_scale = 1;  // factor of the gradients in memory
  int32_t steady = 0;         // updates since loss_scale changed
  int32_t finite = 1;         // 0: check_finite() found a value that is not finite
  int32_t updated = 1;        // 0: the optimiser leaves this step out
};

// Dynamic loss scaling (docs/method.md, section 3). A step left out halves the scale, which is at least 1;
// `steady_steps` updates in a row double it, up to `largest`. steady_steps 0: the scale is constant.
struct LossScaling {
  double largest = 1;
  int32_t steady_steps = 0;
};

struct AdamSettings {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
};

struct SgdSettings {
  double momentum = 0.9, weight_decay = 0;
};

// A range of a batch's rows. Losses read all rows; their gradients are written for this range (of one process).
struct Rows {
  int begin = 0, count = 0;
};

}  // namespace mpanet

// ON_BACKEND(backend, f(x)) is cpu::f(x), emu::f(x) or cuda::f(x), looked up in the current namespace.
#if defined(MPANET_HAS_EMU)
#  define ON_EMU(call) emu::call
#else
#  define ON_EMU(call) (::mpanet::no_backend("emu"), cpu::call)
#endif
#if defined(MPANET_HAS_CUDA)
#  define ON_CUDA(call) cuda::call
#else
#  define ON_CUDA(call) (::mpanet::no_backend("cuda"), cpu::call)
#endif
#define ON_BACKEND(backend, call) \
  ((backend) == ::mpanet::Backend::cpu ? cpu::call : (backend) == ::mpanet::Backend::emu ? ON_EMU(call) : ON_CUDA(call))
