#include "data/loading/loader.h"

#include <algorithm>
#include <cstring>
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

size_t values_of_picture(const LoaderConfig& config) {
  return static_cast<size_t>(config.height) * static_cast<size_t>(config.width) * 3;
}

// Bytes of a picture in a batch, without its label and modality.
size_t picture_bytes(const LoaderConfig& config) {
  switch (config.form) {
    case PictureForm::Floats:
      return values_of_picture(config) * sizeof(float);
    case PictureForm::Bytes:
      return values_of_picture(config) + sizeof(PictureCut);
    case PictureForm::Held:
      return sizeof(PictureCut);
  }
  throw CheckError("picture_bytes: no such form");
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
  const size_t picture = picture_bytes(config) + sizeof(int32_t) + sizeof(uint8_t);
  // The consumer alternates between two batches of bytes: the device may still copy from one.
  const int batches = config.queue + (config.form == PictureForm::Bytes ? 2 : 1);
  return static_cast<size_t>(batches) * static_cast<size_t>(largest_batch) * picture +
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
    reserve(slot.batch);
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

void Loader::reserve(Batch& batch) const {
  batch.labels.reserve(largest_);
  batch.infrared.reserve(largest_);
  if (config_.form == PictureForm::Floats) {
    batch.images.reserve(largest_ * values_of_picture(config_));
    return;
  }
  batch.cuts.reserve(largest_);
  const size_t bytes = largest_ * values_of_picture(config_);
  if (config_.form != PictureForm::Bytes || (batch.pixels && batch.pixel_bytes >= bytes)) return;
  batch.pixels = config_.allocate ? config_.allocate(bytes)
                                  : std::shared_ptr<uint8_t>(new uint8_t[bytes], [](auto* p) { delete[] p; });
  batch.pixel_bytes = bytes;
}

// Resizes a free slot's vectors for its next batch. Their capacity suffices.
void Loader::prepare(Slot& slot, const std::vector<Sample>& samples) {
  Batch& batch = slot.batch;
  batch.count = static_cast<int>(samples.size());
  batch.height = config_.height;
  batch.width = config_.width;
  batch.form = config_.form;
  if (config_.form == PictureForm::Floats)
    batch.images.resize(samples.size() * values_of_picture(config_));
  else
    batch.cuts.resize(samples.size());
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
      load(samples[i], i, scratch, slot.batch);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();

    if (error && (!slot.error || i < slot.failed)) slot.error = error, slot.failed = i;
    if (--slot.missing == 0) ready_.notify_all();
  }
}

const uint8_t* Loader::find_pixels(const Sample& sample, Scratch& scratch, std::shared_ptr<const Image>& held) const {
  if (const uint8_t* packed = config_.pack ? config_.pack->find(sample.path) : nullptr) return packed;
  if (config_.cache) held = config_.cache->find(sample.path, config_.height, config_.width);
  if (held) return held->pixels.data();
  if (config_.decode)
    config_.decode(sample, scratch.decoder, scratch.decoded);
  else
    scratch.decoder.decode(sample.path, scratch.decoded);
  scratch.resizer.resize(scratch.decoded, config_.height, config_.width, scratch.resized);
  if (config_.cache) config_.cache->insert(sample.path, scratch.resized);
  return scratch.resized.pixels.data();
}

void Loader::load(const Sample& sample, size_t i, Scratch& scratch, Batch& to) const {
  Augmentation augmentation;
  if (config_.train)
    augmentation = draw_augmentation(config_.augment, config_.height, config_.width,
                                     Random(config_.seed, Purpose::Augment, config_.epoch, sample.index));
  const int picture = config_.form == PictureForm::Held ? sample.picture : static_cast<int>(i);
  if (config_.form != PictureForm::Floats)
    to.cuts[i] = config_.train ? cut_of(config_.augment, augmentation, picture) : PictureCut{.picture = picture};
  if (config_.form == PictureForm::Held) return;
  std::shared_ptr<const Image> held;
  const uint8_t* pixels = find_pixels(sample, scratch, held);
  const size_t values = values_of_picture(config_);
  if (config_.form == PictureForm::Bytes)
    std::memcpy(to.pixels.get() + i * values, pixels, values);
  else if (config_.train)
    augment_image(pixels, config_.height, config_.width, config_.augment, augmentation, table_,
                  to.images.data() + i * values);
  else
    normalize_image(pixels, config_.height, config_.width, table_, to.images.data() + i * values);
}

bool Loader::next(Batch& batch) {
  reserve(batch);  // a slot of the queue gets this memory below
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
