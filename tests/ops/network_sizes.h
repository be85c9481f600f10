// The sizes at which MPANet calls its ops.
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/types.h"

namespace mpanet {

// MPANet on a ResNet-50 as in the paper. `narrow` divides the channels, and reduces identities, parameters and the test
// set, for a run under the emulation.
struct NetworkSizes {
  int batch = 128, height = 384, width = 128;
  int samples = 128;  // rows of the losses
  int narrow = 1;
  bool odd = false;  // odd numbers of channels, so that packs do not fit
  int channels(int c) const { return (c / narrow < 4 ? 4 : c / narrow) + odd; }
  int identities() const { return narrow == 1 ? 395 : 5; }
  int features() const { return (parts + 1) * channels(2048); }
  int queries() const { return narrow == 1 ? 3803 : 7; }  // SYSU-MM01, all search
  int gallery() const { return narrow == 1 ? 301 : 5; }
  int64_t parameters() const;                                // number of trainable values
  int pixels() const { return height / 16 * (width / 16); }  // of the last two stages' outputs
  std::vector<int32_t> labels() const;                       // (samples): four consecutive rows per identity
  std::vector<uint8_t> infrared() const;                     // (samples): every other row
  static constexpr int parts = 6;
};

// The distinct convolutions of the backbone (last stride 1), stem first.
std::vector<ConvShape> backbone_convolutions(const NetworkSizes& sizes);

}  // namespace mpanet
