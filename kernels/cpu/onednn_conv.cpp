// Convolution in float through oneDNN. Activations stay NHWC. conv_prepare_weights copies the weights into the layout
// that oneDNN prefers for the shape and pass, and the gradient of weights is copied from such a layout to OHWI. The
// stream holds oneDNN's compiled primitives, per shape and pass. The caller's workspace contains:
//   forward           scratchpad
//   backward data     scratchpad, then dx of some pictures, for Write::Add
//   backward weights  scratchpad, then dw in oneDNN's layout; gemm()'s workspace if dw is a matrix product
// In TF32 it begins with rounded copies of the activations, and prepared weights have a rounded copy of the filter
// behind them.
#include <omp.h>

#include <map>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "kernels/cpu/conv_providers.h"
#include "kernels/cpu/convert.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/stream.h"
#include "kernels/cpu/tf32.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu::library {
namespace {

using Desc = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;
constexpr auto kFloat = dnnl::memory::data_type::f32;

// The parts of a forward primitive's epilogue.
struct Epilogue {
  bool shift = false, residual = false, relu = false;
  auto operator<=>(const Epilogue&) const = default;
};

struct Plan {
  Desc weights;           // layout of the prepared weights, or of their gradient
  size_t scratchpad = 0;  // bytes, enough for every primitive of the plan
  int chunk = 0;          // backward data with Write::Add: pictures per call
  std::map<Epilogue, dnnl::primitive> forward;
  dnnl::primitive whole, part;                // backward: the batch; a chunk of it
  dnnl::reorder to_layout, to_scaled_layout;  // OHWI to weights
  dnnl::reorder set, add;                     // weights to OHWI with Write
};

struct Library {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<std::pair<ConvShape, ConvPass>, Plan> plans;
  int threads = omp_get_max_threads();
};

// ---- Descriptors.

Desc input(const ConvShape& s) { return {{s.n, s.c, s.h, s.w}, kFloat, Tag::nhwc}; }
Desc output(const ConvShape& s) { return {{s.n, s.k, s.oh(), s.ow()}, kFloat, Tag::nhwc}; }
Desc weights(const ConvShape& s, Tag tag) { return {{s.k, s.c, s.kh, s.kw}, kFloat, tag}; }
dnnl::memory::dims stride(const ConvShape& s) { return {s.stride, s.stride}; }
dnnl::memory::dims pad(const ConvShape& s) { return {s.pad, s.pad}; }

dnnl::primitive_attr attributes(const dnnl::post_ops& after = {}) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr.set_post_ops(after);
  return attr;
}

onednn::Forward forward(Library& lib, const ConvShape& s, const Epilogue& epilogue, const Desc& w) {
  dnnl::post_ops after;
  if (epilogue.residual) after.append_sum(1.0F);  // of y; a binary operation would use oneDNN's slow reference code
  if (epilogue.relu) onednn::append_relu(after);
  const Desc bias = epilogue.shift ? Desc{{s.k}, kFloat, Tag::a} : Desc{};
  return onednn::forward(lib.engine, {input(s), w, bias, output(s), stride(s), pad(s)}, attributes(after));
}

onednn::BackwardData backward_data(Library& lib, const ConvShape& s, const Desc& w) {
  const auto hint = forward(lib, s, {}, weights(s, Tag::any));
  return onednn::backward_data(lib.engine, {input(s), w, {}, output(s), stride(s), pad(s)}, attributes(), hint);
}

onednn::BackwardWeights backward_weights(Library& lib, const ConvShape& s) {
  const auto any = weights(s, Tag::any);
  const auto hint = forward(lib, s, {}, any);
  return onednn::backward_weights(lib.engine, {input(s), any, {}, output(s), stride(s), pad(s)}, attributes(), hint);
}

dnnl::reorder reorder(Library& lib, const Desc& from, const Desc& to, const dnnl::primitive_attr& attr = {}) {
  return dnnl::reorder({lib.engine, from, lib.engine, to, attr});
}

// ---- Plans.

// The largest divisor of n for which dx fits in the cache, where it stays until it is added.
int pictures_at_once(const ConvShape& s) {
  constexpr int64_t kCacheBytes = int64_t{4} << 20;
  const int64_t picture = int64_t{s.h} * s.w * s.c * static_cast<int64_t>(sizeof(storage));
  int chunk = 1;
  for (int n = 2; n <= s.n; n++)
    if (s.n % n == 0 && n * picture <= kCacheBytes) chunk = n;
  return chunk;
}

ConvShape chunk_of(const ConvShape& s, int pictures) {
  ConvShape chunk = s;
  chunk.n = pictures;
  return chunk;
}

