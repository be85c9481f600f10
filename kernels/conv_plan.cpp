#include "kernels/conv_plan.h"

namespace mpanet {
namespace {

ForcedPlan forced;

}  // namespace

void force_plan(const ForcedPlan& plan) { forced = plan; }
const ForcedPlan& forced_plan() { return forced; }

}  // namespace mpanet
