// Sums of splits of a product's depth. This backend's convolutions do not split; pattern alignment uses
// add_split_sums().
#include "core/base/error.h"
#include "kernels/cpu/convert.h"
#include "kernels/kernels.h"

namespace mpanet::PRECISION::cpu {

int conv_weight_splits(Stream, const ConvShape&) { return 0; }
void conv_backward_weight_splits(Stream, const ConvShape&, const storage*, const storage*, void*) {
  MPANET_CHECK(false, "expected what conv_weight_splits() says");
}

void add_split_sums(Stream, const SplitSums* list, int length) {
  for (int n = 0; n < length; n++) {
    const SplitSums& own = list[n];
#pragma omp parallel for schedule(static) if (parallel : own.count > kSerialCount)
    for (int64_t i = 0; i < own.count; i++) {
      real sum = 0;
      for (int split = 0; split < own.splits; split++) sum += own.partial[split * own.count + i];
      put(own.to[i], sum, own.write);
    }
  }
}

}  // namespace mpanet::PRECISION::cpu
