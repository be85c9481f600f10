// The ops whose loops are compiled for several instruction sets (kernels/cpu/loops.cpp) give the same bits with each of
// them that this processor has. opcheck compares the best one with double.
#include <doctest/doctest.h>
#include <hwy/targets.h>

#include <cstring>
#include <optional>
#include <set>
#include <string>

#include "kernels/cpu/panel_kernels.h"
#include "tests/ops/op_run.h"

using namespace mpanet;

namespace {

// The ops with kernels in loops.cpp, and no product or convolution, which adds in another order on each processor.
const std::set<std::string> kOps = {"batch_norm_1d", "batch_norm_2d", "instance_norm",     "modality_alleviation",
                                    "max_pool",      "global_mean",   "pattern_alignment", "adam",
                                    "sgd",           "teacher_update"};

// With these sets the loops are the baseline's, as with HWY_SCALAR, which every processor has.
constexpr int64_t kBaseline = HWY_SSE4 | HWY_SSSE3 | HWY_EMU128;

// Programs run as on a processor that has this instruction set and none besides the compiler's baseline.
void force(int64_t target) {
  hwy::SetSupportedTargetsForTest(target);
  cpu::force_panel_kernels(nullptr);
}

std::string difference(const OpResults& a, const OpResults& b) {
  for (size_t t = 0; t < a.size(); t++)
    for (size_t i = 0; i < a[t].values.size(); i++)
      if (std::memcmp(&a[t].values[i], &b[t].values[i], sizeof(double)) != 0)
        return fmt::format("{}[{}]: {:.17g} instead of {:.17g}", a[t].name, i, b[t].values[i], a[t].values[i]);
  return {};
}

TEST_CASE("loops give the same bits with every instruction set") {
#define ADDRESS(precision) &precision::op_precision,
  for (const OpPrecision* precision : {MPANET_EACH_PRECISION(ADDRESS)}) {
#undef ADDRESS
    CAPTURE(precision->name);
    const std::vector<OpName> cases = precision->names();
    std::set<std::string> seen;
    for (size_t i = 0; i < cases.size(); i++) {
      if (!kOps.contains(cases[i].op)) continue;
      seen.insert(cases[i].op);
      CAPTURE(cases[i].op);
      CAPTURE(cases[i].shapes);
      const OpSetting setting{Backend::cpu, precision->rounding};
      std::optional<OpResults> first;
      for (int64_t left = hwy::SupportedTargets() & ~kBaseline; left != 0; left &= left - 1) {
        const int64_t target = left & -left;
        force(target);
        const OpResults got = precision->run(i, setting);
        force(0);
        if (!first) first = got;
        const std::string other = difference(*first, got);
        CHECK_MESSAGE(other.empty(), hwy::TargetName(target) << ": " << other);
      }
    }
    CHECK(seen == kOps);
  }
}

}  // namespace
