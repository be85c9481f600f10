// Parameter updates like PyTorch 2's, with weight decay added to the gradient, all parameters in one launch:
//   Adam      m += (1 - b1) (g - m),  v = b2 v + (1 - b2) g^2,
//             value -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
//   SGD       u = g on the first step, then momentum u + g;  value -= lr u
//   teacher   teacher = (1 - r) teacher + r live
// Values that change from step to step are read from device memory. A block's first thread computes the scalars, in
// double in every precision; then all threads loop over the arrays in packs of 16 bytes.
// Reals per parameter, which is the minimum: Adam reads 4 and writes 3, SGD 3 and 2, teacher 2 and 1.
#include "kernels/cuda/flat.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

struct Adam {
  real rate, root;
};

struct AdamConstants {
  real eps, decay, take1, beta2, take2;
};

__global__ void __launch_bounds__(kFlatThreads)
    adam_kernel(const StepState* state, double beta1, double beta2, AdamConstants constants, const real* gradient,
                real* first, real* second, real* value, int64_t count, bool packed) {
  Adam& adam = shared_memory<Adam>();
  if (threadIdx.x == 0) {
    const auto step = static_cast<double>(state->step);
    adam.rate = static_cast<real>(state->learning_rate / (1.0 - pow(beta1, step)));
    adam.root = static_cast<real>(sqrt(1.0 - pow(beta2, step)));
  }
  __syncthreads();
  const real rate = adam.rate, root = adam.root;
  each_flat(count, packed, [&]<int N>(int64_t i) {
    const Pack<real, N> g = load_pack<N>(gradient + i);
    Pack<real, N> m = load_pack<N>(first + i), v = load_pack<N>(second + i), w = load_pack<N>(value + i);
    for (int j = 0; j < N; j++) {
      const real slope = g.lane[j] + constants.decay * w.lane[j];
      m.lane[j] += constants.take1 * (slope - m.lane[j]);
      v.lane[j] = constants.beta2 * v.lane[j] + constants.take2 * slope * slope;
      w.lane[j] -= rate * (m.lane[j] / (sqrt(v.lane[j]) / root + constants.eps));
    }
    store_pack(first + i, m);
    store_pack(second + i, v);
    store_pack(value + i, w);
  });
}

__global__ void __launch_bounds__(kFlatThreads)
    sgd_kernel(const StepState* state, real momentum_factor, real decay, const real* gradient, real* momentum,
               real* value, int64_t count, bool packed) {
  const real rate = static_cast<real>(state->learning_rate);
  const real keep = state->step == 1 ? real{0} : momentum_factor;
  each_flat(count, packed, [&]<int N>(int64_t i) {
    const Pack<real, N> g = load_pack<N>(gradient + i);
    Pack<real, N> u = load_pack<N>(momentum + i), w = load_pack<N>(value + i);
    for (int j = 0; j < N; j++) {
      u.lane[j] = keep * u.lane[j] + (g.lane[j] + decay * w.lane[j]);
      w.lane[j] -= rate * u.lane[j];
    }
    store_pack(momentum + i, u);
    store_pack(value + i, w);
  });
}

__global__ void __launch_bounds__(kFlatThreads)
    teacher_kernel(const StepState* state, const real* live, real* teacher, int64_t count, bool packed) {
  const real keep = static_cast<real>(1.0 - state->teacher_rate), take = static_cast<real>(state->teacher_rate);
  each_flat(count, packed, [&]<int N>(int64_t i) {
    const Pack<real, N> l = load_pack<N>(live + i);
    Pack<real, N> t = load_pack<N>(teacher + i);
    for (int j = 0; j < N; j++) t.lane[j] = keep * t.lane[j] + take * l.lane[j];
    store_pack(teacher + i, t);
  });
}

}  // namespace

void teacher_update(Stream stream, const StepState* state, const real* live, real* teacher, int64_t count) {
  KERNEL_CHECK(count > 0, "parameters");
  const bool packed = flat_packs_fit(live, teacher);
  LAUNCH(teacher_kernel, flat_blocks(count, packed), kFlatThreads, 0, stream, state, live, teacher, count, packed);
}

void adam_step(Stream stream, const StepState* state, const AdamSettings& settings, const real* gradient, real* first,
               real* second, real* value, int64_t count) {
  KERNEL_CHECK(count > 0, "parameters");
  const bool packed = flat_packs_fit(gradient, first, second, value);
  const AdamConstants constants{static_cast<real>(settings.eps), static_cast<real>(settings.weight_decay),
                                static_cast<real>(1.0 - settings.beta1), static_cast<real>(settings.beta2),
                                static_cast<real>(1.0 - settings.beta2)};
  LAUNCH(adam_kernel, flat_blocks(count, packed), kFlatThreads, sizeof(Adam), stream, state, settings.beta1,
         settings.beta2, constants, gradient, first, second, value, count, packed);
}

void sgd_step(Stream stream, const StepState* state, const SgdSettings& settings, const real* gradient, real* momentum,
              real* value, int64_t count) {
  KERNEL_CHECK(count > 0, "parameters");
  const bool packed = flat_packs_fit(gradient, momentum, value);
  LAUNCH(sgd_kernel, flat_blocks(count, packed), kFlatThreads, 0, stream, state, static_cast<real>(settings.momentum),
         static_cast<real>(settings.weight_decay), gradient, momentum, value, count, packed);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
