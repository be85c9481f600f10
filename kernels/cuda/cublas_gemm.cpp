// Matrix products by cuBLAS. It reads row-major matrices as their transposes, so c' = op(b)' op(a)'. Arithmetic is
// plain float or double, or TF32 on a stream that uses it. Products with a bias use our kernel.
#include <cublas_v2.h>

#include <algorithm>
#include <map>
#include <string>
#include <tuple>

#include "kernels/cuda/stream.h"
#include "kernels/cuda/vendor_calls.h"
#include "kernels/cuda/vendor_trial.h"

#define AS_TEXT_(x) #x
#define AS_TEXT(x) AS_TEXT_(x)
#define CUBLAS_CALL(call) check((call), #call)

namespace mpanet::PRECISION::vendor {
namespace {

namespace runtime = ::mpanet::cuda;
using runtime::on_device;
using runtime::StreamState;
using runtime::TrialMemory;

constexpr size_t kWorkspace = size_t{32} << 20;  // NVIDIA's recommendation for its largest cards

void check(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS) throw CheckError(fmt::format("{}: {}", call, cublasGetStatusString(status)));
}

using Product = std::tuple<bool, bool, int64_t, int64_t, int64_t>;  // transposed a, transposed b, m, n, k

struct Library {
  cublasHandle_t handle = nullptr;
  std::map<Product, bool> taken;
  Library() { CUBLAS_CALL(cublasCreate(&handle)); }
  ~Library() { static_cast<void>(cublasDestroy(handle)); }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
};

constexpr char kTag = 0;

// The stream's device must be the current one.
Library& library_of(StreamState& state) {
  const bool made = state.shared.contains(&kTag);
  Library& library = state.get<Library>(&kTag);
  if (!made) CUBLAS_CALL(cublasSetStream(library.handle, state.handle.get()));
  return library;
}

cublasStatus_t multiply(cublasHandle_t handle, cublasOperation_t left, cublasOperation_t right, int m, int n, int k,
                        const float* alpha, const float* a, int lda, const float* b, int ldb, const float* beta,
                        float* c, int ldc) {
  return cublasSgemm(handle, left, right, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
cublasStatus_t multiply(cublasHandle_t handle, cublasOperation_t left, cublasOperation_t right, int m, int n, int k,
                        const double* alpha, const double* a, int lda, const double* b, int ldb, const double* beta,
                        double* c, int ldc) {
  return cublasDgemm(handle, left, right, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

// How cuBLAS rounds the operands to TF32 is not documented.
bool in_tf32(Stream stream) { return kTf32Products && runtime::uses_tf32(stream); }

bool native_only(Stream stream) { return runtime::vendors_of(stream).product == runtime::Provider::Native; }

}  // namespace

size_t gemm_workspace_bytes(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                            const GemmStrides& strides, size_t native) {
  if (native_only(stream)) return native;
  const size_t bytes = std::max(native, kWorkspace);
  on_device(stream, [&](StreamState& state) {
    bool& taken = library_of(state).taken[{transpose_a, transpose_b, m, n, k}];
    const runtime::Vendors& settings = runtime::vendors_of(stream);
    const std::string words = fmt::format("gemm {} {}{} {}x{}x{}", in_tf32(stream) ? "tf32" : AS_TEXT(PRECISION),
                                          transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k);
    if (settings.product == runtime::Provider::Vendor) {
      taken = true;
    } else if (settings.choices.contains(words)) {
      taken = settings.choices.at(words) == "cublas";
    } else {
      const auto size = [](int64_t rows, int64_t columns) {
        return static_cast<size_t>(rows * columns) * sizeof(real);
      };
      const TrialMemory a(stream, size(transpose_a ? k : m, strides.a)),
          b(stream, size(transpose_b ? n : k, strides.b)), c(stream, size(m, strides.c)), workspace(stream, bytes);
      taken = runtime::library_is_faster(stream, words, "cublas", [&](bool with_library) {
        taken = with_library;
        cuda::gemm(stream, transpose_a, transpose_b, m, n, k, a.as<real>(), b.as<real>(), nullptr, c.as<real>(),
                   Write::Set, workspace.as<void>(), strides);
      });
    }
  });
  return bytes;
}

bool gemm(Stream stream, bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const real* a,
          const real* b, const real* bias, real* c, Write write, void* workspace, const GemmStrides& strides) {
  if (native_only(stream) || bias != nullptr) return false;
  return on_device(stream, [&](StreamState& state) {
    Library& library = library_of(state);
    const auto found = library.taken.find({transpose_a, transpose_b, m, n, k});
    if (found == library.taken.end() || !found->second) return false;
    const real one = 1, beta = write == Write::Add ? real{1} : real{0};
    const auto operation = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
    const int rows = static_cast<int>(m), columns = static_cast<int>(n), depth = static_cast<int>(k);
    // The default mode never reduces float's precision.
    CUBLAS_CALL(cublasSetMathMode(library.handle, in_tf32(stream) ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH));
    CUBLAS_CALL(cublasSetWorkspace(library.handle, workspace, kWorkspace));
    CUBLAS_CALL(multiply(library.handle, operation(transpose_b), operation(transpose_a), columns, rows, depth, &one, b,
                         static_cast<int>(strides.b), a, static_cast<int>(strides.a), &beta, c,
                         static_cast<int>(strides.c)));
    return true;
  });
}

}  // namespace mpanet::PRECISION::vendor
