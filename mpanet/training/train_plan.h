// Engine and loader configuration, memory plan and fingerprint of a training run, computed before its first step.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/loading/loader.h"
#include "data/sets/dataset.h"
#include "mpanet/config/config.h"
#include "mpanet/evaluation/plan.h"
#include "mpanet/network/engine.h"

namespace mpanet {

// What a run computes on and with, besides its configuration.
struct Workload {
  Device device;
  size_t train_images = 0;
  size_t evaluated = 0;                        // images of the evaluation; 0: the run never evaluates
  size_t copied = 0;                           // images whose embeddings the CPU's ranking copies
  size_t rerank_bytes = 0;                     // of its re-ranking's distances
  size_t queries = 0, gallery = 0;             // the largest numbers that are ranked without it
  PictureForm pictures = PictureForm::Floats;  // of choose_pictures()
  Vendors vendors = {};                        // of choose_vendors()
  bool evaluates_there = false;                // of choose_evaluation()
};

// config.precision must not be auto any more.
EngineConfig engine_config(const TrainConfig& config, const Workload& workload);
// The loader's configuration for training, without cache and epoch.
LoaderConfig train_loader_config(const TrainConfig& config, PictureForm form);

// Turns an epoch's batches of indices into data.train into samples. Sample::index is the position in the epoch.
std::vector<std::vector<Sample>> loader_batches(const Dataset& data, const std::vector<std::vector<int>>& batches);

// The evaluation between epochs, one plan per direction: the data set's own protocol; of SYSU-MM01's layout without a
// trial file `agw`, which needs none, with a line in data.notes. The plans' notes are added there too.
// `root`, `trials` and `protocol` as in TrainOptions. UserError for a picture that is not there, and for a trial file
// that contradicts the protocol of the run's evaluations before.
std::vector<EvaluationPlan> plan_between_epochs(const TrainConfig& config, Dataset& data, const std::string& root,
                                                const std::string& trials, const std::string& protocol);

// The pack of the configuration, with all pictures that the run reads; null if it names none. UserError for another and
// for a stale one (data/loading/pack.h).
std::shared_ptr<const Pack> open_pack(const TrainConfig& config, const Dataset& data,
                                      const std::vector<EvaluationPlan>& evaluated);

// The configuration's cache of decoded pictures, empty; null if it has none.
std::shared_ptr<ImageCache> make_cache(const TrainConfig& config);

// Identifies the list of training images: FNV-1a over their relative paths, labels and modalities, in order.
uint64_t data_fingerprint(const std::vector<ImageRecord>& images);

// Bytes. A GPU holds on_device(), the host the rest; without a GPU the host holds all.
struct TrainMemory {
  MemoryPlan engine;
  size_t embeddings = 0;  // evaluates_there: the embeddings of an evaluation and its ranking's arrays
  size_t loader = 0;      // batches prepared ahead, and the picture cache
  // The loader's batches during an evaluation, re-ranking's distances, and the embeddings with their copies or, if they
  // are ranked on the device, the ranked lists.
  size_t evaluation = 0;
  size_t on_device() const { return engine.total() + embeddings; }
  size_t host() const { return loader + evaluation + engine.snapshot; }  // the snapshot that checkpoints are made from
  size_t total() const { return on_device() + host(); }
};

Workload workload_of(Device device, const Dataset& data, const std::vector<EvaluationPlan>& evaluated);

TrainMemory plan_train_memory(const TrainConfig& config, const Workload& workload);
// Free bytes of the host and of the GPU. 0: unknown.
struct FreeMemory {
  FreeMemory(size_t h = 0, size_t d = 0) : host(h), gpu(d) {}
  size_t host, gpu;
};
FreeMemory find_free_memory(Device device);

// How pictures come to the device, and why: a line of text, empty for a CPU, which has no choice. A CPU's loader
// threads make floats while the step computes. Another device augments bytes itself: of the whole set, if it is
// `packed` and fits into the free memory beside the training, else of batches that are sent.
struct PictureChoice {
  PictureForm form = PictureForm::Floats;
  std::string why;
};
PictureChoice choose_pictures(const TrainConfig& config, const Workload& workload, bool packed, const FreeMemory& free);

// Whether the plan counts an evaluation's embeddings and ranking on the device, and a line of text if they do not fit
// there, beside the training with workload.pictures. The evaluation itself goes by the memory that is free then.
struct EvaluationChoice {
  bool there = false;
  std::string why;
};
EvaluationChoice choose_evaluation(const TrainConfig& config, const Workload& workload, const FreeMemory& free);

// PictureForm::Held: gives the engine the training set out of the pack, showing progress.
void hold_training_set(const Dataset& data, const Pack& pack, EnginePictures& engine);

// The plan and the free memory as lines of text.
std::string memory_text(const TrainMemory& memory, Device device, const FreeMemory& free);

struct BatchSize {
  int p = 0, k = 0;
};
// The largest batch that fits into the free memory: p <= config.p_size identities, k <= config.k_size images each, k
// even. Of equally large ones it is the one with the larger k. nullopt if one pair of images does not fit.
std::optional<BatchSize> largest_batch(const TrainConfig& config, const Workload& workload, const FreeMemory& free);

// UserError, which names the largest batch that fits, when the plan exceeds the free memory.
void check_memory(const TrainConfig& config, const Workload& workload, const FreeMemory& free);

}  // namespace mpanet
