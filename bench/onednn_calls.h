// The CPU's vendor library at the ops' shapes, in float and in the layouts that it likes best.
#pragma once
#include <cstddef>
#include <functional>

#include "tests/ops/op_run.h"

namespace mpanet {

// A call with memory of its own; the memory's contents do not matter to its time.
struct VendorCall {
  std::function<void()> run;  // empty in a build without oneDNN
  size_t bytes = 0;
};
VendorCall onednn_call(const ConvCall& call);
VendorCall onednn_call(const ProductCall& call);

}  // namespace mpanet
