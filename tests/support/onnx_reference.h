// The operators of mpanet-export's models by their definitions, in double: https://onnx.ai/onnx/operators.
#pragma once
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace onnx_reference {

using Shape = std::vector<int64_t>;

inline int64_t product(const Shape& shape, size_t first = 0) {
  return std::accumulate(shape.begin() + static_cast<ptrdiff_t>(first), shape.end(), int64_t{1}, std::multiplies<>());
}

struct Array {
  Shape shape;
  std::vector<double> values;
  Array() = default;
  explicit Array(Shape s) : shape(std::move(s)), values(static_cast<size_t>(product(shape))) {}
  double& at(int64_t i) { return values[static_cast<size_t>(i)]; }
  double at(int64_t i) const { return values[static_cast<size_t>(i)]; }
};

// An array with numpy's broadcasting, element by element.
inline Array broadcast(const Array& a, const Array& b, const std::function<double(double, double)>& f) {
  const size_t rank = std::max(a.shape.size(), b.shape.size());
  const auto padded = [rank](const Shape& shape) {
    Shape made(rank - shape.size(), 1);
    made.insert(made.end(), shape.begin(), shape.end());
    return made;
  };
  const Shape sa = padded(a.shape), sb = padded(b.shape);
  Shape out(rank);
  for (size_t d = 0; d < rank; d++) {
    if (sa[d] != sb[d] && sa[d] != 1 && sb[d] != 1) throw std::runtime_error("shapes do not broadcast");
    out[d] = std::max(sa[d], sb[d]);
  }
  Array made(out);
  for (int64_t i = 0; i < product(out); i++) {
    int64_t rest = i, ia = 0, ib = 0, wa = 1, wb = 1;
    for (size_t d = rank; d-- > 0;) {
      const int64_t at = rest % out[d];
      rest /= out[d];
      ia += (sa[d] == 1 ? 0 : at) * wa, ib += (sb[d] == 1 ? 0 : at) * wb;
      wa *= sa[d], wb *= sb[d];
    }
    made.at(i) = f(a.at(ia), b.at(ib));
  }
  return made;
}

inline Array each(Array a, const std::function<double(double)>& f) {
  for (double& value : a.values) value = f(value);
  return a;
}

class Node {
 public:
  explicit Node(const onnx::NodeProto& node) : node_(node) {}
  const onnx::AttributeProto* find(const std::string& name) const {
    for (const auto& attribute : node_.attribute())
      if (attribute.name() == name) return &attribute;
    return nullptr;
  }
  Shape ints(const std::string& name) const {
    const auto* found = find(name);
    if (found == nullptr) throw std::runtime_error(node_.op_type() + ": no attribute " + name);
    return {found->ints().begin(), found->ints().end()};
  }
  int64_t integer(const std::string& name, int64_t otherwise) const {
    const auto* found = find(name);
    return found == nullptr ? otherwise : found->i();
  }
  double real(const std::string& name) const { return static_cast<double>(find(name)->f()); }

 private:
  const onnx::NodeProto& node_;
};

// Windows of an (N, C, H, W) array: calls take(output index, input index or -1 in the padding, row, column of the
// window) for each position of the windows over one channel.
inline Shape window_shape(const Array& x, const Node& node) {
  const Shape kernel = node.ints("kernel_shape"), pads = node.ints("pads"), strides = node.ints("strides");
  return {x.shape[0], x.shape[1], (x.shape[2] + pads[0] + pads[2] - kernel[0]) / strides[0] + 1,
          (x.shape[3] + pads[1] + pads[3] - kernel[1]) / strides[1] + 1};
}

inline Array conv(const std::vector<const Array*>& in, const Node& node) {
  const Array &x = *in[0], &w = *in[1];
  const Shape pads = node.ints("pads"), strides = node.ints("strides");
  Shape shape = window_shape(x, node);
  const int64_t c = x.shape[1], k = w.shape[0], r = w.shape[2], s = w.shape[3], h = x.shape[2], wide = x.shape[3];
  shape[1] = k;
  Array y(shape);
  for (int64_t n = 0, at = 0; n < shape[0]; n++)
    for (int64_t o = 0; o < k; o++)
      for (int64_t i = 0; i < shape[2]; i++)
        for (int64_t j = 0; j < shape[3]; j++, at++) {
          double sum = in.size() > 2 ? in[2]->at(o) : 0;
          for (int64_t q = 0; q < c; q++)
            for (int64_t a = 0; a < r; a++)
              for (int64_t b = 0; b < s; b++) {
                const int64_t row = i * strides[0] - pads[0] + a, column = j * strides[1] - pads[1] + b;
                if (row < 0 || row >= h || column < 0 || column >= wide) continue;
                sum += x.at(((n * c + q) * h + row) * wide + column) * w.at(((o * c + q) * r + a) * s + b);
              }
          y.at(at) = sum;
        }
  return y;
}

inline Array max_pool(const Array& x, const Node& node) {
  const Shape kernel = node.ints("kernel_shape"), pads = node.ints("pads"), strides = node.ints("strides");
  Array y(window_shape(x, node));
  const int64_t h = x.shape[2], w = x.shape[3];
  for (int64_t p = 0, at = 0; p < x.shape[0] * x.shape[1]; p++)
    for (int64_t i = 0; i < y.shape[2]; i++)
      for (int64_t j = 0; j < y.shape[3]; j++, at++) {
        double largest = -INFINITY;
        for (int64_t a = 0; a < kernel[0]; a++)
          for (int64_t b = 0; b < kernel[1]; b++) {
            const int64_t row = i * strides[0] - pads[0] + a, column = j * strides[1] - pads[1] + b;
            if (row >= 0 && row < h && column >= 0 && column < w)
              largest = std::max(largest, x.at((p * h + row) * w + column));
          }
        y.at(at) = largest;
      }
  return y;
}

// Each (N, C) plane of x as (mean, biased variance).
inline std::pair<double, double> plane(const Array& x, int64_t p) {
  const int64_t size = product(x.shape, 2);
  double mean = 0, variance = 0;
  for (int64_t i = 0; i < size; i++) mean += x.at(p * size + i) / static_cast<double>(size);
  for (int64_t i = 0; i < size; i++)
    variance += (x.at(p * size + i) - mean) * (x.at(p * size + i) - mean) / static_cast<double>(size);
  return {mean, variance};
}

inline Array instance_norm(const std::vector<const Array*>& in, const Node& node) {
  Array y = *in[0];
  const int64_t c = y.shape[1], size = product(y.shape, 2);
  for (int64_t p = 0; p < y.shape[0] * c; p++) {
    const auto moments = plane(*in[0], p);
    for (int64_t i = 0; i < size; i++)
      y.at(p * size + i) =
          in[1]->at(p % c) * (y.at(p * size + i) - moments.first) / std::sqrt(moments.second + node.real("epsilon")) +
          in[2]->at(p % c);
  }
  return y;
}

inline Array transpose(const Array& x, const Shape& order) {
  const size_t rank = order.size();
  Shape shape(rank), weight(rank, 1), source(rank);
  for (size_t d = rank; d-- > 1;) weight[d - 1] = weight[d] * x.shape[d];
  for (size_t d = 0; d < rank; d++) {
    shape[d] = x.shape[static_cast<size_t>(order[d])];
    source[d] = weight[static_cast<size_t>(order[d])];
  }
  Array y(shape);
  for (int64_t i = 0; i < product(shape); i++) {
    int64_t rest = i, from = 0;
    for (size_t d = rank; d-- > 0;) from += rest % shape[d] * source[d], rest /= shape[d];
    y.at(i) = x.at(from);
  }
  return y;
}

inline Array reshape(Array x, const Array& wanted) {
  Shape shape;
  int64_t known = 1;
  for (size_t d = 0; d < wanted.values.size(); d++) {
    const auto size = static_cast<int64_t>(wanted.values[d]);
    shape.push_back(size == 0 ? x.shape[d] : size);
    if (size != -1) known *= shape.back();
  }
  for (int64_t& size : shape)
    if (size == -1) size = product(x.shape) / known;
  if (product(shape) != product(x.shape)) throw std::runtime_error("Reshape: another number of elements");
  x.shape = shape;
  return x;
}

// (N, P, K) x (N, K, C).
inline Array matmul(const Array& a, const Array& b) {
  const int64_t n = a.shape[0], p = a.shape[1], k = a.shape[2], c = b.shape[2];
  Array y({n, p, c});
  for (int64_t m = 0, at = 0; m < n; m++)
    for (int64_t i = 0; i < p; i++)
      for (int64_t j = 0; j < c; j++, at++)
        for (int64_t q = 0; q < k; q++) y.at(at) += a.at((m * p + i) * k + q) * b.at((m * k + q) * c + j);
  return y;
}

// Over the last dimension: sum of f, then g(sum, length).
inline Array reduce_last(const Array& x, bool keep, const std::function<double(double)>& f,
                         const std::function<double(double, double)>& g) {
  Shape shape(x.shape.begin(), x.shape.end() - 1);
  const int64_t size = x.shape.back();
  if (keep) shape.push_back(1);
  Array y(shape);
  for (int64_t i = 0; i < product(shape); i++) {
    double sum = 0;
    for (int64_t j = 0; j < size; j++) sum += f(x.at(i * size + j));
    y.at(i) = g(sum, static_cast<double>(size));
  }
  return y;
}

// (N, A) and (N, B) to (N, A + B).
inline Array concat(const Array& a, const Array& b) {
  Array y({a.shape[0], a.shape[1] + b.shape[1]});
  y.values.clear();
  for (int64_t n = 0; n < a.shape[0]; n++)
    for (const Array* part : {&a, &b})
      for (int64_t i = 0; i < part->shape[1]; i++) y.values.push_back(part->at(n * part->shape[1] + i));
  return y;
}

inline Array computed(const onnx::NodeProto& proto, const std::vector<const Array*>& in) {
  const std::string& op = proto.op_type();
  const Node node(proto);
  const Array& x = *in[0];
  if (op == "Cast" || op == "Identity") return x;
  if (op == "Conv") return conv(in, node);
  if (op == "MaxPool") return max_pool(x, node);
  if (op == "InstanceNormalization") return instance_norm(in, node);
  if (op == "Relu") return each(x, [](double v) { return std::max(v, 0.0); });
  if (op == "Sigmoid") return each(x, [](double v) { return 1 / (1 + std::exp(-v)); });
  if (op == "Add") return broadcast(x, *in[1], std::plus<>());
  if (op == "Sub") return broadcast(x, *in[1], std::minus<>());
  if (op == "Mul") return broadcast(x, *in[1], std::multiplies<>());
  if (op == "Div") return broadcast(x, *in[1], std::divides<>());
  if (op == "Max") return broadcast(x, *in[1], [](double a, double b) { return std::max(a, b); });
  if (op == "Transpose") return transpose(x, node.ints("perm"));
  if (op == "Reshape") return reshape(x, *in[1]);
  if (op == "MatMul") return matmul(x, *in[1]);
  if (op == "Concat" && node.integer("axis", 0) == 1) return concat(x, *in[1]);
  const bool last =
      node.find("axes") != nullptr && node.ints("axes") == Shape{static_cast<int64_t>(x.shape.size()) - 1};
  const bool keep = node.integer("keepdims", 1) == 1;
  if (op == "ReduceMean" && last)
    return reduce_last(
        x, keep, [](double v) { return v; }, std::divides<>());
  if (op == "ReduceL2" && last)
    return reduce_last(
        x, keep, [](double v) { return v * v; }, [](double sum, double) { return std::sqrt(sum); });
  if (op == "GlobalAveragePool") {
    Array y({x.shape[0], x.shape[1], 1, 1});
    for (int64_t p = 0; p < x.shape[0] * x.shape[1]; p++) y.at(p) = plane(x, p).first;
    return y;
  }
  if (op == "Shape") {
    Array y;
    for (auto d = static_cast<size_t>(node.integer("start", 0)); d < x.shape.size(); d++)
      y.values.push_back(static_cast<double>(x.shape[d]));
    y.shape = {static_cast<int64_t>(y.values.size())};
    return y;
  }
  throw std::runtime_error("operator " + op + " is not expected here");
}

inline Array constant(const onnx::TensorProto& tensor) {
  Array made(Shape(tensor.dims().begin(), tensor.dims().end()));
  const auto take = [&](auto zero) {
    for (size_t i = 0; i < made.values.size(); i++) {
      std::memcpy(&zero, tensor.raw_data().data() + i * sizeof zero, sizeof zero);
      made.values[i] = static_cast<double>(zero);
    }
  };
  tensor.data_type() == onnx::TensorProto::INT64 ? take(int64_t{}) : take(float{});
  return made;
}

// The output of the model's graph.
inline Array run(const onnx::ModelProto& model, const Array& input) {
  std::map<std::string, Array> values;
  const onnx::GraphProto& graph = model.graph();
  for (const onnx::TensorProto& tensor : graph.initializer()) values[tensor.name()] = constant(tensor);
  values[graph.input(0).name()] = input;
  for (const onnx::NodeProto& node : graph.node()) {
    std::vector<const Array*> in;
    for (const std::string& name : node.input()) in.push_back(&values.at(name));
    values[node.output(0)] = computed(node, in);
  }
  return values.at(graph.output(0).name());
}

}  // namespace onnx_reference
