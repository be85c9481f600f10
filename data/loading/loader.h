// Batches of pictures, decoded, resized and augmented by threads ahead of the consumer. The order of batches and every
// bit of them depend on the arguments alone, never on the number of threads or the cache.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "data/loading/augment.h"
#include "data/loading/batch.h"
#include "data/pictures/image.h"
#include "data/pictures/resize.h"

namespace mpanet {

// One picture of a batch. `index` names its random numbers within the epoch: its position in the epoch, unique.
struct Sample {
  std::string path;
  int32_t label = 0;
  bool infrared = false;
  uint32_t index = 0;
};

// Decoded and resized pictures by path, kept until `capacity_bytes` of pixels are held; what comes later is not kept.
// Several loaders, one after another or at once, may share it. Thread-safe.
class ImageCache {
 public:
  explicit ImageCache(size_t capacity_bytes) : capacity_(capacity_bytes) {}
  // The picture if it is held in exactly this size, else null.
  std::shared_ptr<const Image> find(const std::string& path, int height, int width) const;
  void insert(const std::string& path, const Image& image);
  size_t bytes() const;  // held now
  size_t capacity() const { return capacity_; }

 private:
  mutable std::shared_mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<const Image>> images_;
  size_t capacity_, held_ = 0;
};

struct LoaderConfig {
  int height = 384, width = 128;
  int threads = 1;     // >= 1
  int queue = 2;       // batches that are ready or in the making, >= 1
  bool train = false;  // augmented; else the plain test path
  AugmentConfig augment;
  Normalization normalization;
  uint64_t seed = 0;  // of the augmentation: Random(seed, Purpose::Augment, epoch, sample.index)
  uint32_t epoch = 0;
  std::shared_ptr<ImageCache> cache;  // optional
};

// Bytes that a loader holds in batches of at most `largest_batch` pictures, the consumer's own batch and the cache's
// capacity included. Not included: the threads' scratch memory, a few pictures each.
size_t loader_bytes(const LoaderConfig& config, int largest_batch);

class Loader {
 public:
  // Delivers batches[first_batch], batches[first_batch + 1], ... The threads start at once.
  Loader(LoaderConfig config, std::vector<std::vector<Sample>> batches, size_t first_batch = 0);
  ~Loader();  // stops the threads at any moment
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Waits for the next batch and swaps it into `batch`, whose memory goes back to the queue: hand in the same object
  // each time and nothing grows. False when all have been delivered. What a thread threw for this batch (a UserError
  // that names the file; of several bad files the first in the batch) is thrown here, after all earlier batches.
  bool next(Batch& batch);

 private:
  struct Scratch {  // of one thread
    ImageDecoder decoder;
    Resizer resizer;
    Image decoded, resized;
  };
  struct Slot {
    Batch batch;
    size_t missing = 0;  // pictures not finished yet
    size_t failed = 0;   // the sample that `error` belongs to
    std::exception_ptr error;
  };
  void work();
  void prepare(Slot& slot, const std::vector<Sample>& samples);
  void load(const Sample& sample, Scratch& scratch, float* out) const;
  void stop();

  const LoaderConfig config_;
  const std::vector<std::vector<Sample>> batches_;
  const size_t largest_;  // pictures in the largest batch
  const PixelTable table_;
  std::mutex mutex_;
  std::condition_variable space_, ready_;      // a slot became free; a batch became complete
  std::vector<Slot> slots_;                    // batch b lives in slot b % size
  size_t consumed_ = 0;                        // batches delivered, counted from batch 0
  size_t claim_batch_ = 0, claim_sample_ = 0;  // the next picture to be taken by a thread
  bool stop_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace mpanet
