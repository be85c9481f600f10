// Threads decode, resize and augment batches of pictures ahead of the consumer, or leave the augmentation to a device.
// The order of batches and their bits do not depend on the number of threads, on the cache or on a pack.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "data/loading/augment.h"
#include "data/loading/batch.h"
#include "data/loading/pack.h"
#include "data/pictures/image.h"
#include "data/pictures/resize.h"

namespace mpanet {

// One picture of a batch. `index` is its position in the epoch, and selects its random numbers.
struct Sample {
  std::string path;
  int32_t label = 0;
  bool infrared = false;
  uint32_t index = 0;
  int32_t picture = 0;  // PictureForm::Held: index in the set that the device holds
};

// Keeps decoded and resized pictures by path, up to `capacity_bytes` of pixels; later pictures are not kept. Several
// loaders may use one cache. Thread-safe.
class ImageCache {
 public:
  explicit ImageCache(size_t capacity_bytes) : capacity_(capacity_bytes) {}
  // The picture if the cache has it in this size, else null.
  std::shared_ptr<const Image> find(const std::string& path, int height, int width) const;
  void insert(const std::string& path, const Image& image);
  size_t bytes() const;  // of pixels in the cache now
  size_t capacity() const { return capacity_; }

 private:
  mutable std::shared_mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<const Image>> images_;
  size_t capacity_, held_ = 0;
};

struct LoaderConfig {
  int height = 384, width = 128;
  int threads = 1;     // >= 1
  int queue = 2;       // batches that are ready or being made, >= 1
  bool train = false;  // true: augment_image(), false: normalize_image()
  PictureForm form = PictureForm::Floats;
  // Bytes: memory of a size for a batch's pixels, from which the device copies; empty: ordinary memory. Called in the
  // constructor and in next().
  std::function<std::shared_ptr<uint8_t>(size_t)> allocate;
  // Optional: decodes a sample in place of its file, path being unused. Called by the loader's threads.
  std::function<void(const Sample& sample, ImageDecoder& decoder, Image& out)> decode;
  AugmentConfig augment;
  Normalization normalization;
  uint64_t seed = 0;  // the augmentation draws from Random(seed, Purpose::Augment, epoch, sample.index)
  uint32_t epoch = 0;
  std::shared_ptr<ImageCache> cache;  // optional
  std::shared_ptr<const Pack> pack;   // optional: its pictures are not decoded
};

// Bytes of a loader whose batches have at most `largest_batch` pictures, with the consumer's own batch and the cache's
// capacity. Not included: the threads' scratch memory, a few pictures each.
size_t loader_bytes(const LoaderConfig& config, int largest_batch);

class Loader {
 public:
  // Starts the threads. They load batches[first_batch], batches[first_batch + 1], ...
  Loader(LoaderConfig config, std::vector<std::vector<Sample>> batches, size_t first_batch = 0);
  ~Loader();  // stops the threads, even in the middle of an epoch
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Waits for the next batch and swaps it with `batch`, whose memory the queue uses again; pass the same object each
  // time. Returns false after the last batch. An error in a picture (UserError, which names the file) is thrown here,
  // after all earlier batches were delivered. Of several bad pictures the first in the batch is reported.
  bool next(Batch& batch);

 private:
  struct Scratch {  // one per thread
    ImageDecoder decoder;
    Resizer resizer;
    Image decoded, resized;
  };
  struct Slot {
    Batch batch;
    size_t missing = 0;  // number of pictures not finished yet
    size_t failed = 0;   // the sample that `error` belongs to
    std::exception_ptr error;
  };
  void work();
  void prepare(Slot& slot, const std::vector<Sample>& samples);
  void reserve(Batch& batch) const;
  // The resized picture, in the pack, in the cache (then `held` owns it) or in `scratch`.
  const uint8_t* find_pixels(const Sample& sample, Scratch& scratch, std::shared_ptr<const Image>& held) const;
  void load(const Sample& sample, size_t i, Scratch& scratch, Batch& to) const;
  void stop();

  const LoaderConfig config_;
  const std::vector<std::vector<Sample>> batches_;
  const size_t largest_;  // pictures in the largest batch
  const PixelTable table_;
  std::mutex mutex_;
  std::condition_variable space_, ready_;      // a slot became free; a batch became complete
  std::vector<Slot> slots_;                    // batch b uses slot b % slots_.size()
  size_t consumed_ = 0;                        // index of the next batch to deliver
  size_t claim_batch_ = 0, claim_sample_ = 0;  // the next picture that a thread takes
  bool stop_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace mpanet
