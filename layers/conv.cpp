#include "layers/conv.h"

namespace mpanet::PRECISION {
Conv::Conv(ParameterStore& store, const std::string& name, int c, int k, int size, int stride, int pad, bool bias)
    : store_(store),
      weight_(store.add_convolution(name + ".weight", {k, c, size, size})),
      bias_(bias ? &store.add(name + ".bias", {k}, true) : nullptr),
      c_(c),
      k_(k),
      size_(size),
      stride_(stride),
      pad_(pad) {}

ConvShape Conv::shape(const Tensor& x) const {
  MPANET_CHECK(x.shape().rank() == 4 && x.dim(3) == c_, "{}: expected x (N, H, W, {}), got {}", weight_.name, c_,
               x.shape().str());
  const ConvShape s{x.dim(0), x.dim(1), x.dim(2), c_, k_, size_, size_, stride_, pad_};
  MPANET_CHECK(s.h + 2 * pad_ >= size_ && s.w + 2 * pad_ >= size_, "{}: {} is smaller than the {}x{} filter",
               weight_.name, x.shape().str(), size_, size_);
  return s;
}

const void* Conv::kept_weights(Context& context, const ConvShape& shape, size_t bytes, const real* scale) {
  const bool folded = scale != nullptr;
  if (copy_.buffer.bytes() < bytes) copy_.buffer = Buffer(context, bytes);
  if (copy_.version != store_.version() || copy_.shape != shape || copy_.folded != folded) {
    RUN_ON(context, conv_prepare_weights(context.stream(), shape, ConvPass::Forward, weight_.working, scale,
                                         copy_.buffer.as<void>()));
    copy_.version = store_.version();
    copy_.shape = shape;
    copy_.folded = folded;
  }
  return copy_.buffer.as<void>();
}

void Conv::forward(Context& context, const Tensor& x, const ConvEpilogue& epilogue, const Tensor& y) {
  const ConvShape s = shape(x);
  const size_t bytes = ASK_BACKEND(context, conv_weights_bytes(context.stream(), s, ConvPass::Forward));
  // In training the weights change with every step. A kept copy would be used only once, and would occupy its memory
  // during the whole step.
  const bool keep = bytes > 0 && !context.recording();
  const Scratch<> temporary(context, keep ? 0 : static_cast<int64_t>(bytes));
  if (context.recording()) copy_ = {};
  if (temporary.data() != nullptr)
    RUN_ON(context, conv_prepare_weights(context.stream(), s, ConvPass::Forward, weight_.working, epilogue.scale,
                                         temporary.data()));
  const void* prepared = keep ? kept_weights(context, s, bytes, epilogue.scale) : temporary.data();
  const Scratch<> workspace(context, static_cast<int64_t>(ASK_BACKEND(
                                         context, conv_workspace_bytes(context.stream(), s, ConvPass::Forward))));
  context.add_flops(s.flops());
  RUN_ON(context,
         conv_forward(context.stream(), s, x.data(), weight_.working, prepared, epilogue, y.data(), workspace.data()));
}

EpilogueSums Conv::epilogue_sums(Context& context, const Tensor& x, ConvPass pass) const {
  return ASK_BACKEND(context, conv_epilogue_sums(context.stream(), shape(x), pass));
}

void Conv::backward_weights(Context& context, const Tensor& x, const storage* dy) {
  const ConvShape s = shape(x);
  const auto bytes =
      static_cast<int64_t>(ASK_BACKEND(context, conv_workspace_bytes(context.stream(), s, ConvPass::BackwardWeights)));
  const auto [dw, write] = weight_.grad_sink();
  context.add_flops(s.flops());
  const int splits = write == Write::Set ? ASK_BACKEND(context, conv_weight_splits(context.stream(), s)) : 0;
  if (splits > 0) {
    const FlagTensor sums(context, {bytes});
    RUN_ON(context, conv_backward_weight_splits(context.stream(), s, x.data(), dy, sums.data()));
    store_.add_splits_later(context, weight_, splits, sums);
  } else {
    if (write == Write::Add) store_.add_splits(context);
    const Scratch<> workspace(context, bytes);
    RUN_ON(context, conv_backward_weights(context.stream(), s, x.data(), dy, dw, write, workspace.data()));
  }
}

void Conv::backward(Context& context, const Tensor& x, const storage* dy, bool completes) {
  backward_weights(context, x, dy);
  if (x.needs_grad()) backward_data(context, x, dy, completes);
}

namespace {

// The epilogue that serves a request, and memory for its results.
GradEpilogue serve(Context& context, GradientRequest& request, const EpilogueSums& parts, int c) {
  const int norms = request.z[1] ? 2 : 1;
  request.parts = parts;
  request.sums = RealTensor(context, {parts.parts, 1 + norms, c});
  GradEpilogue epilogue{.signs = request.signs.data(), .sums = request.sums.data()};
  for (int i = 0; i < norms; i++) {
    epilogue.z[i] = request.z[i].data();
    epilogue.mean[i] = request.mean[i];
  }
  return epilogue;
}

}  // namespace

void Conv::backward_data(Context& context, const Tensor& x, const storage* dy, bool completes) {
  const ConvShape s = shape(x);
  const size_t bytes = ASK_BACKEND(context, conv_weights_bytes(context.stream(), s, ConvPass::BackwardData));
  const Scratch<> prepared(context, static_cast<int64_t>(bytes));
  if (bytes > 0)
    RUN_ON(context, conv_prepare_weights(context.stream(), s, ConvPass::BackwardData, weight_.working, nullptr,
                                         prepared.data()));
  const Scratch<> workspace(context, static_cast<int64_t>(ASK_BACKEND(
                                         context, conv_workspace_bytes(context.stream(), s, ConvPass::BackwardData))));
  const auto [dx, write] = x.grad_sink();
  GradEpilogue epilogue;
  if (GradientRequest* const request = completes ? x.attached<GradientRequest>() : nullptr; request != nullptr) {
    const EpilogueSums parts = epilogue_sums(context, x, ConvPass::BackwardData);
    if (parts.available) epilogue = serve(context, *request, parts, s.c);
  }
  context.add_flops(s.flops());
  RUN_ON(context, conv_backward_data(context.stream(), s, dy, weight_.working, prepared.data(), dx, write,
                                     workspace.data(), epilogue));
}

Tensor conv2d(Context& context, const Tensor& x, Conv& conv) {
  const ConvShape s = conv.shape(x);
  const bool record = context.recording();
  const Tensor y(context, {s.n, s.oh(), s.ow(), s.k}, record);
  ConvEpilogue epilogue;
  if (conv.bias() != nullptr) epilogue.shift = conv.bias()->value;
  conv.forward(context, x, epilogue, y);
  if (record)
    context.tape().record("conv2d", [=, &context, &conv] {
      if (!y.has_grad()) return;
      if (conv.bias() != nullptr) {
        const int64_t rows = y.count() / s.k;
        const Scratch<> workspace(context,
                                  static_cast<int64_t>(ASK_BACKEND(context, row_sums_workspace_bytes(rows, s.k))));
        const auto [db, write] = conv.bias()->grad_sink();
        RUN_ON(context, bias_backward(context.stream(), y.grad(), rows, s.k, db, write, workspace.data()));
      }
      conv.backward(context, x, y.grad());
    });
  return y;
}

}  // namespace mpanet::PRECISION
