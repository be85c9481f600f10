// Builds the graph of an ONNX model: nodes, constants, and tensors of a checkpoint.
#pragma once
#include <onnx/onnx_pb.h>

#include <cstdint>
#include <string>
#include <vector>

#include "mpanet/files/checkpoint.h"

namespace mpanet {

// Each function adds a node and returns the name of its output, which is `name`.
class OnnxGraph {
 public:
  OnnxGraph(onnx::GraphProto& graph, const Checkpoint& checkpoint);

  std::string node(const std::string& op, const std::string& name, const std::vector<std::string>& inputs);
  // A constant; its values are rounded to float32.
  std::string constant(const std::string& name, const std::vector<int64_t>& shape, const std::vector<double>& values);
  std::string constant(const std::string& name, const std::vector<int64_t>& values);  // int64

  // Attributes of the last node.
  void set(const std::string& name, int64_t value);
  void set(const std::string& name, float value);
  void set(const std::string& name, const std::vector<int64_t>& values);

  // A tensor by its name in the authors' state_dict. UserError for another shape, and for values that are not finite.
  std::vector<double> tensor(const std::string& name, const std::vector<int64_t>& shape) const;

  // Scale and shift that a batch norm of c channels multiplies and adds.
  struct Norm {
    std::vector<double> scale, shift;
  };
  Norm norm(const std::string& name, int64_t c) const;

  // A square convolution without bias and the batch norm behind it.
  struct Conv {
    std::string conv, norm;
    int64_t in, out, size, stride;
  };
  std::string conv_norm(const Conv& conv, const std::string& x);
  // A 1x1 convolution: of a weight alone, or with a bias.
  std::string conv1x1(const std::string& weight, int64_t in, int64_t out, const std::string& bias,
                      const std::string& x);
  // A window of 3x3, stride 2 and padding 1.
  std::string max_pool(const std::string& name, const std::string& x);

 private:
  void set_window(int64_t size, int64_t stride);
  onnx::GraphProto& graph_;
  onnx::NodeProto* last_ = nullptr;
  const Checkpoint& checkpoint_;
  StateDict state_;
};

}  // namespace mpanet
