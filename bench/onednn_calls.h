// oneDNN's calls for the ops' shapes, in float and in the layouts that it prefers.
#pragma once
#include <cstddef>
#include <functional>

#include "tests/ops/op_run.h"

namespace mpanet {

// A call with its own memory. Its time does not depend on the memory's contents.
struct VendorCall {
  std::function<void()> run;  // empty in a build without oneDNN
  size_t bytes = 0;
};
VendorCall onednn_call(const ConvCall& call);
VendorCall onednn_call(const ProductCall& call);

}  // namespace mpanet
