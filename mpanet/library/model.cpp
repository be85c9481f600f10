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
  take_bytes(config);
  check_free_memory(config);
  engine_ = make_engine(config);
  checkpoint.load_embedding(*engine_);
  dimension_ = engine_->feature_size();
  how_.height = config.model.height;
  how_.width = config.model.width;
  how_.batch = config.embed_batch;
  how_.threads = usable_processors();
  how_.flip = options.flip;
  send_pictures_to(*engine_, how_);
  load_curve(path);
}

// The network can embed without it, so that its errors are kept for curve().
void Model::load_curve(const std::string& path) {
  try {
    const std::optional<Calibration> calibration = read_calibration(path);
    const LogisticCurve* curve =
        calibration ? calibration->curve(Distance::UnitEuclidean, how_.height, how_.width, how_.flip) : nullptr;
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

// The loader reads ahead of the network, and sends bytes to a GPU, as in an evaluation.
void Model::embed_all(const Pictures& pictures, float* out) {
  LoaderConfig config = loader_config_of(how_);
  config.threads = static_cast<int>(std::min<size_t>(static_cast<size_t>(config.threads), pictures.count));
  config.decode = [&](const Sample& sample, ImageDecoder& decoder, Image& image) {
    pictures.read(sample.index, decoder, image);
  };
  const auto size = static_cast<size_t>(how_.batch);
  std::vector<std::vector<Sample>> batches((pictures.count + size - 1) / size);
  for (size_t i = 0; i < pictures.count; i++) batches[i / size].push_back({"", 0, false, static_cast<uint32_t>(i)});
  Loader loader(config, std::move(batches));
  std::vector<uint8_t> first;  // the first picture, as the batch has it
  bool pictures_differ = false, embeddings_differ = false;
  size_t done = 0;
  for (Batch batch; loader.next(batch); done += static_cast<size_t>(batch.count)) {
    const auto* content =
        batch.form == PictureForm::Floats ? reinterpret_cast<const uint8_t*>(batch.images.data()) : batch.pixels.get();
    const size_t bytes = static_cast<size_t>(how_.height) * static_cast<size_t>(how_.width) * 3 *
                         (batch.form == PictureForm::Floats ? sizeof(float) : 1);
    if (first.empty()) first.assign(content, content + bytes);
    for (int i = 0; i < batch.count && !pictures_differ; i++)
      pictures_differ = std::memcmp(content + static_cast<size_t>(i) * bytes, first.data(), bytes) != 0;
    float* rows = out + done * dimension_;
    embed_batch(*engine_, batch, how_.flip, rows, [&](size_t i) { return pictures.name(done + i); });
    for (int i = 0; i < batch.count && !embeddings_differ; i++)
      embeddings_differ = std::memcmp(rows + i * dimension_, out, dimension_ * sizeof(float)) != 0;
  }
  if (pictures_differ && !embeddings_differ)
    fail(
        "the network gives {} pictures that differ the same embedding; its weights have diverged, are damaged or "
        "overflow in this precision",
        pictures.count);
}

}  // namespace mpanet
