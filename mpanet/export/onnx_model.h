// A network that computes embeddings as an ONNX model: operator set 17, IR version 8, float32 (docs/using.md, Other
// programs; https://onnx.ai).
#pragma once
#include <string>

#include "mpanet/files/checkpoint.h"

namespace mpanet {

// UserError in a build without libonnx (MPANET_ONNX).
void require_onnx();

struct OnnxOptions {
  int height = 384, width = 128;  // pixels of the pictures
  bool pixels = false;            // the input is bytes, and the model normalises them
  bool l2 = false;                // the output is L2-normalised
  std::string checkpoint_sha256;  // becomes metadata
};

// The model as bytes of a ModelProto. Input "pictures", without `pixels` float (N, 3, height, width), normalised as in
// docs/method.md, section 3; with it uint8 (N, height, width, 3) in RGB. Output "embeddings", float (N, D), the BN
// neck's output. N is free. Every batch norm is folded, in double, into the convolution before it. What is inside is in
// metadata_props (docs/using.md). The same checkpoint and options give the same bytes.
//
// UserError: a tensor that is missing, of a wrong shape or not finite; as require_onnx().
std::string onnx_model(const Checkpoint& checkpoint, const OnnxOptions& options);

}  // namespace mpanet
