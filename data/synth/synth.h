// The synthetic data set: drawn people in SYSU-MM01's layout (docs/method.md, section 4), for demonstrations and tests
// without the real data set. Its bytes depend on the configuration and on the versions of libjpeg and zlib alone.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "data/pictures/image.h"

namespace mpanet {

struct SynthConfig {
  int ids = 300;      // training identities, 2..4000; every fifth is in val_id.txt, the others in train_id.txt
  int test_ids = 40;  // test identities, 2..4000
  int images = 5;     // maximum per identity and camera, 1..999; the minimum is three quarters of it
  uint64_t seed = 1;
  int threads = 0;  // 0: usable_processors()
};

// Writes the data set to `out`, which must not exist or must be an empty folder (else UserError). `out` is made by a
// rename when the data set is complete. After an error, or when stopped() returns true, nothing remains. Returns false
// when stopped. Every eighth identity has no indoor picture (cameras 1, 2 and 3), like many in SYSU-MM01.
bool write_synth(const SynthConfig& config, const std::string& out, const std::function<bool()>& stopped);

// A contact sheet of the first `rows` identities, with two pictures by each camera.
Image draw_synth_sheet(const SynthConfig& config, int rows);

}  // namespace mpanet
