#include "bench/onednn_yardstick.h"

#ifdef MPANET_HAS_ONEDNN
#  include <oneapi/dnnl/dnnl.h>

#  include <oneapi/dnnl/dnnl.hpp>
#  include <unordered_map>

namespace mpanet {
namespace {

using dnnl::memory;
using dnnl::prop_kind;

// One primitive with memory of its own; the memory's contents do not matter to its time.
struct Primitive {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::primitive primitive;
  std::unordered_map<int, memory> arguments;

  void give(int argument, const memory::desc& description) {
    memory place(description, engine);
    std::fill_n(static_cast<float*>(place.get_data_handle()), description.get_size() / sizeof(float), 0.5F);
    arguments.emplace(argument, place);
  }
};

struct Descriptions {
  memory::desc x, w, y;
  memory::dims strides, padding;
};

Descriptions describe_for_onednn(const ConvShape& s) {
  const auto any = [](memory::dims dims) {
    return memory::desc(dims, memory::data_type::f32, memory::format_tag::any);
  };
  return {any({s.n, s.c, s.h, s.w}),
          any({s.k, s.c, s.kh, s.kw}),
          any({s.n, s.k, s.oh(), s.ow()}),
          {s.stride, s.stride},
          {s.pad, s.pad}};
}

void make_primitive(Primitive& p, const ConvShape& s, ConvPass pass) {
  const Descriptions d = describe_for_onednn(s);
  const dnnl::convolution_forward::primitive_desc forward(
      {prop_kind::forward_training, dnnl::algorithm::convolution_direct, d.x, d.w, d.y, d.strides, d.padding,
       d.padding},
      p.engine);
  if (pass == ConvPass::Forward) {
    p.primitive = dnnl::convolution_forward(forward);
    p.give(DNNL_ARG_SRC, forward.src_desc());
    p.give(DNNL_ARG_WEIGHTS, forward.weights_desc());
    p.give(DNNL_ARG_DST, forward.dst_desc());
  } else if (pass == ConvPass::BackwardData) {
    const dnnl::convolution_backward_data::primitive_desc backward(
        {dnnl::algorithm::convolution_direct, d.x, d.w, d.y, d.strides, d.padding, d.padding}, p.engine, forward);
    p.primitive = dnnl::convolution_backward_data(backward);
    p.give(DNNL_ARG_DIFF_DST, backward.diff_dst_desc());
    p.give(DNNL_ARG_WEIGHTS, backward.weights_desc());
    p.give(DNNL_ARG_DIFF_SRC, backward.diff_src_desc());
  } else {
    const dnnl::convolution_backward_weights::primitive_desc backward(
        {dnnl::algorithm::convolution_direct, d.x, d.w, d.y, d.strides, d.padding, d.padding}, p.engine, forward);
    p.primitive = dnnl::convolution_backward_weights(backward);
    p.give(DNNL_ARG_DIFF_DST, backward.diff_dst_desc());
    p.give(DNNL_ARG_SRC, backward.src_desc());
    p.give(DNNL_ARG_DIFF_WEIGHTS, backward.diff_weights_desc());
  }
}

}  // namespace

std::function<Call(Memory&)> onednn_convolution(const ConvShape& shape, ConvPass pass) {
  return [=](Memory&) -> Call {
    const auto p = std::make_shared<Primitive>();
    make_primitive(*p, shape, pass);
    return [p] {
      p->primitive.execute(p->stream, p->arguments);
      p->stream.wait();
    };
  };
}

std::function<Call(Memory&)> onednn_product(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k) {
  return [=](Memory& memory) -> Call {
    const auto space = [&](int64_t count) {
      return static_cast<float*>(memory.allocate(static_cast<size_t>(count) * sizeof(float)));
    };
    float *a = space(m * k), *b = space(k * n), *c = space(m * n);
    std::fill_n(a, m * k, 0.5F);
    std::fill_n(b, k * n, 0.5F);
    return [=] {
      dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, 1, a, transpose_a ? m : k, b,
                 transpose_b ? k : n, 0, c, n);
    };
  };
}

}  // namespace mpanet
#else
namespace mpanet {

std::function<Call(Memory&)> onednn_convolution(const ConvShape&, ConvPass) { return {}; }
std::function<Call(Memory&)> onednn_product(bool, bool, int64_t, int64_t, int64_t) { return {}; }

}  // namespace mpanet
#endif
