// Parameter updates like PyTorch 2's, with weight decay added to the gradient, all parameters in one launch:
//   Adam      m += (1 - b1) (g - m),  v = b2 v + (1 - b2) g^2,
//             value -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
//   SGD       u = g on the first step, then momentum u + g;  value -= lr u
//   teacher   teacher = (1 - r) teacher + r live
// begin_backward and begin_update are one thread each: they change the state that the other kernels read.
// Values that change from step to step are read from device memory. A block's first thread computes the scalars, in
// double in every precision; then all threads loop over the arrays in packs of 16 bytes. A step that is left out costs
// one read by each block.
// Reals per parameter, which is the minimum: Adam reads 4 and writes 3, SGD 3 and 2, teacher 2 and 1. Working copies
// are written besides.
#include "kernels/cuda/flat.cuh"

namespace mpanet::PRECISION::KERNEL_NS {
namespace {

__global__ void begin_backward_kernel(StepState* state, real* gradient) {
  state->gradient_scale = state->loss_scale;
  *gradient = static_cast<real>(state->loss_scale);
}

__global__ void begin_update_kernel(StepState* state, LossScaling scaling) {
  const int32_t updated = state->finite;
  state->updated = updated;
  state->finite = 1;
  state->step += updated;
  if (scaling.steady_steps == 0) return;
  const double scale = state->loss_scale;
  int32_t steady = updated != 0 ? state->steady + 1 : 0;
  if (updated == 0) state->loss_scale = max(1.0, scale / 2);
  if (steady == scaling.steady_steps) {
    state->loss_scale = min(scaling.largest, scale * 2);
    steady = 0;
  }
  state->steady = steady;
}

// Writes the part of a pack that lies before working_count, which need not be a multiple of N.
template <int N>
__device__ void write_working(storage* working, int64_t working_count, int64_t i, const Pack<real, N>& value) {
  if (i + N <= working_count)
    put_lanes(working + i, value.lane, Write::Set);
  else
    for (int j = 0; j < N && i + j < working_count; j++) put(working[i + j], value.lane[j], Write::Set);
}

// A multiple of 16 bytes, because the compiler reads the three values at once with 16-byte loads.
struct alignas(16) Adam {
  real rate, root, unscale;
};

struct AdamConstants {
  real eps, decay, take1, beta2, take2;
};

__global__ void __launch_bounds__(kFlatThreads)
    adam_kernel(const StepRates* rates, const StepState* state, double beta1, double beta2, AdamConstants constants,
                const real* gradient, real* first, real* second, real* value, int64_t count, storage* working,
                int64_t working_count, bool packed) {
  if (state->updated == 0) return;
  Adam& adam = shared_memory<Adam>();
  if (threadIdx.x == 0) {
    const auto step = static_cast<double>(state->step);
    adam.rate = static_cast<real>(rates->learning_rate / (1.0 - pow(beta1, step)));
    adam.root = static_cast<real>(sqrt(1.0 - pow(beta2, step)));
    adam.unscale = static_cast<real>(1.0 / state->gradient_scale);
  }
  __syncthreads();
  const real rate = adam.rate, root = adam.root, unscale = adam.unscale;
  each_flat(count, packed, [&]<int N>(int64_t i) {
    const Pack<real, N> g = load_pack<N>(gradient + i);
    Pack<real, N> m = load_pack<N>(first + i), v = load_pack<N>(second + i), w = load_pack<N>(value + i);
    for (int j = 0; j < N; j++) {
      const real slope = g.lane[j] * unscale + constants.decay * w.lane[j];
      m.lane[j] += constants.take1 * (slope - m.lane[j]);
      v.lane[j] = constants.beta2 * v.lane[j] + constants.take2 * slope * slope;
      w.lane[j] -= rate * (m.lane[j] / (sqrt(v.lane[j]) / root + constants.eps));
    }
    store_pack(first + i, m);
    store_pack(second + i, v);
    store_pack(value + i, w);
    write_working(working, working_count, i, w);
  });
}

__global__ void __launch_bounds__(kFlatThreads)
    sgd_kernel(const StepRates* rates, const StepState* state, real momentum_factor, real decay, const real* gradient,
               real* momentum, real* value, int64_t count, storage* working, int64_t working_count, bool packed) {
  if (state->updated == 0) return;
  const real rate = static_cast<real>(rates->learning_rate);
  const real keep = state->step == 1 ? real{0} : momentum_factor;
  const real unscale = static_cast<real>(1.0 / state->gradient_scale);
  each_flat(count, packed, [&]<int N>(int64_t i) {
    const Pack<real, N> g = load_pack<N>(gradient + i);
    Pack<real, N> u = load_pack<N>(momentum + i), w = load_pack<N>(value + i);
    for (int j = 0; j < N; j++) {
      u.lane[j] = keep * u.lane[j] + (g.lane[j] * unscale + decay * w.lane[j]);
      w.lane[j] -= rate * u.lane[j];
    }
    store_pack(momentum + i, u);
    store_pack(value + i, w);
    write_working(working, working_count, i, w);
  });
}

__global__ void __launch_bounds__(kFlatThreads)
    teacher_kernel(const StepRates* rates, const real* live, real* teacher, int64_t count, bool packed) {
  const real keep = static_cast<real>(1.0 - rates->teacher_rate), take = static_cast<real>(rates->teacher_rate);
  each_flat(count, packed, [&]<int N>(int64_t i) {
    const Pack<real, N> l = load_pack<N>(live + i);
    Pack<real, N> t = load_pack<N>(teacher + i);
    for (int j = 0; j < N; j++) t.lane[j] = keep * t.lane[j] + take * l.lane[j];
    store_pack(teacher + i, t);
  });
}

}  // namespace

void teacher_update(Stream stream, const StepRates* rates, const real* live, real* teacher, int64_t count) {
  KERNEL_CHECK(count > 0, "parameters");
  const bool packed = flat_packs_fit(live, teacher);
  LAUNCH(teacher_kernel, flat_blocks(count, packed), kFlatThreads, 0, stream, rates, live, teacher, count, packed);
}

void begin_backward(Stream stream, StepState* state, real* gradient) {
  LAUNCH(begin_backward_kernel, 1, 1, 0, stream, state, gradient);
}

void begin_update(Stream stream, StepState* state, const LossScaling& scaling) {
  LAUNCH(begin_update_kernel, 1, 1, 0, stream, state, scaling);
}

void adam_step(Stream stream, const StepRates* rates, const StepState* state, const AdamSettings& settings,
               const real* gradient, real* first, real* second, real* value, int64_t count, storage* working,
               int64_t working_count) {
  KERNEL_CHECK(count > 0, "parameters");
  KERNEL_CHECK(working_count >= 0 && working_count <= count, "at most as many working copies as parameters");
  const bool packed = flat_packs_fit(gradient, first, second, value, working);
  const AdamConstants constants{static_cast<real>(settings.eps), static_cast<real>(settings.weight_decay),
                                static_cast<real>(1.0 - settings.beta1), static_cast<real>(settings.beta2),
                                static_cast<real>(1.0 - settings.beta2)};
  LAUNCH(adam_kernel, flat_blocks(count, packed), kFlatThreads, sizeof(Adam), stream, rates, state, settings.beta1,
         settings.beta2, constants, gradient, first, second, value, count, working, working_count, packed);
}

void sgd_step(Stream stream, const StepRates* rates, const StepState* state, const SgdSettings& settings,
              const real* gradient, real* momentum, real* value, int64_t count, storage* working,
              int64_t working_count) {
  KERNEL_CHECK(count > 0, "parameters");
  KERNEL_CHECK(working_count >= 0 && working_count <= count, "at most as many working copies as parameters");
  const bool packed = flat_packs_fit(gradient, momentum, value, working);
  LAUNCH(sgd_kernel, flat_blocks(count, packed), kFlatThreads, 0, stream, rates, state,
         static_cast<real>(settings.momentum), static_cast<real>(settings.weight_decay), gradient, momentum, value,
         count, working, working_count, packed);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
