// The pictures and lists of a synthetic data set, planned before anything is drawn.
#pragma once
#include <string>
#include <vector>

#include "data/sets/matfile.h"
#include "data/synth/synth.h"

namespace mpanet::synth {

struct Picture {
  std::string path;  // in the data set
  int identity = 1;  // from 1
  int camera = 1;    // 1..6, of synth_scene.h
  int number = 1;    // of this identity and camera, 1..999: the stream of its random numbers
};

struct TextFile {
  std::string path, text;
};

struct Layout {
  std::vector<Picture> pictures;  // grouped by folder
  std::vector<TextFile> files;
  bool trials = false;               // with exp/rand_perm_cam.mat
  std::vector<std::string> folders;  // must exist even if they are empty
};

// UserError for numbers that are too large for the layout.
Layout plan_layout(const SynthConfig& config);

// The number of pictures of an identity by each camera in SYSU-MM01's layout.
class SysuCounts {
 public:
  explicit SysuCounts(const SynthConfig& config);
  // 0 if the camera has no pictures of the identity.
  int of(int camera, int identity) const;

 private:
  SynthConfig config_;
  std::vector<bool> test_;  // by identity
};
TrialFile draw_trials(const SynthConfig& config);

}  // namespace mpanet::synth
