#include "bench/cublas_products.h"

#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "core/base/random.h"
#include "kernels/cuda/stream.h"

namespace mpanet {
namespace {

void check(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS) throw CheckError(fmt::format("{}: {}", call, cublasGetStatusString(status)));
}

// Random values: with zeros a GPU runs faster. A block of values is repeated; its length is odd, so that rows differ.
template <class T>
std::vector<T> random_matrix(int n) {
  std::vector<T> block(1000003), matrix(static_cast<size_t>(n) * n);
  Random random(1, Purpose::Test, 0, 1);
  for (T& v : block) v = static_cast<T>(static_cast<float>(random.uniform(-1, 1)));
  for (size_t i = 0; i < matrix.size(); i++) matrix[i] = block[i % block.size()];
  return matrix;
}

struct Operands {
  Operands(Context& context, size_t bytes) : a(context, bytes), b(context, bytes), c(context, bytes) {}
  Buffer a, b, c;
};

template <class T>
std::shared_ptr<Operands> operands(Context& context, int n) {
  const std::vector<T> values = random_matrix<T>(n);
  const size_t bytes = values.size() * sizeof(T);
  auto made = std::make_shared<Operands>(context, bytes);
  context.to_device(made->a.template as<void>(), values.data(), bytes);
  context.to_device(made->b.template as<void>(), values.data(), bytes);
  return made;
}

}  // namespace

std::vector<std::pair<std::string, std::function<void()>>> cublas_products(Context& context, int n) {
  cublasHandle_t made = nullptr;
  check(cublasCreate(&made), "cublasCreate");
  const std::shared_ptr<cublasContext> handle(made, [](cublasHandle_t h) { static_cast<void>(cublasDestroy(h)); });
  check(cublasSetStream(made, cuda::state_of(context.stream()).handle.get()), "cublasSetStream");
  const auto product = [=](const std::shared_ptr<Operands>& m, cudaDataType type,
                           cublasComputeType_t sums) -> std::function<void()> {
    return [=] {
      const float one = 1, zero = 0;
      check(cublasGemmEx(handle.get(), CUBLAS_OP_N, CUBLAS_OP_N, n, n, n, &one, m->a.as<void>(), type, n,
                         m->b.as<void>(), type, n, &zero, m->c.as<void>(), type, n, sums, CUBLAS_GEMM_DEFAULT),
            "cublasGemmEx");
    };
  };
  const auto single = operands<float>(context, n);
  return {{"f32", product(single, CUDA_R_32F, CUBLAS_COMPUTE_32F)},
          {"tf32", product(single, CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32)},
          {"bf16", product(operands<__nv_bfloat16>(context, n), CUDA_R_16BF, CUBLAS_COMPUTE_32F)},
          {"f16", product(operands<__half>(context, n), CUDA_R_16F, CUBLAS_COMPUTE_32F)}};
}

}  // namespace mpanet
