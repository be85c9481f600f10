// Times of a convolution's passes on a GPU, with every plan of our kernels and with cuDNN. Compiled once per precision.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/base/precisions.h"
#include "core/context.h"
#include "kernels/conv_plan.h"

namespace mpanet {

struct PlanTime {
  std::string plan;               // what the kernels choose: "chosen"; "cuDNN"; else "wgmma 128x256, 3 splits"
  std::optional<double> seconds;  // median; nullopt: did not run, see note
  std::string note;
};

struct ConvPasses {
  Device device;
  double seconds = 0.02;  // given to each plan
  bool every_plan = false, tf32 = false;
};

// The chosen plan first. BackwardWeights includes adding the splits. Forward and BackwardData compute the sums for
// batch norms in their epilogues where the plan allows, as in training ("+ sums").
#define DECLARE_TIME_PASS(precision)                                                           \
  namespace precision {                                                                        \
  std::vector<PlanTime> time_pass(const ConvPasses& o, const ConvShape& shape, ConvPass pass); \
  }
MPANET_EACH_PRECISION(DECLARE_TIME_PASS)
#undef DECLARE_TIME_PASS

}  // namespace mpanet
