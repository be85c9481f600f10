// Training: from a configuration and a data set to a run folder (run_folder.h), from the start or resumed.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mpanet/config/config.h"
#include "mpanet/network/engine.h"

namespace mpanet {

struct TrainOptions {
  std::string program;                // argv[0], for commands that a user can paste
  std::string config;                 // file; with resume it may be empty: the checkpoint's configuration
  std::vector<std::string> settings;  // "key=value", applied to the configuration in order
  std::string data;                   // the data set's folder; with resume it may be empty: as in inputs.json
  bool data_from_run = false;         // `data` is that of inputs.json
  std::string trials;                 // trial file; empty: as in inputs.json, else searched in the data set
  std::string protocol;               // of the evaluations between epochs; empty: as the run's before, else by `trials`
  std::string out;                    // run folder
  std::string init;                   // initial weights; empty: random
  // Options named after a key, applied after `settings`: {"seed", "3"}.
  std::vector<std::pair<std::string, std::string>> keys;
  bool resume = false;
  Device device;
  std::string device_line;           // why this device, for the run's first line of output
  std::string conv, gemm;            // see vendors.h
  bool graph = true;                 // GPU: replay the step as a CUDA graph; false: launch its kernels one by one
  int threads = 0;                   // of the engine; 0: chosen by choose_threads()
  std::optional<int64_t> max_steps;  // stop after this step, counted from the run's first
  // The given options that the run folder does not keep, one word each: "--threads", "2".
  std::vector<std::string> repeated;
  std::string go_on;  // the command that goes on after a stop; empty: that of this run
};

// Trains. Prints progress on stdout and warnings on stderr. Returns the exit code: 0, or 128 + a signal's number after
// the checkpoint was written. A complete run is left as it is, which one line says. UserError for wrong input, before
// the run folder is made where possible. A run folder that train() made is removed after an error unless its first
// checkpoint was written.
int train(const TrainOptions& options);

}  // namespace mpanet
