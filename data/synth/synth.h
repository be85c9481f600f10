// The synthetic data set: drawn people in the layout of a real data set (docs/method.md, section 4), so that everything
// can be tried and tested without the real one. Every byte follows from the configuration (for one version of libjpeg
// and zlib).
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "data/pictures/image.h"
#include "data/sets/dataset.h"
#include "data/synth/synth_world.h"

namespace mpanet {

struct SynthConfig {
  DatasetKind layout = DatasetKind::Sysu;
  World world = World::Plain;
  int ids = 300;        // identities in training, 2..4000; in SYSU-MM01's layout one in five of them is in val_id.txt
  int test_ids = 40;    // identities in the test, 2..4000, none of them in training
  int images = 5;       // at most, of each identity by each camera; at least three quarters of it; 1..999
  int test_images = 0;  // the same for the test's identities; 0: as images
  uint64_t seed = 1;
  int threads = 0;  // 0: one a core
};

// Writes the data set to `out`, which must not exist or be an empty folder (else UserError). It appears there when it
// is complete and not before. On an error or when `stopped` returns true nothing remains. Returns false when stopped.
// Its file kDrawnName says that the people are drawn.
//
//   sysu   cameras 1..6, JPEG, a trial file. Every eighth identity is never seen indoors (cameras 1, 2 and 3), as many
//          of the real ones are not
//   regdb  one visible and one thermal camera, BMP, ten splits of ids + test_ids identities
//   llcm   nine visible and eight near-infrared cameras, JPEG
//   csv    cameras 1..6 as in sysu, JPEG, a manifest: infrared queries, visible gallery
bool write_synth(const SynthConfig& config, const std::string& out, const std::function<bool()>& stopped);

constexpr const char* kDrawnName = "drawn.txt";
// Whether the folder of a data set has that file, with the line of write_synth().
bool is_drawn(const std::string& root);

// A contact sheet of the first `rows` identities of the configuration, two pictures by each of the six cameras that
// pictures are drawn by.
Image draw_synth_sheet(const SynthConfig& config, int rows);

}  // namespace mpanet
