// Makes the OpInstance (tests/ops/op_run.h) of a benchmark's case.
#pragma once
#include <memory>

#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {

// `index`: in benchmark_cases(sizes). UserError when the device's memory is too small.
std::unique_ptr<OpInstance> make_instance(const NetworkSizes& sizes, size_t index,
                                          const std::shared_ptr<StreamHandle>& stream, InstanceMode mode);

}  // namespace mpanet::PRECISION
