// The synthetic data set: drawn people in SYSU-MM01's layout (docs/method.md, section 4), so that everything can be
// tried and tested without the real one. Every byte follows from the configuration (for one version of libjpeg and
// zlib).
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "data/pictures/image.h"

namespace mpanet {

struct SynthConfig {
  int ids = 300;      // identities in training, 2..4000; one in five of them stands in val_id.txt
  int test_ids = 40;  // identities in the test, 2..4000, none of them in training
  int images = 5;     // at most, of each identity by each camera; at least three quarters of it; 1..999
  uint64_t seed = 1;
  int threads = 0;  // 0: one a core
};

// Writes the data set to `out`, which must not exist or be an empty folder (else UserError). It appears there when it
// is complete and not before; on an error or when `stopped` answers true nothing remains. Returns false when stopped.
// Every eighth identity is never seen indoors (cameras 1, 2 and 3), as many of the real ones are not.
bool write_synth(const SynthConfig& config, const std::string& out, const std::function<bool()>& stopped);

// A contact sheet of the first `rows` identities of the configuration, two pictures by each camera.
Image draw_synth_sheet(const SynthConfig& config, int rows);

}  // namespace mpanet
