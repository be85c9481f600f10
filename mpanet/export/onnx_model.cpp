#include "mpanet/export/onnx_model.h"

#include <onnx/checker.h>
#include <onnx/onnx_pb.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/text.h"
#include "data/loading/augment.h"
#include "mpanet/export/onnx_graph.h"
#include "mpanet/network/depth.h"

namespace mpanet {
namespace {

constexpr int kOpset = 17, kIrVersion = 8;
constexpr int64_t kReduction = 16;   // of the channel attention
constexpr double kNormEps = 1e-5;    // of the instance norm
constexpr double kSmallest = 1e-12;  // an embedding of zeros stays zeros

// Bytes (N, H, W, 3) to what the network takes, (N, 3, H, W): (byte / 255 - mean) / std.
std::string normalised(OnnxGraph& graph, const std::string& pictures) {
  const Normalization normalization;
  const auto channels = [](const std::array<float, 3>& values) {
    return std::vector<double>(values.begin(), values.end());
  };
  graph.node("Cast", "pixels.float", {pictures});
  graph.set("to", int64_t{onnx::TensorProto::FLOAT});
  graph.node("Transpose", "pixels.channels_first", {"pixels.float"});
  graph.set("perm", std::vector<int64_t>{0, 3, 1, 2});
  graph.node("Div", "pixels.unit", {"pixels.channels_first", graph.constant("pixels.largest", {}, {255})});
  graph.node("Sub", "pixels.centered",
             {"pixels.unit", graph.constant("pixels.mean", {1, 3, 1, 1}, channels(normalization.mean))});
  return graph.node("Div", "pixels.normalised",
                    {"pixels.centered", graph.constant("pixels.std", {1, 3, 1, 1}, channels(normalization.std))});
}

// One residual block (mpanet/network/resnet.h).
std::string block(OnnxGraph& graph, const std::string& name, const Depth& depth, int64_t in, int64_t width,
                  int64_t stride, const std::string& x) {
  const int64_t out = width * depth.expansion();
  std::vector<OnnxGraph::Conv> body;
  const auto add = [&](int64_t c, int64_t k, int64_t size, int64_t s) {
    const std::string index = std::to_string(body.size() + 1);
    body.push_back({name + ".conv" + index, name + ".bn" + index, c, k, size, s});
  };
  if (depth.bottleneck) {
    add(in, width, 1, 1);
    add(width, width, 3, stride);
    add(width, out, 1, 1);
  } else {
    add(in, width, 3, stride);
    add(width, out, 3, 1);
  }
  std::string y = x;
  for (size_t i = 0; i < body.size(); i++) {
    y = graph.conv_norm(body[i], y);
    if (i + 1 < body.size()) y = graph.node("Relu", y + ".relu", {y});
  }
  std::string residual = x;
  if (stride != 1 || in != out)
    residual = graph.conv_norm({name + ".downsample.0", name + ".downsample.1", in, out, 1, stride}, x);
  return graph.node("Relu", name, {graph.node("Add", name + ".sum", {y, residual})});
}

// m x + (1 - m) IN(x), as IN(x) + m (x - IN(x)).
std::string alleviated(OnnxGraph& graph, const std::string& name, int64_t c, const std::string& x) {
  const std::string first = name + ".channel_attention.0", second = name + ".channel_attention.2";
  std::string m = graph.node("GlobalAveragePool", name + ".mean", {x});
  m = graph.conv1x1(first + ".weight", c, c / kReduction, "", m);
  m = graph.node("Relu", first + ".relu", {m});
  m = graph.node("Sigmoid", name + ".attention", {graph.conv1x1(second + ".weight", c / kReduction, c, "", m)});
  const auto count = static_cast<size_t>(c);
  const std::string ones = graph.constant(name + ".ones", {c}, std::vector<double>(count, 1));
  const std::string zeros = graph.constant(name + ".zeros", {c}, std::vector<double>(count, 0));
  const std::string norm = graph.node("InstanceNormalization", name + ".norm", {x, ones, zeros});
  graph.set("epsilon", static_cast<float>(kNormEps));
  const std::string difference = graph.node("Sub", name + ".difference", {x, norm});
  return graph.node("Add", name, {norm, graph.node("Mul", name + ".kept", {m, difference})});
}

std::string backbone(OnnxGraph& graph, const ModelConfig& model, const std::string& pictures) {
  const Depth depth = find_depth(model.depth);
  std::string x = graph.conv_norm({"backbone.conv1", "backbone.bn1", 3, depth.width, 7, 2}, pictures);
  x = graph.max_pool("backbone.maxpool", graph.node("Relu", "backbone.relu", {x}));
  int64_t c = depth.width;
  for (int stage = 1; stage <= 4; stage++) {
    const int64_t width = int64_t{depth.width} << (stage - 1);
    const int64_t stride = stage == 1 || (stage == 4 && model.drop_last_stride) ? 1 : 2;
    for (int i = 0; i < depth.blocks[static_cast<size_t>(stage - 1)]; i++) {
      const std::string name = fmt::format("backbone.layer{}.{}", stage, i);
      x = block(graph, name, depth, c, width, i == 0 ? stride : 1, x);
      c = width * depth.expansion();
    }
    if ((stage == 3 && model.mam > 1) || (stage == 4 && model.mam > 0))
      x = alleviated(graph, fmt::format("backbone.MAM{}", stage), c, x);
  }
  return x;
}

// The parts' means under the pattern maps, then the mean over all positions: (N, (P + 1) C).
std::string pooled(OnnxGraph& graph, const ModelConfig& model, int64_t c, const std::string& x) {
  const std::string rows = graph.node("Reshape", "features.rows", {x, graph.constant("features.shape", {0, c, -1})});
  graph.node("ReduceMean", "features.mean", {rows});
  graph.set("axes", std::vector<int64_t>{2});
  graph.set("keepdims", int64_t{0});
  if (model.parts == 0) return "features.mean";
  const int64_t parts = model.parts;
  const std::string maps = graph.node(
      "Sigmoid", "pattern_maps", {graph.conv1x1("spatial_attention.weight", c, parts, "spatial_attention.bias", x)});
  const std::string flat =
      graph.node("Reshape", "pattern_maps.rows", {maps, graph.constant("pattern_maps.shape", {0, parts, -1})});
  graph.node("Transpose", "features.columns", {rows});
  graph.set("perm", std::vector<int64_t>{0, 2, 1});
  const std::string sums = graph.node("MatMul", "parts.sums", {flat, "features.columns"});
  // The number of positions, from the shape: (1).
  graph.node("Shape", "features.size", {rows});
  graph.set("start", int64_t{2});
  graph.node("Cast", "features.positions", {"features.size"});
  graph.set("to", int64_t{onnx::TensorProto::FLOAT});
  const std::string means = graph.node("Div", "parts.means", {sums, "features.positions"});
  const std::string row = graph.node("Reshape", "parts", {means, graph.constant("parts.shape", {0, parts * c})});
  graph.node("Concat", "features", {row, "features.mean"});
  graph.set("axis", int64_t{1});
  return "features";
}

std::string neck(OnnxGraph& graph, int64_t d, const std::string& x) {
  const OnnxGraph::Norm folded = graph.norm("bn_neck", d);
  const std::string scaled =
      graph.node("Mul", "bn_neck.scaled", {x, graph.constant("bn_neck.weight", {1, d}, folded.scale)});
  return graph.node("Add", "bn_neck", {scaled, graph.constant("bn_neck.bias", {1, d}, folded.shift)});
}

void declare(onnx::ValueInfoProto& value, const char* name, int type, const std::vector<int64_t>& shape) {
  value.set_name(name);
  onnx::TypeProto_Tensor& tensor = *value.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(type);
  tensor.mutable_shape()->add_dim()->set_dim_param("N");
  for (const int64_t size : shape) tensor.mutable_shape()->add_dim()->set_dim_value(size);
}

void add_metadata(onnx::ModelProto& model, const std::string& key, const std::string& value) {
  onnx::StringStringEntryProto& entry = *model.add_metadata_props();
  entry.set_key("mpanet." + key);
  entry.set_value(value);
}

void describe(onnx::ModelProto& model, const OnnxOptions& options) {
  const Normalization n;
  const std::string input =
      options.pixels
          ? fmt::format("uint8 (N, {}, {}, 3), RGB, 0..255: scaling and normalisation are inside", options.height,
                        options.width)
          : fmt::format(
                "float (N, 3, {}, {}), RGB, (byte / 255 - mean) / std with mean {}, {}, {} and std {}, {}, {}: "
                "scaling and normalisation are not inside",
                options.height, options.width, n.mean[0], n.mean[1], n.mean[2], n.std[0], n.std[1], n.std[2]);
  const std::string output = options.l2 ? "L2-normalised inside" : "not L2-normalised";
  std::vector<std::string> included;
  if (options.pixels) included.emplace_back("pixels");
  if (options.l2) included.emplace_back("l2");
  add_metadata(model, "included", join(included, ","));
  add_metadata(model, "input", input);
  add_metadata(model, "output", "the BN neck's output, " + output);
  add_metadata(model, "checkpoint_sha256", options.checkpoint_sha256);
  model.set_doc_string(fmt::format("Person embeddings (MPANet). Input: {}. Output: {}.", input, output));
}

}  // namespace

void require_onnx() {}

std::string onnx_model(const Checkpoint& checkpoint, const OnnxOptions& options) {
  const ModelConfig config = checkpoint.embedding_model();
  const int64_t c = find_depth(config.depth).channels(), d = c * (config.parts + 1);
  onnx::ModelProto model;
  model.set_ir_version(kIrVersion);
  model.set_producer_name("mpanet");
  model.set_producer_version(MPANET_VERSION);
  onnx::OperatorSetIdProto& opset = *model.add_opset_import();
  opset.set_domain("");
  opset.set_version(kOpset);
  describe(model, options);
  onnx::GraphProto& proto = *model.mutable_graph();
  proto.set_name("mpanet");
  const int64_t height = options.height, width = options.width;
  if (options.pixels)
    declare(*proto.add_input(), "pictures", onnx::TensorProto::UINT8, {height, width, 3});
  else
    declare(*proto.add_input(), "pictures", onnx::TensorProto::FLOAT, {3, height, width});
  declare(*proto.add_output(), "embeddings", onnx::TensorProto::FLOAT, {d});

  OnnxGraph graph(proto, checkpoint);
  const std::string input = options.pixels ? normalised(graph, "pictures") : "pictures";
  std::string x = neck(graph, d, pooled(graph, config, c, backbone(graph, config, input)));
  if (options.l2) {
    graph.node("ReduceL2", "length", {x});
    graph.set("axes", std::vector<int64_t>{1});
    graph.set("keepdims", int64_t{1});
    const std::string length =
        graph.node("Max", "length.positive", {"length", graph.constant("smallest", {}, {kSmallest})});
    x = graph.node("Div", "unit", {x, length});
  }
  graph.node("Identity", "embeddings", {x});
  onnx::checker::check_model(model);
  return model.SerializeAsString();
}

}  // namespace mpanet
