// Checkpoints: safetensors with the authors' parameter names (docs/method.md, section 6).
//
//   best.safetensors  the model, which the authors' network loads with strict=True; the configuration is metadata
//   last.safetensors  the same, and what resuming needs: the optimiser's state as "optimizer.first.NAME" and
//                     "optimizer.second.NAME", the progress as metadata. It holds no time, path or speed, so two runs
//                     that computed the same write the same bytes
//
// A foreign file is one without our metadata, such as the authors' weights, as safetensors or .pth. It can be
// evaluated: depth, pattern maps and modality alleviation follow from its names and shapes (state_dict.h).
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "mpanet/config/config.h"
#include "mpanet/files/safetensors.h"
#include "mpanet/files/state_dict.h"
#include "mpanet/network/engine.h"

namespace mpanet {

// The progress of a run. The random numbers of sampler and augmentation depend only on (seed, epoch, position), so
// neither has further state.
struct Progression {
  int epoch = 1;           // the current epoch, from 1
  int batch = 0;           // completed batches of it; if all are, its evaluation is still to be done
  int64_t step = 0;        // steps since the start of the run
  uint64_t data = 0;       // data_fingerprint() of the training images
  Losses loss_sums;        // of the epoch's batches so far
  double best_rank1 = -1;  // percent, selection_rank1() of an evaluation; negative: not evaluated yet
  int best_epoch = 0;
  OptimizerProgress optimizer = {};
  bool operator==(const Progression&) const = default;
};

// A value of the network or the optimiser is infinite or NaN: "tensor NAME holds nan".
struct NotFinite : UserError {
  using UserError::UserError;
};

// Both write atomically. Values are stored as F32, or F64 under --precision f64. NotFinite when a value is infinite or
// NaN; the file on disk then stays as it was. UserError when the file cannot be written.
void save_model(const std::string& path, const StateSnapshot& state, const TrainConfig& config, int64_t steps);
void save_training(const std::string& path, const StateSnapshot& state, const TrainConfig& config,
                   const Progression& progression);

// The key of the progress in the metadata of last.safetensors.
inline constexpr const char* kProgressKey = "mpanet.progress";

class Checkpoint {
 public:
  // Reads the header and infers the network. UserError, one line: see TensorFile; also invalid metadata, and a foreign
  // file that is not an MPANet.
  explicit Checkpoint(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const TensorFile& file() const { return file_; }
  // The training configuration; nullopt for a foreign file.
  const std::optional<TrainConfig>& config() const { return config_; }
  // nullopt unless training can be resumed from this file.
  const std::optional<Progression>& progression() const { return progression_; }

  // The network that computes embeddings: no losses, no modality classifiers, one class. A foreign file does not have
  // the picture size and layer4's stride; the authors' values for SYSU-MM01 are used, 384x128 and 1.
  ModelConfig embedding_model() const;
  // Writes the weights that embeddings need into an engine of embedding_model(), whose height and width may differ.
  // Classifiers, teachers and loss centers stay unchanged; tensors that this network does not have are only reported.
  // UserError: a missing tensor, a wrong shape (name, expected, got), a value that is not finite.
  WeightsReport load_embedding(EngineState& engine) const;

  // Writes everything, optimiser included, into an engine of the same configuration. UserError as above, also when
  // progression() is nullopt or the number of classes differs.
  void load_training(EngineState& engine) const;

 private:
  TensorFile file_;
  StateDict state_;
  std::optional<TrainConfig> config_;
  std::optional<Progression> progression_;
  ModelConfig model_;
};

// A tensor's values; UserError when one is not finite, and for a negative running variance.
std::vector<double> read_finite(const TensorFile& file, const std::string& name);
// The same for an engine that stores `real_bytes` (EngineState::real_bytes()) a number; UserError also when 4 are too
// few for a value's magnitude.
std::vector<double> read_finite(const TensorFile& file, const std::string& name, int real_bytes);

}  // namespace mpanet