Plan make_plan(Library& lib, const ConvShape& s, ConvPass pass) {
  Plan plan;
  if (pass == ConvPass::Forward) {
    plan.weights = forward(lib, s, {}, weights(s, Tag::any)).weights_desc();
    for (int bits = 0; bits < 8; bits++) {
      const Epilogue epilogue{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0};
      const auto primitive = forward(lib, s, epilogue, plan.weights);
      plan.scratchpad = std::max(plan.scratchpad, primitive.scratchpad_desc().get_size());
    }
  } else if (pass == ConvPass::BackwardData) {
    const auto whole = backward_data(lib, s, weights(s, Tag::any));
    plan.weights = whole.weights_desc();
    plan.chunk = pictures_at_once(s);
    const auto part = backward_data(lib, chunk_of(s, plan.chunk), plan.weights);
    plan.scratchpad = std::max(whole.scratchpad_desc().get_size(), part.scratchpad_desc().get_size());
  } else {
    const auto whole = backward_weights(lib, s);
    plan.weights = whole.diff_weights_desc();
    plan.scratchpad = whole.scratchpad_desc().get_size();
  }
  return plan;
}

// Scratchpads and layouts depend on the number of threads, so it must not change after a stream's first convolution.
Library& library_of(Stream stream) {
  static const char tag = 0;
  Library& lib = stream->get<Library>(&tag);
  MPANET_CHECK(lib.threads == omp_get_max_threads(), "a stream that began with {} threads now has {}", lib.threads,
               omp_get_max_threads());
  return lib;
}

Plan& plan_for(Library& lib, const ConvShape& s, ConvPass pass) {
  const auto found = lib.plans.find({s, pass});
  if (found != lib.plans.end()) return found->second;
  try {
    return lib.plans.emplace(std::pair(s, pass), make_plan(lib, s, pass)).first->second;
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_out_of_memory) throw std::bad_alloc();
    MPANET_CHECK(false, "oneDNN: {} for ({}, {}, {}, {}) * ({}, {}, {}), stride {}, padding {}", error.what(), s.n, s.h,
                 s.w, s.c, s.k, s.kh, s.kw, s.stride, s.pad);
  }
}

// ---- Running.

using Arguments = std::unordered_map<int, dnnl::memory>;

dnnl::memory memory(Library& lib, const Desc& desc, const void* data) {
  return {desc, lib.engine, const_cast<void*>(data)};
}

void run(Library& lib, const Plan& plan, const dnnl::primitive& primitive, Arguments arguments, void* workspace) {
  const Desc scratchpad{{static_cast<int64_t>(plan.scratchpad)}, dnnl::memory::data_type::u8, Tag::a};
  if (plan.scratchpad > 0) arguments[DNNL_ARG_SCRATCHPAD] = memory(lib, scratchpad, workspace);
  primitive.execute(lib.stream, arguments);
  lib.stream.wait();
}

void run(Library& lib, const dnnl::reorder& copy, const Desc& from, const void* source, const Desc& to, void* target,
         Arguments more = {}) {
  more.insert({{DNNL_ARG_FROM, memory(lib, from, source)}, {DNNL_ARG_TO, memory(lib, to, target)}});
  copy.execute(lib.stream, more);
  lib.stream.wait();
}

// If true, dw (k, c) = dy' (k, rows) x (rows, c). oneDNN computes this faster as a product than as a convolution.
bool is_product(const ConvShape& s) { return s.kh == 1 && s.kw == 1 && s.stride == 1 && s.pad == 0; }

// Offset of the workspace's second part.
size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }
size_t scratchpad_end(const Plan& plan) { return aligned(plan.scratchpad); }
float* behind_scratchpad(const Plan& plan, void* workspace) {
  return reinterpret_cast<float*>(static_cast<char*>(workspace) + scratchpad_end(plan));
}

}  // namespace

size_t conv_weights_bytes(Stream stream, const ConvShape& s, ConvPass pass) {
  if (pass == ConvPass::BackwardWeights) return 0;
  return aligned(plan_for(library_of(stream), s, pass).weights.get_size()) +
         rounded_bytes<storage>(stream, s.weight_count());
}

void conv_prepare_weights(Stream stream, const ConvShape& s, ConvPass pass, const storage* w, const real* scale,
                          void* prepared) {
  MPANET_CHECK(pass != ConvPass::BackwardWeights, "backward weights takes no weights");
  MPANET_CHECK(pass == ConvPass::Forward || scale == nullptr, "only forward weights are scaled");
  Library& lib = library_of(stream);
  Plan& plan = plan_for(lib, s, pass);
  const Desc from = weights(s, Tag::ohwi);
  void* copy = static_cast<char*>(prepared) + aligned(plan.weights.get_size());
  w = operand(stream, w, s.weight_count(), copy);
  if (scale != nullptr) {
    // The scales are an argument. With constant scales every evaluation would add a reorder per convolution to oneDNN's
    // cache.
    if (!plan.to_scaled_layout) {
      dnnl::primitive_attr attr;
      onednn::set_scales(attr);
      plan.to_scaled_layout = reorder(lib, from, plan.weights, attr);
    }
    const Arguments scales{{onednn::kScales, memory(lib, {{s.k}, kFloat, Tag::a}, scale)}};
    run(lib, plan.to_scaled_layout, from, w, plan.weights, prepared, scales);
    return;
  }
  if (!plan.to_layout) plan.to_layout = reorder(lib, from, plan.weights);
  run(lib, plan.to_layout, from, w, plan.weights, prepared);
}

