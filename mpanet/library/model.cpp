#include "mpanet/library/model.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <mutex>
#include <utility>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/threads.h"
#include "mpanet/evaluation/evaluate.h"
#include "mpanet/files/checkpoint.h"
#include "mpanet/training/train_plan.h"

namespace mpanet {
namespace {

constexpr int kLargestSide = 9999, kLargestBatch = 4096, kMostThreads = 1024;
constexpr int kBatchOnGpu = 64;

void check_range(const char* name, int value, int largest) {
  if (value < 0 || value > largest) fail("{}: expected 1 to {}, or 0 for the default, got {}", name, largest, value);
}

// Sets the number of OpenMP threads of this thread. The process has one number, that of its first model: the engine
// refuses teams of other sizes.
void agree_on_threads(int wanted) {
  static std::mutex mutex;
  static int agreed = 0;
  const std::lock_guard lock(mutex);
  if (agreed > 0 && wanted > 0 && wanted != agreed)
    fail("threads: expected {}, which the first network of this process has, got {}", agreed, wanted);
  agreed = choose_threads(agreed > 0 ? agreed : wanted).count;
}

void check_free_memory(const EngineConfig& config) {
  const size_t needed = plan_memory(config).total();
  const FreeMemory free = find_free_memory(config.device);
  const size_t available = config.device.backend == Backend::cuda ? free.gpu : free.host;
  if (available > 0 && needed > available)
    fail("the network needs {}, free are {}: take a smaller batch", format_bytes(static_cast<double>(needed)),
         format_bytes(static_cast<double>(available)));
}

}  // namespace

Model::Model(const std::string& path, const ModelOptions& options) {
  check_range("height", options.height, kLargestSide);
  check_range("width", options.width, kLargestSide);
  check_range("batch", options.batch, kLargestBatch);
  check_range("threads", options.threads, kMostThreads);
  try {
    worker_.run([&] { load(path, options); });
  } catch (...) {
    worker_.run([&] { engine_.reset(); });
    throw;
  }
}

Model::~Model() {
  worker_.run([&] { engine_.reset(); });
}

void Model::load(const std::string& path, const ModelOptions& options) {
  const Checkpoint checkpoint(path);
  EngineConfig config;
  config.model = checkpoint.embedding_model();
  if (options.height > 0) config.model.height = options.height;
  if (options.width > 0) config.model.width = options.width;
  check_image_size(config.model);
  config.device = choose_device(options.device.empty() ? "auto" : options.device);
  config.precision = choose_precision(
      parse_precision_or_auto(options.precision.empty() ? "f32" : options.precision, "precision"), config.device);
  const bool gpu = config.device.backend == Backend::cuda;
  config.embed_batch = options.batch > 0 ? options.batch : gpu ? kBatchOnGpu : 1;
  agree_on_threads(options.threads);
  check_free_memory(config);
  engine_ = make_engine(config);
  checkpoint.load_embedding(*engine_);
  dimension_ = engine_->feature_size();
  height_ = config.model.height;
  width_ = config.model.width;
  batch_size_ = config.embed_batch;
  flip_ = options.flip;
  load_curve(path);
  scratch_.resize(usable_processors());
}

// The network can embed without it, so that its errors are kept for curve().
void Model::load_curve(const std::string& path) {
  try {
    const std::optional<Calibration> calibration = read_calibration(path);
    const LogisticCurve* curve =
        calibration ? calibration->curve(Distance::UnitEuclidean, height_, width_, flip_) : nullptr;
    if (curve != nullptr) curve_ = *curve;
  } catch (const UserError& error) {
    curve_error_ = error.what();
  }
}

const LogisticCurve* Model::curve() const {
  if (!curve_error_.empty()) throw UserError(curve_error_);
  return curve_ ? &*curve_ : nullptr;
}

void Model::embed(const Pictures& pictures, float* out) {
  if (pictures.count == 0) return;
  worker_.run([&] { embed_all(pictures, out); });
}

// Reads pictures first..first + count - 1 into the batch.
void Model::read_batch(const Pictures& pictures, size_t first, int count) {
  const size_t numbers = static_cast<size_t>(height_) * width_ * 3;
  batch_.count = count;
  batch_.height = height_;
  batch_.width = width_;
  batch_.images.resize(count * numbers);
  batch_.labels.resize(count);
  batch_.infrared.resize(count);
  std::vector<std::exception_ptr> errors(count);
  parallel_for(static_cast<int>(scratch_.size()), count, [&](size_t i, int thread) {
    Scratch& scratch = scratch_[thread];
    try {
      pictures.read(first + i, scratch.decoder, scratch.decoded);
      scratch.resizer.resize(scratch.decoded, height_, width_, scratch.resized);
      normalize_image(scratch.resized.pixels.data(), height_, width_, table_, batch_.images.data() + i * numbers);
    } catch (...) {
      errors[i] = std::current_exception();
    }
  });
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

void Model::embed_all(const Pictures& pictures, float* out) {
  const size_t numbers = static_cast<size_t>(height_) * width_ * 3;
  std::vector<float> first;  // the first picture
  bool pictures_differ = false, embeddings_differ = false;
  for (size_t done = 0; done < pictures.count; done += batch_.count) {
    read_batch(pictures, done, static_cast<int>(std::min<size_t>(batch_size_, pictures.count - done)));
    if (first.empty()) first.assign(batch_.images.begin(), batch_.images.begin() + numbers);
    for (int i = 0; i < batch_.count && !pictures_differ; i++)
      pictures_differ = std::memcmp(batch_.images.data() + i * numbers, first.data(), numbers * sizeof(float)) != 0;
    float* rows = out + done * dimension_;
    embed_batch(*engine_, batch_, flip_, rows, [&](size_t i) { return pictures.name(done + i); });
    for (int i = 0; i < batch_.count && !embeddings_differ; i++)
      embeddings_differ = std::memcmp(rows + i * dimension_, out, dimension_ * sizeof(float)) != 0;
  }
  if (pictures_differ && !embeddings_differ)
    fail(
        "the network gives {} pictures that differ the same embedding; its weights have diverged, are damaged or "
        "overflow in this precision",
        pictures.count);
}

}  // namespace mpanet
