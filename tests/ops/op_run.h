// One op case, run in one precision on one device, its results in double: so that runs of different precisions and
// devices compare. The cases' list is compiled once per precision; their order is the same in each.
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
  bool stored = false;  // of the storage type, else of real
};

// Outputs; the leaves' gradients, set and then added to numbers that are there already; buffers that the op updates.
using OpResults = std::vector<OpTensor>;

// A call of a vendor's library that does the same work.
struct ConvCall {
  ConvShape shape;
  ConvPass pass;
};
struct ProductCall {  // c (m, n) = a (m, k) b (k, n), either of them stored transposed
  bool transpose_a, transpose_b;
  int64_t m, n, k;
};

// What a pass moves and computes at least. bytes: every input read once and every output written once; where the op
// needs a sum over a whole tensor before it can go on, what it reads again counts again.
struct OpCost {
  double bytes = 0, flops = 0;
  std::vector<ConvCall> convolutions = {};  // products of storage values
  std::vector<ProductCall> products = {};   // products of real values
};

// What every precision has alike of a case.
struct OpName {
  std::string op, shapes;
  OpCost forward, backward;
  bool recording = true;           // whether there is a backward pass
  int intermediate_roundings = 0;  // OpCase's
  double tolerance_factor = 1;
};

using Rounding = double (*)(double);

// One case with memory of its own, run again and again: for benchmarks.
class OpInstance {
 public:
  virtual ~OpInstance() = default;
  virtual void forward() = 0;
  virtual void prepare_backward() = 0;  // a forward pass, and gradients of its outputs
  virtual void backward() = 0;
  virtual size_t bytes() const = 0;  // of its memory
  virtual Context& context() = 0;
};
// Launch: addresses without memory behind them, for passes whose launches are watched and not run.
enum class InstanceMode { Run, Launch };

// What one precision offers. Every number drawn goes through `rounding`: a run in double on what bf16 can hold.
struct OpPrecision {
  const char* name;
  double storage_unit, real_unit;  // half the distance of two neighbours, relative: u of the storage type and of real
  double storage_smallest;         // smallest normal number of the storage type
  Rounding rounding;               // to the storage type
  std::vector<OpName> (*names)();  // of the checks
  OpResults (*run)(size_t place, Device device, Rounding rounding, Guards guards);
  std::vector<OpName> (*benchmarks)(const NetworkSizes& sizes);
  std::unique_ptr<OpInstance> (*instance)(const NetworkSizes& sizes, size_t place,
                                          const std::shared_ptr<StreamHandle>& stream, InstanceMode mode);
};

#define DECLARE_OP_PRECISION(precision)  \
  namespace precision {                  \
  extern const OpPrecision op_precision; \
  }
MPANET_EACH_PRECISION(DECLARE_OP_PRECISION)
#undef DECLARE_OP_PRECISION
// The f64 ops rounded where another precision stores (tests/support/rounded.h): its run() alone, on the cpu backend.
// In programs that link op_cases_rounded.
namespace rounded {
extern const OpPrecision op_precision;
void set_rounding(Rounding rounding);
}  // namespace rounded

// UserError when the program was built without it.
inline const OpPrecision& op_precision_of(const std::string& name) {
#define ADDRESS(precision) &precision::op_precision,
  for (const OpPrecision* const built : {MPANET_EACH_PRECISION(ADDRESS)})
    if (built->name == name) return *built;
#undef ADDRESS
  fail("--precision: this program was built without {} (MPANET_PRECISIONS)", name);
}

}  // namespace mpanet
