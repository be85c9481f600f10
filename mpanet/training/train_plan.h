// What a training run will need, known before its first step.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/loading/loader.h"
#include "data/sets/dataset.h"
#include "mpanet/network/engine.h"
#include "mpanet/training/config.h"

namespace mpanet {

EngineConfig engine_config(const TrainConfig& config, Device device);
// Without cache and epoch.
LoaderConfig train_loader_config(const TrainConfig& config);

// An epoch's batches as the loader takes them; sample.index is the position in the epoch.
std::vector<std::vector<Sample>> loader_batches(const Dataset& data, const std::vector<std::vector<int>>& batches);

// Changes whenever the training images do: FNV-1a over their relative paths, labels and modalities, in order.
uint64_t data_fingerprint(const std::vector<ImageRecord>& images);

// What a plan of memory depends on.
struct Workload {
  Device device;
  size_t train_images = 0;
  size_t queries = 0, gallery = 0;  // of the evaluation; 0: the run never evaluates
};

struct TrainMemory {
  MemoryPlan engine;
  size_t loader = 0;      // batches made ahead and kept pictures
  size_t evaluation = 0;  // embeddings, their normalised copy and the batches of the evaluation
  size_t total() const { return engine.total() + loader + evaluation; }
};

TrainMemory plan_train_memory(const TrainConfig& config, const Workload& workload);
// What is free, 0: not known. The engine takes a GPU's memory where it runs on one, all the rest the host's.
struct FreeMemory {
  FreeMemory(size_t h = 0, size_t d = 0) : host(h), gpu(d) {}
  size_t host, gpu;
};
FreeMemory find_free_memory(Device device);

// Lines of text.
std::string memory_text(const TrainMemory& memory, Device device, const FreeMemory& free);

struct BatchSize {
  int p = 0, k = 0;
};
// The largest batch, of at most config.p_size identities and config.k_size images each, whose plan stays within
// what is free; of equal ones that with more images an identity. None if not even one pair of images fits.
std::optional<BatchSize> largest_batch(const TrainConfig& config, const Workload& workload, const FreeMemory& free);

// UserError, with the largest batch that fits, when the plan is above what is free.
void check_memory(const TrainConfig& config, const Workload& workload, const FreeMemory& free);

}  // namespace mpanet
