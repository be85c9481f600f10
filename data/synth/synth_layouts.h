// What a synthetic data set consists of, before anything is drawn: its pictures and its lists.
#pragma once
#include <string>
#include <vector>

#include "data/sets/matfile.h"
#include "data/synth/synth.h"

namespace mpanet::synth {

struct Picture {
  std::string path;  // in the data set
  int identity = 1;  // from 1
  int camera = 1;    // 1..6, that draws it (synth_scene.h)
  int number = 1;    // of this identity and camera, 1..999: the stream of its random numbers
};

struct TextFile {
  std::string path, text;
};

struct Layout {
  std::vector<Picture> pictures;  // those of one folder one after another
  std::vector<TextFile> files;
  bool trials = false;               // with exp/rand_perm_cam.mat
  std::vector<std::string> folders;  // those that have to be there even when they are empty
};

// UserError for numbers that the layout has no room for.
Layout plan_layout(const SynthConfig& config);

// How many pictures an identity has by each camera in SYSU-MM01's layout.
class SysuCounts {
 public:
  explicit SysuCounts(const SynthConfig& config);
  // 0 for one who is never seen there.
  int of(int camera, int identity) const;

 private:
  SynthConfig config_;
  std::vector<bool> test_;  // by identity
};
TrialFile draw_trials(const SynthConfig& config);

}  // namespace mpanet::synth
