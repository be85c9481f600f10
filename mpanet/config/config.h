// The configuration of a training run, a JSON file. Keys that the authors' code has are named as there. One table
// (config_keys.cpp) defines the keys for files, --set, --help-config and the run folder's config.json.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/loading/augment.h"
#include "data/sets/dataset.h"
#include "mpanet/network/engine.h"
#include "mpanet/network/model_config.h"

namespace mpanet {

struct TrainConfig {
  DatasetKind dataset = DatasetKind::Sysu;
  int split = 1;      // of RegDB, 1..10
  ModelConfig model;  // model.classes comes from the data set and is no key
  OptimizerConfig optimizer;
  std::optional<Precision> precision;  // nullopt: auto, until the run begins (choose_precision())
  uint64_t seed = 1;

  int p_size = 16, k_size = 8;  // identities in a batch, images of each
  int num_epoch = 140;
  double lr = 3.5e-4;
  std::vector<int> lr_step = {80, 120};  // the learning rate drops to a tenth at the end of these epochs
  int start_eval = 115;                  // an evaluation follows the last epoch and the epochs after start_eval
  int eval_interval = 5;                 // that eval_interval divides; eval_interval 0: never
  bool rerank = false;                   // evaluations re-rank
  int log_period = 10;                   // steps
  // A checkpoint follows so many steps and so many seconds, whichever is first, and every epoch. 0: not by this.
  int checkpoint_every = 200, checkpoint_seconds = 60;

  bool random_flip = true, random_crop = true, random_erase = true;
  int padding = 10;
  std::array<int, 3> pad_value = {127, 127, 127};
  int loader_threads = 2, loader_queue = 4;
  int cache_mib = 0;     // MiB for decoded and resized pictures
  std::string pack;      // file of mpanet-data pack; empty: pictures are decoded
  int embed_batch = 64;  // pictures per embedding batch during evaluation

  // The loader's part of the configuration.
  AugmentConfig augment() const;
  // Learning rate of an epoch, from 1.
  double learning_rate(int epoch) const;
  // Whether an evaluation follows epoch `epoch`.
  bool evaluates_after(int epoch) const;
};

// Reads and checks a configuration file. Keys that it lacks have their defaults. UserError, one line: file, full key
// path, allowed range, and the value there; for an unknown key the most similar known one. A file is one of the
// authors' (authors_config.h) if its name ends in .yml or .yaml, or if it does not end in .json and the text begins
// like YAML and not like JSON. Its reader's remarks are then appended to `remarks`.
TrainConfig read_config(const std::string& path, std::vector<std::string>* remarks = nullptr);
// The same from a JSON text; errors begin with `source`.
TrainConfig parse_config(std::string_view text, const std::string& source);

// Applies "key=value" with the same checks. The value is JSON; a bare word is a string, and 80,120 is a list.
void set_config(TrainConfig& config, const std::string& assignment);
// The same for a key that has an option of its own: errors name "--key".
void set_config_key(TrainConfig& config, const std::string& path, const std::string& text);

// Checks conditions on several keys: a picture size that the network allows, and at least one term of the loss.
// read_config() does not call it, because --set may follow. UserError, which begins with `source` and names the keys.
void check_config(const TrainConfig& config, const std::string& source);

// UserError when a model trained under `trained` has seen people of this test set: another split of RegDB. `source`
// names the model.
void check_unseen(const TrainConfig& trained, DatasetKind test, int split, const std::string& source);

// The whole configuration: as an indented file in the table's order, and as one line with sorted keys.
std::string config_file_text(const TrainConfig& config);
std::string config_line(const TrainConfig& config);

// Replaces auto in `now` by the precision of `before`: a run that goes on keeps the precision that it began with.
void keep_precision(const TrainConfig& before, TrainConfig& now);
// Full paths of the keys in which two configurations differ and that may not change when a run is resumed.
std::vector<std::string> fixed_differences(const TrainConfig& before, const TrainConfig& now);
// Full paths of the keys that may change when a run is resumed.
std::vector<std::string> changeable_keys();

// One line per key: path, allowed values, default, meaning. For --help-config.
std::string config_help();
// The same as a table in Markdown, for docs/using.md.
std::string config_table();

}  // namespace mpanet
