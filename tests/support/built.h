// What this build has: precisions, instruction sets.
#pragma once
#include <algorithm>
#include <string_view>

#include "core/base/processor_check.h"
#include "mpanet/network/precision.h"

namespace mpanet {

// A build may lack 16-bit precisions (MPANET_PRECISIONS). tf32 is a setting of f32's engine.
inline bool is_built(Precision precision) {
  if (precision == Precision::tf32) precision = Precision::f32;
  return std::ranges::count(built_precisions(), precision) > 0;
}

inline bool is_built(const std::string& precision) { return is_built(parse_precision(precision, "a test")); }

// Whether this build runs only on processors with the instruction set.
inline bool is_built_for(std::string_view instruction_set) {
  return std::ranges::any_of(kBuiltFor, [&](const char* name) { return name != nullptr && name == instruction_set; });
}

}  // namespace mpanet
