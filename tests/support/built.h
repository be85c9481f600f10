// What this build has: precisions, instruction sets. And what the processor has.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <string>
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

// Whether /proc/cpuinfo lists a flag.
inline bool processor_has(const std::string& flag) {
  return std::system(("grep -qw " + flag + " /proc/cpuinfo").c_str()) == 0;
}

}  // namespace mpanet
