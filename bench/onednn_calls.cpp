#include "bench/onednn_calls.h"

#ifdef MPANET_HAS_ONEDNN
#  include <oneapi/dnnl/dnnl.h>

#  include <memory>
#  include <unordered_map>
#  include <vector>

#  include "kernels/cpu/onednn.h"

namespace mpanet {
namespace {

using dnnl::memory;

struct Primitive {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::primitive primitive;
  std::unordered_map<int, memory> arguments;
  size_t bytes = 0;

  void give(int argument, const memory::desc& description) {
    memory values(description, engine);
    std::fill_n(static_cast<float*>(values.get_data_handle()), description.get_size() / sizeof(float), 0.5F);
    arguments.emplace(argument, values);
    bytes += description.get_size();
  }
};

onednn::Convolution describe_for_onednn(const ConvShape& s) {
  const auto any = [](memory::dims dims) {
    return memory::desc(dims, memory::data_type::f32, memory::format_tag::any);
  };
  return {any({s.n, s.c, s.h, s.w}),       any({s.k, s.c, s.kh, s.kw}), {},
          any({s.n, s.k, s.oh(), s.ow()}), {s.stride, s.stride},        {s.pad, s.pad}};
}

void make_primitive(Primitive& p, const ConvShape& s, ConvPass pass) {
  const onednn::Convolution convolution = describe_for_onednn(s);
  const onednn::Forward forward = onednn::forward(p.engine, convolution, {});
  if (pass == ConvPass::Forward) {
    p.primitive = dnnl::convolution_forward(forward);
    p.give(DNNL_ARG_SRC, forward.src_desc());
    p.give(DNNL_ARG_WEIGHTS, forward.weights_desc());
    p.give(DNNL_ARG_DST, forward.dst_desc());
  } else if (pass == ConvPass::BackwardData) {
    const auto backward = onednn::backward_data(p.engine, convolution, {}, forward);
    p.primitive = dnnl::convolution_backward_data(backward);
    p.give(DNNL_ARG_DIFF_DST, backward.diff_dst_desc());
    p.give(DNNL_ARG_WEIGHTS, backward.weights_desc());
    p.give(DNNL_ARG_DIFF_SRC, backward.diff_src_desc());
  } else {
    const auto backward = onednn::backward_weights(p.engine, convolution, {}, forward);
    p.primitive = dnnl::convolution_backward_weights(backward);
    p.give(DNNL_ARG_DIFF_DST, backward.diff_dst_desc());
    p.give(DNNL_ARG_SRC, backward.src_desc());
    p.give(DNNL_ARG_DIFF_WEIGHTS, backward.diff_weights_desc());
  }
}

}  // namespace

VendorCall onednn_call(const ConvCall& call) {
  const auto p = std::make_shared<Primitive>();
  make_primitive(*p, call.shape, call.pass);
  return {[p] {
            p->primitive.execute(p->stream, p->arguments);
            p->stream.wait();
          },
          p->bytes};
}

VendorCall onednn_call(const ProductCall& call) {
  const auto space = [](int64_t count) {
    return std::make_shared<std::vector<float>>(static_cast<size_t>(count), 0.5F);
  };
  const auto a = space(call.m * call.k), b = space(call.k * call.n), c = space(call.m * call.n);
  return {[=] {
            dnnl_sgemm(call.transpose_a ? 'T' : 'N', call.transpose_b ? 'T' : 'N', call.m, call.n, call.k, 1, a->data(),
                       call.transpose_a ? call.m : call.k, b->data(), call.transpose_b ? call.k : call.n, 0, c->data(),
                       call.n);
          },
          (a->size() + b->size() + c->size()) * sizeof(float)};
}

}  // namespace mpanet
#else
namespace mpanet {

VendorCall onednn_call(const ConvCall&) { return {}; }
VendorCall onednn_call(const ProductCall&) { return {}; }

}  // namespace mpanet
#endif
