// Convolution by cuDNN 9, with NHWC activations and OHWI filters. As in our kernels, sums are in float, f32 uses TF32
// only on a stream that asks for it (how it rounds the operands is not documented), and only deterministic algorithms
// are allowed. cuDNN has no f64 in this layout. The workspace is the algorithm's; backward weights in 16 bits has dw in
// storage after it, which widen() converts to real.
#include <cudnn.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <type_traits>
#include <utility>

#include "kernels/cuda/conv_epilogue.h"
#include "kernels/cuda/stream.h"
#include "kernels/cuda/vendor_calls.h"
#include "kernels/cuda/vendor_trial.h"

#define AS_TEXT_(x) #x
#define AS_TEXT(x) AS_TEXT_(x)
#define CUDNN_CALL(call) check((call), #call)

namespace mpanet::PRECISION::vendor {
namespace {

namespace runtime = ::mpanet::cuda;
using runtime::on_device;
using runtime::StreamState;
using runtime::TrialMemory;

constexpr size_t kMostWorkspace = size_t{1} << 30;  // bytes; algorithms that need more are not used
constexpr bool kHalf = sizeof(storage) == 2;
constexpr cudnnDataType_t kType = std::is_same_v<storage, double>     ? CUDNN_DATA_DOUBLE
                                  : std::is_same_v<storage, float>    ? CUDNN_DATA_FLOAT
                                  : std::is_same_v<storage, bfloat16> ? CUDNN_DATA_BFLOAT16
                                                                      : CUDNN_DATA_HALF;

void check(cudnnStatus_t status, const char* call) {
  if (status != CUDNN_STATUS_SUCCESS) throw CheckError(fmt::format("{}: {}", call, cudnnGetErrorString(status)));
}

template <class T, auto create, auto destroy>
class Owned {
 public:
  Owned() { CUDNN_CALL(create(&handle_)); }
  ~Owned() { static_cast<void>(destroy(handle_)); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  operator T() const { return handle_; }

 private:
  T handle_{};
};
using Handle = Owned<cudnnHandle_t, cudnnCreate, cudnnDestroy>;
using TensorDescriptor = Owned<cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor>;
using FilterDescriptor = Owned<cudnnFilterDescriptor_t, cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor>;
using ConvolutionDescriptor =
    Owned<cudnnConvolutionDescriptor_t, cudnnCreateConvolutionDescriptor, cudnnDestroyConvolutionDescriptor>;

// Descriptors and algorithm of cuDNN for one shape and pass.
struct Plan {
  TensorDescriptor x, y;
  FilterDescriptor w;
  ConvolutionDescriptor convolution;
  bool possible = false, taken = false;
  int algorithm = 0;
  size_t workspace = 0;
};

struct Library {
  Handle handle;
  std::map<std::pair<ConvShape, ConvPass>, Plan> plans;
};

constexpr char kTag = 0;

// The stream's device must be the current one.
Library& library_of(StreamState& state) {
  const bool made = state.shared.contains(&kTag);
  Library& library = state.get<Library>(&kTag);
  if (!made) CUDNN_CALL(cudnnSetStream(library.handle, state.handle.get()));
  return library;
}

constexpr size_t aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }

bool in_tf32(Stream stream) { return kTf32Convolutions && runtime::uses_tf32(stream); }

// CUDNN_FMA_MATH excludes TF32, which cuDNN's default would use for float.
cudnnMathType_t math_of(Stream stream) { return kHalf || in_tf32(stream) ? CUDNN_TENSOR_OP_MATH : CUDNN_FMA_MATH; }

void describe(Stream stream, Plan& plan, const ConvShape& s) {
  CUDNN_CALL(cudnnSetTensor4dDescriptor(plan.x, CUDNN_TENSOR_NHWC, kType, s.n, s.c, s.h, s.w));
  CUDNN_CALL(cudnnSetTensor4dDescriptor(plan.y, CUDNN_TENSOR_NHWC, kType, s.n, s.k, s.oh(), s.ow()));
  CUDNN_CALL(cudnnSetFilter4dDescriptor(plan.w, kType, CUDNN_TENSOR_NHWC, s.k, s.c, s.kh, s.kw));
  CUDNN_CALL(cudnnSetConvolution2dDescriptor(plan.convolution, s.pad, s.pad, s.stride, s.stride, 1, 1,
                                             CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
  CUDNN_CALL(cudnnSetConvolutionMathType(plan.convolution, math_of(stream)));
}

// Takes the first allowed algorithm of cuDNN's list, which is sorted by speed. `tensor_cores`: may it use them.
template <class Found, class WorkspaceQuery>
void take_algorithm(Plan& plan, bool tensor_cores, const Found* list, int count,
                    const WorkspaceQuery& workspace_bytes) {
  for (int i = 0; i < count; i++) {
    const Found& found = list[i];
    if (found.status != CUDNN_STATUS_SUCCESS || found.determinism != CUDNN_DETERMINISTIC) continue;
    if (tensor_cores) {
      if (found.mathType == CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION) continue;
      CUDNN_CALL(cudnnSetConvolutionMathType(plan.convolution, found.mathType));
    } else if (found.mathType != CUDNN_FMA_MATH && found.mathType != CUDNN_DEFAULT_MATH) {
      continue;  // tensor cores in f32 are TF32
    }
    if (workspace_bytes(found.algo, &plan.workspace) != CUDNN_STATUS_SUCCESS) continue;
    if (plan.workspace > kMostWorkspace) continue;
    plan.algorithm = static_cast<int>(found.algo);
    plan.possible = true;
    return;
  }
}

void find_algorithm(Library& l, Plan& p, ConvPass pass, bool tensor_cores) {
  constexpr int kMost = 16;
  int count = 0;
  if (pass == ConvPass::Forward) {
    std::array<cudnnConvolutionFwdAlgoPerf_t, kMost> list;
    if (cudnnGetConvolutionForwardAlgorithm_v7(l.handle, p.x, p.w, p.convolution, p.y, kMost, &count, list.data()) ==
        CUDNN_STATUS_SUCCESS)
      take_algorithm(p, tensor_cores, list.data(), count, [&](cudnnConvolutionFwdAlgo_t algorithm, size_t* bytes) {
        return cudnnGetConvolutionForwardWorkspaceSize(l.handle, p.x, p.w, p.convolution, p.y, algorithm, bytes);
      });
  } else if (pass == ConvPass::BackwardData) {
    std::array<cudnnConvolutionBwdDataAlgoPerf_t, kMost> list;
    if (cudnnGetConvolutionBackwardDataAlgorithm_v7(l.handle, p.w, p.y, p.convolution, p.x, kMost, &count,
                                                    list.data()) == CUDNN_STATUS_SUCCESS)
      take_algorithm(p, tensor_cores, list.data(), count, [&](cudnnConvolutionBwdDataAlgo_t algorithm, size_t* bytes) {
        return cudnnGetConvolutionBackwardDataWorkspaceSize(l.handle, p.w, p.y, p.convolution, p.x, algorithm, bytes);
      });
  } else {
    std::array<cudnnConvolutionBwdFilterAlgoPerf_t, kMost> list;
    if (cudnnGetConvolutionBackwardFilterAlgorithm_v7(l.handle, p.x, p.y, p.convolution, p.w, kMost, &count,
                                                      list.data()) == CUDNN_STATUS_SUCCESS)
      take_algorithm(p, tensor_cores, list.data(), count,
                     [&](cudnnConvolutionBwdFilterAlgo_t algorithm, size_t* bytes) {
                       return cudnnGetConvolutionBackwardFilterWorkspaceSize(l.handle, p.x, p.y, p.convolution, p.w,
                                                                             algorithm, bytes);
                     });
  }
}

size_t workspace_of(const Plan& plan, const ConvShape& s, ConvPass pass) {
  const bool widened = kHalf && pass == ConvPass::BackwardWeights;
  return aligned(plan.workspace) + (widened ? static_cast<size_t>(s.weight_count()) * sizeof(storage) : 0);
}

std::string in_words(Stream stream, const ConvShape& s, ConvPass pass) {
  const char* name = pass == ConvPass::Forward        ? "forward"
                     : pass == ConvPass::BackwardData ? "backward data"
                                                      : "backward weights";
  return fmt::format("conv {} {} {}x{}x{}x{} -> {}, {}x{}, stride {}, pad {}",
                     in_tf32(stream) ? "tf32" : AS_TEXT(PRECISION), name, s.n, s.h, s.w, s.c, s.k, s.kh, s.kw, s.stride,
                     s.pad);
}

// Runs one convolution: by cuDNN if plan.taken, else by our kernel.
void run_once(Stream stream, const ConvShape& s, ConvPass pass, const TrialMemory& x, const TrialMemory& w,
              const TrialMemory& y, const TrialMemory& prepared, const TrialMemory& workspace) {
  if (pass == ConvPass::Forward)
    cuda::conv_forward(stream, s, x.as<storage>(), w.as<storage>(), prepared.as<void>(), {}, y.as<storage>(),
                       workspace.as<void>());
  else if (pass == ConvPass::BackwardData)
    cuda::conv_backward_data(stream, s, y.as<storage>(), w.as<storage>(), prepared.as<void>(), x.as<storage>(),
                             Write::Set, workspace.as<void>());
  else
    cuda::conv_backward_weights(stream, s, x.as<storage>(), y.as<storage>(), w.as<real>(), Write::Set,
                                workspace.as<void>());
}

bool faster(Stream stream, const ConvShape& s, ConvPass pass, Plan& plan, const std::string& words, size_t native) {
  const auto bytes = [](int64_t count, size_t size) { return static_cast<size_t>(count) * size; };
  const TrialMemory x(stream, bytes(s.input_count(), sizeof(storage)));
  const TrialMemory y(stream, bytes(s.output_count(), sizeof(storage)));
  const TrialMemory w(stream, bytes(s.weight_count(), sizeof(real)));  // the weights, or their gradient
  const TrialMemory workspace(stream, std::max(native, workspace_of(plan, s, pass)));
  const TrialMemory prepared(stream, cuda::conv_weights_bytes(stream, s, pass));
  return runtime::library_is_faster(stream, words, "cudnn", [&](bool with_library) {
    plan.taken = with_library;
    run_once(stream, s, pass, x, w, y, prepared, workspace);
  });
}

// The plan if cuDNN computes this shape and pass, else null.
Plan* taken_plan(StreamState& state, const ConvShape& s, ConvPass pass) {
  Library& library = library_of(state);
  const auto found = library.plans.find({s, pass});
  return found != library.plans.end() && found->second.taken ? &found->second : nullptr;
}

bool native_only(Stream stream) {
  return std::is_same_v<storage, double> || runtime::vendors_of(stream).convolution == runtime::Provider::Native;
}

constexpr float kOne = 1, kZero = 0;

}  // namespace

size_t conv_workspace_bytes(Stream stream, const ConvShape& s, ConvPass pass, size_t native) {
  const runtime::Provider provider = runtime::vendors_of(stream).convolution;
  if (provider == runtime::Provider::Vendor && std::is_same_v<storage, double>)
    fail("--conv cudnn: cuDNN has no f64 convolution of NHWC; choose native or auto");
  if (native_only(stream)) return native;
  return on_device(stream, [&](StreamState& state) {
    Library& library = library_of(state);
    const auto [entry, added] = library.plans.try_emplace({s, pass});
    Plan& plan = entry->second;
    const std::string words = in_words(stream, s, pass);
    if (added) {
      describe(stream, plan, s);
      find_algorithm(library, plan, pass, kHalf || in_tf32(stream));
    }
    if (!plan.possible) {
      runtime::note_native(stream, words);
      return native;
    }
    if (provider == runtime::Provider::Vendor)
      plan.taken = true;
    else if (const auto& choices = runtime::vendors_of(stream).choices; choices.contains(words))
      plan.taken = choices.at(words) == "cudnn";
    else
      plan.taken = faster(stream, s, pass, plan, words, native);
    return std::max(native, workspace_of(plan, s, pass));
  });
}

bool conv_is_native(Stream stream, const ConvShape& s, ConvPass pass) {
  if (native_only(stream)) return true;
  cuda::conv_workspace_bytes(stream, s, pass);  // makes the plan
  return on_device(stream, [&](StreamState& state) { return taken_plan(state, s, pass) == nullptr; });
}

bool conv_forward(Stream stream, const ConvShape& s, const storage* x, const storage* w, const ConvEpilogue& epilogue,
                  storage* y, void* workspace) {
  if (native_only(stream)) return false;
  return on_device(stream, [&](StreamState& state) {
    const Plan* plan = taken_plan(state, s, ConvPass::Forward);
    if (plan == nullptr) return false;
    ConvEpilogue rest = epilogue;
    const bool in_place = epilogue.residual == y;
    if (in_place) {  // y holds the residual, and cuDNN adds to it; impossible with a scale, which applies to the sum
                     // only
      if (epilogue.scale != nullptr) return false;
      rest.residual = nullptr;
    }
    CUDNN_CALL(cudnnConvolutionForward(library_of(state).handle, &kOne, plan->x, x, plan->w, w, plan->convolution,
                                       static_cast<cudnnConvolutionFwdAlgo_t>(plan->algorithm), workspace,
                                       plan->workspace, in_place ? &kOne : &kZero, plan->y, y));
    if (rest.scale != nullptr || rest.shift != nullptr || rest.residual != nullptr || rest.relu)
      cuda::finish_convolution(stream, y, s.output_count() / s.k, s.k, rest);
    return true;
  });
}

bool conv_backward_data(Stream stream, const ConvShape& s, const storage* dy, const storage* w, storage* dx,
                        Write write, void* workspace) {
  if (native_only(stream)) return false;
  return on_device(stream, [&](StreamState& state) {
    const Plan* plan = taken_plan(state, s, ConvPass::BackwardData);
    if (plan == nullptr) return false;
    CUDNN_CALL(cudnnConvolutionBackwardData(library_of(state).handle, &kOne, plan->w, w, plan->y, dy, plan->convolution,
                                            static_cast<cudnnConvolutionBwdDataAlgo_t>(plan->algorithm), workspace,
                                            plan->workspace, write == Write::Add ? &kOne : &kZero, plan->x, dx));
    return true;
  });
}

bool conv_backward_weights(Stream stream, const ConvShape& s, const storage* x, const storage* dy, real* dw,
                           Write write, void* workspace) {
  if (native_only(stream)) return false;
  return on_device(stream, [&](StreamState& state) {
    const Plan* plan = taken_plan(state, s, ConvPass::BackwardWeights);
    if (plan == nullptr) return false;
    void* to = dw;
    if (kHalf) to = static_cast<char*>(workspace) + aligned(plan->workspace);
    const bool add = write == Write::Add && !kHalf;
    CUDNN_CALL(cudnnConvolutionBackwardFilter(library_of(state).handle, &kOne, plan->x, x, plan->y, dy,
                                              plan->convolution,
                                              static_cast<cudnnConvolutionBwdFilterAlgo_t>(plan->algorithm), workspace,
                                              plan->workspace, add ? &kOne : &kZero, plan->w, to));
    if (kHalf) cuda::widen(stream, static_cast<const storage*>(to), dw, s.weight_count(), write);
    return true;
  });
}

}  // namespace mpanet::PRECISION::vendor
