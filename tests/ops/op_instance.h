// A benchmark's case with memory of its own (OpInstance in tests/ops/op_run.h).
#pragma once
#include <memory>

#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {

// `place`: of benchmark_cases(sizes). UserError when the device's memory is too small.
std::unique_ptr<OpInstance> make_instance(const NetworkSizes& sizes, size_t place,
                                          const std::shared_ptr<StreamHandle>& stream, InstanceMode mode);

}  // namespace mpanet::PRECISION
