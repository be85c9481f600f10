#include "mpanet/export/onnx_graph.h"

#include <cmath>

#include "core/base/error.h"
#include "core/base/shape.h"

namespace mpanet {
namespace {

constexpr double kNormEps = 1e-5;  // docs/method.md, section 1

}  // namespace

OnnxGraph::OnnxGraph(onnx::GraphProto& graph, const Checkpoint& checkpoint)
    : graph_(graph), checkpoint_(checkpoint), state_(find_state_dict(checkpoint.file())) {}

std::string OnnxGraph::node(const std::string& op, const std::string& name, const std::vector<std::string>& inputs) {
  last_ = graph_.add_node();
  last_->set_op_type(op);
  last_->set_name(name);
  for (const std::string& input : inputs) last_->add_input(input);
  last_->add_output(name);
  return name;
}

std::string OnnxGraph::constant(const std::string& name, const std::vector<int64_t>& shape,
                                const std::vector<double>& values) {
  onnx::TensorProto& tensor = *graph_.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  for (const int64_t size : shape) tensor.add_dims(size);
  std::vector<float> rounded(values.begin(), values.end());  // raw_data is little-endian, as this host is
  tensor.set_raw_data(rounded.data(), rounded.size() * sizeof(float));
  return name;
}

std::string OnnxGraph::constant(const std::string& name, const std::vector<int64_t>& values) {
  onnx::TensorProto& tensor = *graph_.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::INT64);
  tensor.add_dims(static_cast<int64_t>(values.size()));
  tensor.set_raw_data(values.data(), values.size() * sizeof(int64_t));
  return name;
}

void OnnxGraph::set(const std::string& name, int64_t value) {
  onnx::AttributeProto& attribute = *last_->add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INT);
  attribute.set_i(value);
}

void OnnxGraph::set(const std::string& name, float value) {
  onnx::AttributeProto& attribute = *last_->add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::FLOAT);
  attribute.set_f(value);
}

void OnnxGraph::set(const std::string& name, const std::vector<int64_t>& values) {
  onnx::AttributeProto& attribute = *last_->add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INTS);
  for (const int64_t value : values) attribute.add_ints(value);
}

void OnnxGraph::set_window(int64_t size, int64_t stride) {
  const int64_t padding = size / 2;
  set("kernel_shape", std::vector<int64_t>{size, size});
  set("pads", std::vector<int64_t>{padding, padding, padding, padding});
  set("strides", std::vector<int64_t>{stride, stride});
}

std::vector<double> OnnxGraph::tensor(const std::string& name, const std::vector<int64_t>& shape) const {
  const TensorFile& file = checkpoint_.file();
  const std::string in_file = state_.name_in_file(name);
  const TensorEntry* entry = state_.find(file, name);
  if (entry == nullptr) fail("{}: tensor {} is missing", file.path(), in_file);
  if (entry->shape != shape)
    fail("{}: tensor {}: expected shape {}, got {}", file.path(), in_file, shape_text(shape), shape_text(entry->shape));
  return read_finite(file, in_file, sizeof(float));
}

OnnxGraph::Norm OnnxGraph::norm(const std::string& name, int64_t c) const {
  Norm norm{tensor(name + ".weight", {c}), tensor(name + ".bias", {c})};
  const std::vector<double> mean = tensor(name + ".running_mean", {c}), variance = tensor(name + ".running_var", {c});
  for (size_t i = 0; i < mean.size(); i++) {
    norm.scale[i] /= std::sqrt(variance[i] + kNormEps);
    norm.shift[i] -= norm.scale[i] * mean[i];
  }
  return norm;
}

std::string OnnxGraph::conv_norm(const Conv& conv, const std::string& x) {
  const std::vector<int64_t> shape = {conv.out, conv.in, conv.size, conv.size};
  std::vector<double> weight = tensor(conv.conv + ".weight", shape);
  const Norm folded = norm(conv.norm, conv.out);
  const size_t row = weight.size() / static_cast<size_t>(conv.out);
  for (size_t i = 0; i < weight.size(); i++) weight[i] *= folded.scale[i / row];
  const std::string w = constant(conv.conv + ".weight", shape, weight);
  const std::string b = constant(conv.norm + ".bias", {conv.out}, folded.shift);
  node("Conv", conv.norm, {x, w, b});
  set_window(conv.size, conv.stride);
  return conv.norm;
}

std::string OnnxGraph::conv1x1(const std::string& weight, int64_t in, int64_t out, const std::string& bias,
                               const std::string& x) {
  const std::vector<int64_t> shape = {out, in, 1, 1};
  std::vector<std::string> inputs = {x, constant(weight, shape, tensor(weight, shape))};
  if (!bias.empty()) inputs.push_back(constant(bias, {out}, tensor(bias, {out})));
  const std::string name = weight.substr(0, weight.rfind('.'));
  node("Conv", name, inputs);
  set_window(1, 1);
  return name;
}

std::string OnnxGraph::max_pool(const std::string& name, const std::string& x) {
  node("MaxPool", name, {x});
  set_window(3, 2);
  return name;
}

}  // namespace mpanet