size_t conv_workspace_bytes(Stream stream, const ConvShape& s, ConvPass pass) {
  if (pass == ConvPass::BackwardWeights && is_product(s))
    return gemm_workspace_bytes(stream, true, false, s.k, s.c, int64_t{s.n} * s.h * s.w);
  const Plan& plan = plan_for(library_of(stream), s, pass);
  if (pass == ConvPass::Forward) return rounded_bytes<storage>(stream, s.input_count()) + plan.scratchpad;
  if (pass == ConvPass::BackwardData)
    return rounded_bytes<storage>(stream, s.output_count()) + scratchpad_end(plan) +
           input(chunk_of(s, plan.chunk)).get_size();
  return rounded_bytes<storage>(stream, s.input_count(), s.output_count()) + scratchpad_end(plan) +
         plan.weights.get_size();
}

void conv_forward(Stream stream, const ConvShape& s, const storage* x, const storage*, const void* prepared,
                  const ConvEpilogue& epilogue, storage* y, void* workspace) {
  Library& lib = library_of(stream);
  Plan& plan = plan_for(lib, s, ConvPass::Forward);
  x = operand(stream, x, s.input_count(), workspace);
  const Epilogue kind{epilogue.shift != nullptr, epilogue.residual != nullptr, epilogue.relu};
  dnnl::primitive& primitive = plan.forward[kind];
  if (!primitive) primitive = dnnl::convolution_forward(forward(lib, s, kind, plan.weights));
  Arguments arguments{{DNNL_ARG_SRC, memory(lib, input(s), x)},
                      {DNNL_ARG_WEIGHTS, memory(lib, plan.weights, prepared)},
                      {DNNL_ARG_DST, memory(lib, output(s), y)}};
  if (kind.shift) arguments[DNNL_ARG_BIAS] = memory(lib, {{s.k}, kFloat, Tag::a}, epilogue.shift);
  if (kind.residual && epilogue.residual != y) {
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < s.output_count(); i++) y[i] = epilogue.residual[i];
  }
  run(lib, plan, primitive, std::move(arguments), workspace);
}

void conv_backward_data(Stream stream, const ConvShape& s, const storage* dy, const storage*, const void* prepared,
                        storage* dx, Write write, void* workspace, const GradEpilogue&) {
  Library& lib = library_of(stream);
  Plan& plan = plan_for(lib, s, ConvPass::BackwardData);
  dy = operand(stream, dy, s.output_count(), workspace);
  const bool add = write == Write::Add;
  const ConvShape part = add ? chunk_of(s, plan.chunk) : s;
  dnnl::primitive& primitive = add ? plan.part : plan.whole;
  if (!primitive) primitive = dnnl::convolution_backward_data(backward_data(lib, part, plan.weights));
  for (int n = 0; n < s.n; n += part.n) {
    storage* to = dx + int64_t{n} * s.h * s.w * s.c;
    storage* out = add ? behind_scratchpad(plan, workspace) : to;
    run(lib, plan, primitive,
        {{DNNL_ARG_DIFF_DST, memory(lib, output(part), dy + int64_t{n} * s.oh() * s.ow() * s.k)},
         {DNNL_ARG_WEIGHTS, memory(lib, plan.weights, prepared)},
         {DNNL_ARG_DIFF_SRC, memory(lib, input(part), out)}},
        workspace);
    if (!add) continue;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < part.input_count(); i++) to[i] += out[i];
  }
}

void conv_backward_weights(Stream stream, const ConvShape& s, const storage* x, const storage* dy, real* dw,
                           Write write, void* workspace) {
  if (is_product(s))
    return gemm(stream, true, false, s.k, s.c, int64_t{s.n} * s.h * s.w, dy, x, nullptr, dw, write, workspace);
  Library& lib = library_of(stream);
  Plan& plan = plan_for(lib, s, ConvPass::BackwardWeights);
  x = operand(stream, x, s.input_count(), workspace);
  dy = operand(stream, dy, s.output_count(), workspace);
  if (!plan.whole) plan.whole = dnnl::convolution_backward_weights(backward_weights(lib, s));
  float* gradient = behind_scratchpad(plan, workspace);
  run(lib, plan, plan.whole,
      {{DNNL_ARG_SRC, memory(lib, input(s), x)},
       {DNNL_ARG_DIFF_DST, memory(lib, output(s), dy)},
       {DNNL_ARG_DIFF_WEIGHTS, memory(lib, plan.weights, gradient)}},
      workspace);
  dnnl::reorder& copy = write == Write::Add ? plan.add : plan.set;
  const Desc to = weights(s, Tag::ohwi);
  if (!copy) {
    dnnl::post_ops after;
    if (write == Write::Add) after.append_sum(1.0F);
    dnnl::primitive_attr attr;
    attr.set_post_ops(after);
    copy = reorder(lib, plan.weights, to, attr);
  }
  run(lib, copy, plan.weights, gradient, to, dw);
}

}  // namespace mpanet::PRECISION::cpu::library
