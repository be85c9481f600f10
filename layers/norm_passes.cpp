#include "layers/norm_passes.h"

#include <memory>
#include <tuple>
#include <vector>

namespace mpanet::PRECISION {

NormInput NormedTensor::input() const {
  if (norm == nullptr) return {};
  const bool batch = static_cast<bool>(batch_mean);
  return {z.data(), batch ? batch_mean.data() : norm->running_mean.value,
          batch ? batch_variance.data() : norm->running_var.value, norm->weight.value, norm->bias.value};
}

ReluMask NormOutput::mask() const {
  if (!relu) return {};
  if (signs) return {nullptr, signs.data()};
  return {y.data(), nullptr};
}

namespace {

// Normalises by the batch's statistics, which compute(mean, variance) computes; in eval mode by the running ones.
template <class Compute>
NormedTensor with_statistics(Context& context, const Tensor& z, BatchNorm& norm, Mode mode, const Compute& compute) {
  if (mode == Mode::Eval) return {z, &norm, {}, {}};
  const int c = norm.channels();
  MPANET_CHECK(z.count() / c > 1, "{}: training needs more than one value per channel, got {}", norm.weight.name,
               z.shape().str());
  const RealTensor mean(context, {c}), variance(context, {c});
  compute(z.count() / c, mean.data(), variance.data());
  return {z, &norm, mean, variance};
}

}  // namespace

NormedTensor find_statistics(Context& context, const Tensor& z, BatchNorm& norm, Mode mode) {
  const int c = norm.channels();
  return with_statistics(context, z, norm, mode, [&](int64_t rows, real* mean, real* variance) {
    const Scratch<> workspace(context, static_cast<int64_t>(ASK_BACKEND(context, batch_norm_workspace_bytes(rows, c))));
    RUN_ON(context, batch_norm_statistics(context.stream(), z.data(), rows, c, BatchNorm::kMomentum, mean, variance,
                                          norm.running_mean.value, norm.running_var.value, workspace.data()));
  });
}

namespace {

// z = conv(x). The epilogue's parts of its statistics are still to be merged.
struct Convolved {
  NormedTensor z;
  RealTensor moments;
  NormStatistics merge;
};

// False: the epilogue has no sums, and z has its statistics.
bool convolve(Context& context, const Tensor& x, Conv& conv, BatchNorm& norm, Mode mode, Convolved& result) {
  const ConvShape s = conv.shape(x);
  const Tensor z(context, {s.n, s.oh(), s.ow(), s.k});
  const EpilogueSums sums = conv.epilogue_sums(context, x, ConvPass::Forward);
  if (mode == Mode::Eval || !sums.available) {
    conv.forward(context, x, {}, z);
    result.z = find_statistics(context, z, norm, mode);
    return false;
  }
  result.moments = RealTensor(context, {sums.parts, 2, s.k});
  conv.forward(context, x, {.moments = result.moments.data()}, z);
  result.z = with_statistics(context, z, norm, mode, [&](int64_t rows, real* mean, real* variance) {
    result.merge = {result.moments.data(), sums, rows, s.k, mean, variance, norm.running_mean.value,
                    norm.running_var.value};
  });
  return true;
}

void merge_statistics(Context& context, const std::vector<NormStatistics>& list) {
  if (list.empty()) return;
  RUN_ON(context, batch_norm_finish_statistics(context.stream(), list.data(), static_cast<int>(list.size()),
                                               BatchNorm::kMomentum));
}

}  // namespace

NormedTensor conv_statistics(Context& context, const Tensor& x, Conv& conv, BatchNorm& norm, Mode mode) {
  Convolved result;
  if (convolve(context, x, conv, norm, mode, result)) merge_statistics(context, {result.merge});
  return result.z;
}

std::pair<NormedTensor, NormedTensor> conv_statistics(Context& context, const Tensor& x, Conv& conv, BatchNorm& norm,
                                                      Conv& second, BatchNorm& second_norm, Mode mode) {
  Convolved a, b;
  std::vector<NormStatistics> list;
  if (convolve(context, x, conv, norm, mode, a)) list.push_back(a.merge);
  if (convolve(context, x, second, second_norm, mode, b)) list.push_back(b.merge);
  merge_statistics(context, list);
  return {a.z, b.z};
}

NormOutput apply_norms(Context& context, const NormedTensor& z, const NormedTensor& joined, const Tensor& residual,
                       bool relu) {
  const Shape& shape = z.z.shape();
  MPANET_CHECK(!residual || residual.shape() == shape, "{}: expected a residual {}, got {}", z.norm->weight.name,
               shape.str(), residual.shape().str());
  MPANET_CHECK(!joined || joined.z.shape() == shape, "{}: expected an input {}, got {}", joined.norm->weight.name,
               shape.str(), joined.z.shape().str());
  NormOutput output{Tensor(context, shape, context.recording()), relu, {}};
  if (relu && context.recording() && ASK_BACKEND(context, batch_norm_features()).signs)
    output.signs = FlagTensor(context, {(shape.count() + 7) / 8});
  if (output.signs) {
    const auto request = std::make_shared<GradientRequest>();
    request->record = context.tape().size();
    request->signs = output.signs;
    request->z[0] = z.z, request->z[1] = joined.z;
    request->mean[0] = z.input().mean, request->mean[1] = joined.input().mean;
    output.y.attach(request);
  }
  const int c = z.norm->channels();
  RUN_ON(context, batch_norm_apply(context.stream(), shape.count() / c, c, BatchNorm::kEps, z.input(), joined.input(),
                                   residual ? residual.data() : nullptr, relu, output.y.data(),
                                   output.signs ? output.signs.data() : nullptr));
  return output;
}

void restore_output(Context& context, const NormOutput& output, const NormedTensor& z) {
  output.y.restore_data();
  const int c = z.norm->channels();
  RUN_ON(context, batch_norm_apply(context.stream(), z.z.count() / c, c, BatchNorm::kEps, z.input(), {}, nullptr,
                                   output.relu, output.y.data(), nullptr));
}

void norms_backward(Context& context, const NormOutput& output, const NormedTensor& z, storage* dz, Write dz_write,
                    const NormedTensor& joined, const Tensor& residual) {
  const Tensor& y = output.y;
  const int c = z.norm->channels();
  const int64_t rows = z.z.count() / c;
  const bool training = static_cast<bool>(z.batch_mean);
  const RealTensor sum_g(context, {c}), sum_gn(context, {c});
  const RealTensor joined_sum_gn = joined ? RealTensor(context, {c}) : RealTensor();
  const auto gradient_of = [](BatchNorm& norm, const RealTensor& sums, storage* dx, Write write) {
    NormGradient to{.sum_gn = sums.data(), .dx = dx, .dx_write = write};
    if (norm.weight.trainable) std::tie(to.dweight, to.dweight_write) = norm.weight.grad_sink();
    if (norm.bias.trainable) std::tie(to.dbias, to.dbias_write) = norm.bias.grad_sink();
    return to;
  };
  const NormGradient to = gradient_of(*z.norm, sum_gn, dz, dz_write);
  const NormGradient joined_to =
      joined ? gradient_of(*joined.norm, joined_sum_gn, joined.z.data(), Write::Set) : NormGradient{};
  // A convolution's epilogue may have masked y's gradient and computed its sums.
  GradientRequest* const request = y.attached<GradientRequest>();
  const bool served = request != nullptr && request->sums;
  const ReluMask mask = served ? ReluMask{} : output.mask();
  if (served) {
    RUN_ON(context,
           batch_norm_finish_gradients(context.stream(), request->sums.data(), request->parts, c, BatchNorm::kEps,
                                       z.input(), to, joined.input(), joined_to, sum_g.data()));
    request->sums = {};
  } else {
    const Scratch<> workspace(context, static_cast<int64_t>(ASK_BACKEND(context, batch_norm_workspace_bytes(rows, c))));
    RUN_ON(context, batch_norm_backward_reduce(context.stream(), y.grad(), mask, rows, c, BatchNorm::kEps, z.input(),
                                               to, joined.input(), joined_to, sum_g.data(), workspace.data()));
  }
  const bool wants_residual = residual && residual.needs_grad(), in_place = wants_residual && !residual.has_grad();
  storage* dresidual = nullptr;
  // Without a mask y's gradient is the residual's as it is.
  if (in_place && (mask.y != nullptr || mask.signs != nullptr)) dresidual = y.mutable_grad();
  if (wants_residual && !in_place) dresidual = residual.mutable_grad();
  RUN_ON(context, batch_norm_backward_apply(context.stream(), y.grad(), mask, rows, c, BatchNorm::kEps, z.input(), to,
                                            joined.input(), joined_to, training ? sum_g.data() : nullptr, dresidual,
                                            in_place ? Write::Set : Write::Add));
  if (in_place)
    y.give_grad_to(residual);
  else
    y.release_grad();
  if (request != nullptr) y.attach(std::shared_ptr<GradientRequest>());  // y may outlive this op, and z need not
}

}  // namespace mpanet::PRECISION
