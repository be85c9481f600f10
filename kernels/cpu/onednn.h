// Convolution descriptors for oneDNN 2 and 3. Version 3 has neither operation descriptors nor output scales.
#pragma once
#include <oneapi/dnnl/dnnl.hpp>

namespace mpanet::onednn {

// A default-constructed `bias` means no bias.
struct Convolution {
  dnnl::memory::desc x, w, bias, y;
  dnnl::memory::dims stride, pad;
};
using Forward = dnnl::convolution_forward::primitive_desc;
using BackwardData = dnnl::convolution_backward_data::primitive_desc;
using BackwardWeights = dnnl::convolution_backward_weights::primitive_desc;
constexpr auto kDirect = dnnl::algorithm::convolution_direct;
constexpr auto kTraining = dnnl::prop_kind::forward_training;

#if DNNL_VERSION_MAJOR >= 3
inline Forward forward(const dnnl::engine& engine, const Convolution& c, const dnnl::primitive_attr& attr) {
  return {engine, kTraining, kDirect, c.x, c.w, c.bias, c.y, c.stride, c.pad, c.pad, attr};
}
inline BackwardData backward_data(const dnnl::engine& engine, const Convolution& c, const dnnl::primitive_attr& attr,
                                  const Forward& hint) {
  return {engine, kDirect, c.x, c.w, c.y, c.stride, c.pad, c.pad, hint, attr};
}
inline BackwardWeights backward_weights(const dnnl::engine& engine, const Convolution& c,
                                        const dnnl::primitive_attr& attr, const Forward& hint) {
  return {engine, kDirect, c.x, c.w, c.y, c.stride, c.pad, c.pad, hint, attr};
}
inline void append_relu(dnnl::post_ops& operations) {
  operations.append_eltwise(dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
}
// A reorder with set_scales() multiplies slice i of the first dimension by element i of its argument kScales.
constexpr int kScales = DNNL_ARG_ATTR_SCALES | DNNL_ARG_SRC;
inline void set_scales(dnnl::primitive_attr& attr) { attr.set_scales_mask(DNNL_ARG_SRC, 1); }
#else
inline Forward forward(const dnnl::engine& engine, const Convolution& c, const dnnl::primitive_attr& attr) {
  return {{kTraining, kDirect, c.x, c.w, c.bias, c.y, c.stride, c.pad, c.pad}, attr, engine};
}
inline BackwardData backward_data(const dnnl::engine& engine, const Convolution& c, const dnnl::primitive_attr& attr,
                                  const Forward& hint) {
  return {{kDirect, c.x, c.w, c.y, c.stride, c.pad, c.pad}, attr, engine, hint};
}
inline BackwardWeights backward_weights(const dnnl::engine& engine, const Convolution& c,
                                        const dnnl::primitive_attr& attr, const Forward& hint) {
  return {{kDirect, c.x, c.w, c.y, c.stride, c.pad, c.pad}, attr, engine, hint};
}
inline void append_relu(dnnl::post_ops& operations) {
  operations.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
}
constexpr int kScales = DNNL_ARG_ATTR_OUTPUT_SCALES;
inline void set_scales(dnnl::primitive_attr& attr) { attr.set_output_scales(1, {DNNL_RUNTIME_F32_VAL}); }
#endif

}  // namespace mpanet::onednn
