#include "data/loading/loader.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/base/error.h"
#include "core/base/threads.h"

namespace mpanet {
namespace {

constexpr size_t kNotBegun = std::numeric_limits<size_t>::max();

size_t largest(const std::vector<std::vector<Sample>>& batches) {
  size_t most = 0;
  for (const auto& batch : batches) most = std::max(most, batch.size());
  return most;
}

size_t picture_floats(const LoaderConfig& config) {
  return static_cast<size_t>(config.height) * static_cast<size_t>(config.width) * 3;
}

void reserve(Batch& batch, size_t pictures, const LoaderConfig& config) {
  batch.images.reserve(pictures * picture_floats(config));
  batch.labels.reserve(pictures);
  batch.infrared.reserve(pictures);
}

}  // namespace

std::shared_ptr<const Image> ImageCache::find(const std::string& path, int height, int width) const {
  const std::shared_lock lock(mutex_);
  const auto found = images_.find(path);
  if (found == images_.end() || found->second->height != height || found->second->width != width) return nullptr;
  return found->second;
}

void ImageCache::insert(const std::string& path, const Image& image) {
  const size_t size = image.pixels.size();
  {
    const std::shared_lock lock(mutex_);
    if (size > capacity_ - held_ || images_.contains(path)) return;
  }
  auto copy = std::make_shared<const Image>(image);
  const std::unique_lock lock(mutex_);
  if (size > capacity_ - held_ || !images_.emplace(path, std::move(copy)).second) return;
  held_ += size;
}

size_t ImageCache::bytes() const {
  const std::shared_lock lock(mutex_);
  return held_;
}

size_t loader_bytes(const LoaderConfig& config, int largest_batch) {
  const size_t picture = picture_floats(config) * sizeof(float) + sizeof(int32_t) + sizeof(uint8_t);
  return static_cast<size_t>(config.queue + 1) * static_cast<size_t>(largest_batch) * picture +
         (config.cache ? config.cache->capacity() : 0);
}

Loader::Loader(LoaderConfig config, std::vector<std::vector<Sample>> batches, size_t first_batch)
    : config_(std::move(config)),
      batches_(std::move(batches)),
      largest_(largest(batches_)),
      table_(config_.normalization),
      slots_(static_cast<size_t>(config_.queue)),
      consumed_(first_batch),
      claim_batch_(first_batch) {
  MPANET_CHECK(config_.height > 0 && config_.width > 0, "height {}, width {}", config_.height, config_.width);
  MPANET_CHECK(config_.threads >= 1 && config_.queue >= 1, "threads {}, queue {}", config_.threads, config_.queue);
  for (const auto& batch : batches_) MPANET_CHECK(!batch.empty(), "an empty batch");
  // All memory of the batches is allocated here, so that the threads do not run out of it.
  for (Slot& slot : slots_) {
    slot.missing = kNotBegun;
    reserve(slot.batch, largest_, config_);
  }
  try {
    for (int i = 0; i < config_.threads; i++) threads_.push_back(start_thread([this] { work(); }));
  } catch (...) {
    stop();
    throw;
  }
}

Loader::~Loader() { stop(); }

void Loader::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  space_.notify_all();
  threads_.clear();
}

// Resizes a free slot's vectors for its next batch. Their capacity suffices.
void Loader::prepare(Slot& slot, const std::vector<Sample>& samples) {
  Batch& batch = slot.batch;
  batch.count = static_cast<int>(samples.size());
  batch.height = config_.height;
  batch.width = config_.width;
  batch.images.resize(samples.size() * picture_floats(config_));
  batch.labels.resize(samples.size());
  batch.infrared.resize(samples.size());
  for (size_t i = 0; i < samples.size(); i++) {
    batch.labels[i] = samples[i].label;
    batch.infrared[i] = samples[i].infrared ? 1 : 0;
  }
  slot.missing = samples.size();
  slot.error = nullptr;
}

void Loader::work() {
  Scratch scratch;
  std::unique_lock lock(mutex_);
  for (;;) {
    space_.wait(lock,
                [&] { return stop_ || claim_batch_ >= batches_.size() || claim_batch_ < consumed_ + slots_.size(); });
    if (stop_ || claim_batch_ >= batches_.size()) return;
    const std::vector<Sample>& samples = batches_[claim_batch_];
    Slot& slot = slots_[claim_batch_ % slots_.size()];
    const size_t i = claim_sample_++;
    if (i == 0) prepare(slot, samples);
    if (claim_sample_ == samples.size()) claim_batch_++, claim_sample_ = 0;

    lock.unlock();
    std::exception_ptr error;
    try {
      load(samples[i], scratch, slot.batch.images.data() + i * picture_floats(config_));
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();

    if (error && (!slot.error || i < slot.failed)) slot.error = error, slot.failed = i;
    if (--slot.missing == 0) ready_.notify_all();
  }
}

void Loader::load(const Sample& sample, Scratch& scratch, float* out) const {
  std::shared_ptr<const Image> held;
  const uint8_t* pixels = config_.pack ? config_.pack->find(sample.path) : nullptr;
  if (!pixels && config_.cache) {
    held = config_.cache->find(sample.path, config_.height, config_.width);
    if (held) pixels = held->pixels.data();
  }
  if (!pixels) {
    scratch.decoder.decode(sample.path, scratch.decoded);
    scratch.resizer.resize(scratch.decoded, config_.height, config_.width, scratch.resized);
    if (config_.cache) config_.cache->insert(sample.path, scratch.resized);
    pixels = scratch.resized.pixels.data();
  }
  if (!config_.train) return normalize_image(pixels, config_.height, config_.width, table_, out);
  const Augmentation augmentation =
      draw_augmentation(config_.augment, config_.height, config_.width,
                        Random(config_.seed, Purpose::Augment, config_.epoch, sample.index));
  augment_image(pixels, config_.height, config_.width, config_.augment, augmentation, table_, out);
}

bool Loader::next(Batch& batch) {
  reserve(batch, largest_, config_);  // a slot of the queue gets this memory below
  std::unique_lock lock(mutex_);
  if (consumed_ >= batches_.size()) return false;
  Slot& slot = slots_[consumed_ % slots_.size()];
  ready_.wait(lock, [&] { return slot.missing == 0; });
  if (slot.error) std::rethrow_exception(slot.error);
  std::swap(batch, slot.batch);
  slot.missing = kNotBegun;
  consumed_++;
  lock.unlock();
  space_.notify_all();
  return true;
}

}  // namespace mpanet
