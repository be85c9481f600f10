// One op case, run in one precision on one device, its results in double: so that runs of different precisions and
// devices compare. The cases' list is compiled once per precision; their order is the same in each.
#pragma once
#include <string>
#include <vector>

#include "core/base/precisions.h"
#include "core/device.h"

namespace mpanet {

struct OpTensor {
  std::string name;
  std::vector<double> values;
  bool stored = false;  // of the storage type, else of real
};

// Outputs; the leaves' gradients, set and then added to numbers that are there already; buffers that the op updates.
using OpResults = std::vector<OpTensor>;

struct OpName {
  std::string op, shapes;
  double flops = 0;
  int between = 0;  // OpCase's
  double harder = 1;
};

using Rounding = double (*)(double);

// What one precision offers. Every number drawn goes through `rounding`: a run in double on what bf16 can hold.
struct OpPrecision {
  const char* name;
  double storage_unit, real_unit;  // half the distance of two neighbours, relative: u of the storage type and of real
  double storage_smallest;         // smallest normal number of the storage type
  Rounding rounding;               // to the storage type
  std::vector<OpName> (*names)();
  OpResults (*run)(size_t place, Device device, Rounding rounding);
};

#define DECLARE_OP_PRECISION(precision)   \
  namespace precision {                   \
  extern const OpPrecision op_precision;  \
  }
MPANET_EACH_PRECISION(DECLARE_OP_PRECISION)
#undef DECLARE_OP_PRECISION

}  // namespace mpanet
