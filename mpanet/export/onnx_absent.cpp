// In place of onnx_model.cpp in a build without libonnx.
#include "core/base/error.h"
#include "mpanet/export/onnx_model.h"

namespace mpanet {

void require_onnx() { fail("this build has no ONNX support (MPANET_ONNX, Debian's libonnx-dev and libprotobuf-dev)"); }

std::string onnx_model(const Checkpoint&, const OnnxOptions&) { return require_onnx(), std::string(); }

}  // namespace mpanet
