// Runs an op case in one precision on one device. Results are converted to double, so that precisions and devices can
// be compared. The list of cases is compiled once per precision, with the same order in each.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/precisions.h"
#include "core/context.h"
#include "tests/ops/network_sizes.h"

namespace mpanet {

struct OpTensor {
  std::string name;
  std::vector<double> values;
  bool stored = false;  // true: the storage type, false: real
};

// Outputs; the leaves' gradients, once set and once added to existing numbers; buffers that the op updates.
using OpResults = std::vector<OpTensor>;

// An equivalent call of NVIDIA's libraries.
struct ConvCall {
  ConvShape shape;
  ConvPass pass;
};
struct ProductCall {  // c (m, n) = a (m, k) b (k, n); a and b may be stored transposed
  bool transpose_a, transpose_b;
  int64_t m, n, k;
};

// The minimum cost of a pass. bytes: every input read once and every output written once. If the op needs a sum over a
// whole tensor before it can continue, its second read of the tensor counts too.
struct OpCost {
  double bytes = 0, flops = 0;
  std::vector<ConvCall> convolutions = {};  // products of storage values
  std::vector<ProductCall> products = {};   // products of real values
};

// The part of a case that is the same in every precision.
struct OpName {
  std::string op, shapes;
  OpCost forward, backward;
  bool recording = true;           // whether there is a backward pass
  int intermediate_roundings = 0;  // see OpCase
  double tolerance_factor = 1;
  int operand_roundings = 0, computed_operands = 0;
};

using Rounding = double (*)(double);

// One case with its own memory, which can be run repeatedly: for benchmarks.
class OpInstance {
 public:
  virtual ~OpInstance() = default;
  virtual void forward() = 0;
  virtual void prepare_backward() = 0;  // a forward pass, and gradients of its outputs
  virtual void backward() = 0;
  virtual size_t bytes() const = 0;  // of its memory
  virtual Context& context() = 0;
};
// Launch: addresses without memory, for passes whose launches are listed and not run.
enum class InstanceMode { Run, Launch };

// How a case is run. `rounding` is applied to every drawn number, so that a run in double can have inputs that bf16
// represents.
struct OpSetting {
  Device device;
  Rounding rounding;
  Guards guards = Guards::On;
  bool tf32 = false;  // convolutions of f32 and products of floats are in TF32
};

// The functions of one precision.
struct OpPrecision {
  const char* name;
  double storage_unit, real_unit;  // unit roundoff of the storage type and of real
  double storage_smallest;         // smallest normal number of the storage type
  Rounding rounding;               // to the storage type
  std::vector<OpName> (*names)();  // the checks
  OpResults (*run)(size_t index, const OpSetting& setting);
  std::vector<OpName> (*benchmarks)(const NetworkSizes& sizes);
  std::unique_ptr<OpInstance> (*instance)(const NetworkSizes& sizes, size_t index,
                                          const std::shared_ptr<StreamHandle>& stream, InstanceMode mode);
  double operand_unit = 0;  // unit roundoff of TF32, if an engine of this precision multiplies in it, else 0
};

#define DECLARE_OP_PRECISION(precision)  \
  namespace precision {                  \
  extern const OpPrecision op_precision; \
  }
MPANET_EACH_PRECISION(DECLARE_OP_PRECISION)
#undef DECLARE_OP_PRECISION
// The f64 ops rounded where another precision stores (tests/support/rounded.h): only its run(), on the cpu backend.
// In programs that link op_cases_rounded.
namespace rounded {
extern const OpPrecision op_precision;
void set_rounding(Rounding stored, Rounding operand);
}  // namespace rounded

// "tf32" is f32 with the setting for TF32. UserError when the program was built without the precision.
inline OpPrecision op_precision_of(const std::string& name) {
  const bool tf32 = name == "tf32";
#define ADDRESS(precision) &precision::op_precision,
  for (const OpPrecision* const built : {MPANET_EACH_PRECISION(ADDRESS)}) {
    if (built->name != (tf32 ? "f32" : name)) continue;
    OpPrecision precision = *built;
    if (tf32) precision.name = "tf32", precision.operand_unit = 0x1p-11;
    return precision;
  }
#undef ADDRESS
  fail("--precision: this program was built without {} (MPANET_PRECISIONS)", name);
}

// The precision on a device, as the network has it: an old GPU multiplies the floats of 16-bit engines as they are.
inline OpPrecision op_precision_on(Device device, const std::string& name) {
  OpPrecision precision = op_precision_of(name);
  if (name != "tf32" && !StreamHandle(device).can_use_tf32()) precision.operand_unit = 0;
  return precision;
}

// A stream for instances of the precision.
inline std::shared_ptr<StreamHandle> stream_for(Device device, const OpPrecision& precision) {
  const auto stream = std::make_shared<StreamHandle>(device);
  stream->set_tf32(precision.operand_unit > 0);
  return stream;
}

}  // namespace mpanet
