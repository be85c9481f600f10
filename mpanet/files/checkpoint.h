// Checkpoints: safetensors with the authors' parameter names (docs/method.md, section 6).
//
//   best.safetensors  the model alone, as the authors' network loads it strictly; the configuration in its metadata
//   last.safetensors  the same, and what going on needs: the optimiser's state as "optimizer.first.NAME" and
//                     "optimizer.second.NAME", the progress in the metadata. No time, no path, no speed: two runs that
//                     computed the same write the same bytes
//
// A file without our metadata (the authors' weights, converted) can be evaluated: depth, pattern maps and modality
// alleviation follow from its names and shapes.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "mpanet/files/safetensors.h"
#include "mpanet/network/engine.h"
#include "mpanet/training/config.h"

namespace mpanet {

// How far a run has come. The sampler and the augmentation draw from (seed, epoch, position) alone, so this is all of
// their state.
struct Progression {
  int epoch = 1;           // the epoch under way, from 1
  int batch = 0;           // batches of it that are done; all of them: its evaluation is still due
  int64_t step = 0;        // steps since the start of the run
  uint64_t data = 0;       // data_fingerprint() of the training images
  Losses loss_sums;        // of the epoch's batches so far
  double best_rank1 = -1;  // percent, all-search single-shot; negative: not evaluated yet
  int best_epoch = 0;
  OptimizerProgress optimizer = {};
  bool operator==(const Progression&) const = default;
};

// A value of the network or the optimiser that training cannot go on from: "tensor NAME holds nan".
struct NotFinite : UserError {
  using UserError::UserError;
};

// Both write atomically. The engine's values are stored as F32 or F64, whatever it computes in. NotFinite, and the file
// stays as it was, when one of them is infinite or no number.
void save_model(const std::string& path, const EngineState& engine, const TrainConfig& config, int64_t steps);
void save_training(const std::string& path, const EngineState& engine, const TrainConfig& config,
                   const Progression& progression);

class Checkpoint {
 public:
  // Reads the header and works out the network. UserError, one line: what TensorFile refuses, metadata that make no
  // sense, a foreign file that is no MPANet.
  explicit Checkpoint(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const TensorFile& file() const { return file_; }
  // The training configuration; none in a foreign file.
  const std::optional<TrainConfig>& config() const { return config_; }
  // There only where training can go on from this file.
  const std::optional<Progression>& progression() const { return progression_; }

  // The network that computes embeddings: no losses, no modality classifiers, one class. A foreign file tells neither
  // the picture's size nor the last stride: they are 384x128 and 1 as in the authors' runs on SYSU-MM01.
  ModelConfig embedding_model() const;
  // Writes what embeddings need into an engine of embedding_model() (height and width are free); classifiers, teachers
  // and loss centers stay as they are. UserError: a missing tensor, another shape (name, expected, got), a value that
  // is not finite.
  void load_embedding(EngineState& engine) const;

  // Writes everything, optimiser included, into an engine of the same configuration. UserError as above, and for a file
  // that training cannot go on from or another number of classes.
  void load_training(EngineState& engine) const;

 private:
  TensorFile file_;
  std::optional<TrainConfig> config_;
  std::optional<Progression> progression_;
  ModelConfig model_;
};

// A tensor's values; UserError when one is not finite.
std::vector<double> read_finite(const TensorFile& file, const std::string& name);

// Parts of the network that embeddings do not need: classifiers, teachers, loss centers.
bool is_classifier(const std::string& tensor);

}  // namespace mpanet
