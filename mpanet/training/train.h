// Training: from a configuration and a data set to a run folder (run_folder.h), in one go or resumed.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mpanet/network/engine.h"

namespace mpanet {

struct TrainOptions {
  std::string program;                // as it was called, for the commands that a user can paste
  std::string config;                 // file; may be empty when resuming: the checkpoint's configuration
  std::vector<std::string> settings;  // "key=value", applied to it in order
  std::vector<std::pair<std::string, std::string>>
      keys;            // of options named after their key, applied after that: "seed", "3"
  std::string data;    // the data set's folder; may be empty when resuming: where the run had it
  std::string trials;  // trial file; empty: as the run had it, else where the data set keeps it
  std::string out;     // run folder
  std::string init;    // initial weights; empty: random
  bool resume = false;
  Device device;
  std::string conv, gemm;            // see vendors.h
  int threads = 0;                   // of the engine; 0: see choose_threads()
  std::optional<int64_t> max_steps;  // stop after this step, counted from the run's first
  // The options given that the run folder does not keep, word by word: "--threads", "2".
  std::vector<std::string> repeated;
};

// Trains, printing progress on stdout and warnings on stderr. Returns the exit code: 0, or 128 and a signal's number
// (with the checkpoint written). UserError for everything that is wrong with the input, before the run folder is made
// where it can be known by then; a run folder made here is removed again unless its first checkpoint was written.
int train(const TrainOptions& options);

}  // namespace mpanet
