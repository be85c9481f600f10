#pragma once
#include <algorithm>

#include "mpanet/network/precision.h"

namespace mpanet {

// A build may lack 16-bit precisions (MPANET_PRECISIONS). tf32 is a setting of f32's engine.
inline bool is_built(Precision precision) {
  if (precision == Precision::tf32) precision = Precision::f32;
  return std::ranges::count(built_precisions(), precision) > 0;
}

inline bool is_built(const std::string& precision) { return is_built(parse_precision(precision, "a test")); }

}  // namespace mpanet
