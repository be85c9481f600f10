#include "mpanet/evaluation/evaluate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/random.h"
#include "core/base/text.h"
#include "mpanet/evaluation/ranking.h"
#include "mpanet/network/ranker.h"

namespace mpanet {
namespace {

std::vector<std::vector<Sample>> batches_of(const std::vector<ImageRecord>& images, const std::string& root,
                                            size_t batch) {
  std::vector<std::vector<Sample>> batches((images.size() + batch - 1) / batch);
  for (size_t i = 0; i < images.size(); i++)
    batches[i / batch].push_back({root + "/" + images[i].path, 0, images[i].infrared, static_cast<uint32_t>(i)});
  return batches;
}

// Turns the pictures of a batch into their mirror images, left to right.
void mirror(Batch& batch) {
  if (batch.form != PictureForm::Floats) {
    for (PictureCut& cut : batch.cuts) cut.flip = 1 - cut.flip;
    return;
  }
  constexpr int kChannels = 3;
  const size_t rows = static_cast<size_t>(batch.count) * batch.height;
  for (size_t row = 0; row < rows; row++) {
    float* pixels = batch.images.data() + row * batch.width * kChannels;
    for (int x = 0; x < batch.width / 2; x++)
      std::swap_ranges(pixels + x * kChannels, pixels + (x + 1) * kChannels,
                       pixels + (batch.width - 1 - x) * kChannels);
  }
}

void check_finite(const float* rows, size_t count, size_t dimension,
                  const std::function<std::string(size_t)>& name_of) {
  const float* end = rows + count * dimension;
  const float* bad = std::find_if(rows, end, [](float value) { return !std::isfinite(value); });
  if (bad != end)
    fail("{}: the network's embedding holds {}, expected finite numbers; its weights have diverged or are damaged",
         name_of((bad - rows) / dimension), *bad);
}

// An overflow inside the network may leave no trace but this: where ReLU makes zeros of NaN, all that follows is equal.
void check_different(const Embeddings& embeddings, size_t count) {
  const size_t bytes = embeddings.dimension * sizeof(float);
  for (size_t i = 1; i < count; i++)
    if (std::memcmp(embeddings.row(i), embeddings.row(0), bytes) != 0) return;
  if (count > 1)
    fail(
        "the network gives all {} pictures the same embedding; its weights have diverged, are damaged or overflow in "
        "this precision",
        count);
}

// Indices of the lists' images among `images`.
std::vector<int32_t> rows_of(std::initializer_list<const std::vector<ImageRecord>*> lists,
                             const std::vector<ImageRecord>& images) {
  std::unordered_map<std::string_view, int32_t> known;
  for (size_t i = 0; i < images.size(); i++) known.emplace(images[i].path, static_cast<int32_t>(i));
  std::vector<int32_t> rows;
  for (const auto* list : lists)
    for (const ImageRecord& image : *list) rows.push_back(known.at(image.path));
  return rows;
}

Embeddings select_rows(const std::vector<int32_t>& rows, const Embeddings& embeddings) {
  Embeddings own;
  own.dimension = embeddings.dimension;
  own.values.reserve(rows.size() * embeddings.dimension);
  for (const int32_t row : rows) {
    own.values.insert(own.values.end(), embeddings.row(row), embeddings.row(row + 1));
  }
  return own;
}

}  // namespace

void take_bytes(EngineConfig& config) {
  if (config.device.backend == Backend::cpu) return;
  config.pictures = PictureForm::Bytes;
  config.picture_values = picture_values(PixelTable(), AugmentConfig().pad_value);
}

void send_pictures_to(EnginePictures& engine, EmbedOptions& options) {
  options.form = engine.form() == PictureForm::Floats ? PictureForm::Floats : PictureForm::Bytes;
  options.allocate = [&engine](size_t bytes) { return engine.host_memory(bytes); };
}

LoaderConfig loader_config_of(const EmbedOptions& options) {
  LoaderConfig config;
  config.height = options.height;
  config.width = options.width;
  config.threads = options.threads;
  config.cache = options.cache;
  config.pack = options.pack;
  config.form = options.form;
  config.allocate = options.allocate;
  return config;
}

void embed_batch(EngineEmbed& engine, Batch& batch, bool flip, float* rows,
                 const std::function<std::string(size_t)>& name_of) {
  const size_t dimension = engine.feature_size();
  engine.embed(batch, rows);
  if (flip) {
    mirror(batch);
    std::vector<float> mirrored(batch.count * dimension);
    engine.embed(batch, mirrored.data());
    for (size_t i = 0; i < mirrored.size(); i++) rows[i] = (rows[i] + mirrored[i]) / 2;
  }
  check_finite(rows, batch.count, dimension, name_of);
}

namespace {

// As embed_batch() into rows first.. of the device, without waiting for it.
void launch_batch(EngineEmbed& engine, Batch& batch, bool flip, DeviceRows& rows, size_t first) {
  engine.embed(batch, rows, first, false);
  if (!flip) return;
  mirror(batch);
  engine.embed(batch, rows, first, true);
}

// Embeds all batches, on the device if there are `rows`, else into `values`.
void embed_all(EngineEmbed& engine, const std::vector<ImageRecord>& images, const std::string& root,
               const EmbedOptions& options, DeviceRows* rows, float* values) {
  Loader loader(loader_config_of(options), batches_of(images, root, options.batch));
  Progress progress("evaluation", "images", images.size());
  std::array<Batch, 2> batches;  // a device may still copy from one when the loader delivers the other
  const size_t used = rows != nullptr ? batches.size() : 1;
  for (size_t done = 0, number = 0; loader.next(batches[number % used]); number++) {
    Batch& batch = batches[number % used];
    if (rows != nullptr)
      launch_batch(engine, batch, options.flip, *rows, done);
    else
      embed_batch(engine, batch, options.flip, values + done * static_cast<size_t>(engine.feature_size()),
                  [&](size_t i) { return images[done + i].path; });
    done += static_cast<size_t>(batch.count);
    progress.advance(batch.count);
    if (options.after_batch) options.after_batch();
  }
  if (rows != nullptr) engine.finish();
}

void read_all(Embeddings& embeddings) {
  const DeviceRows& rows = *embeddings.on_device->rows;
  embeddings.values.resize(rows.count() * static_cast<size_t>(rows.dimension()));
  rows.read(0, rows.count(), embeddings.values.data());
}

// The checks of embed_batch() and check_different() on the device's rows. Only rows of equal length can be equal.
void check_rows(Embeddings& embeddings, const std::vector<ImageRecord>& images) {
  const std::vector<double>& squares = embeddings.on_device->squares;
  const auto bad = std::find_if(squares.begin(), squares.end(), [](double square) { return !std::isfinite(square); });
  if (bad != squares.end()) {
    const auto row = static_cast<size_t>(bad - squares.begin());
    std::vector<float> values(static_cast<size_t>(embeddings.dimension));
    embeddings.on_device->rows->read(row, 1, values.data());
    check_finite(values.data(), 1, values.size(), [&](size_t) { return images[row].path; });
  }
  if (std::adjacent_find(squares.begin(), squares.end(), std::not_equal_to<>()) != squares.end()) return;
  read_all(embeddings);
  check_different(embeddings, images.size());
}

}  // namespace

Embeddings embed_images(EngineEmbed& engine, const std::vector<ImageRecord>& images, const std::string& root,
                        const EmbedOptions& options) {
  Embeddings embeddings;
  embeddings.dimension = engine.feature_size();
  const std::shared_ptr<DeviceRows> rows = engine.make_rows(images.size());
  if (rows == nullptr) {
    embeddings.values.resize(images.size() * static_cast<size_t>(embeddings.dimension));
    embed_all(engine, images, root, options, nullptr, embeddings.values.data());
    check_different(embeddings, images.size());
    return embeddings;
  }
  try {
    embed_all(engine, images, root, options, rows.get(), nullptr);
  } catch (...) {
    engine.finish();  // before the memory goes that it writes
    throw;
  }
  embeddings.on_device = std::make_shared<const DeviceEmbeddings>(DeviceEmbeddings{rows, squares_on_device(*rows)});
  check_rows(embeddings, images);
  if (options.on_host && embeddings.values.empty()) read_all(embeddings);
  return embeddings;
}

Embeddings embeddings_of(const std::vector<ImageRecord>& wanted, const std::vector<ImageRecord>& images,
                         const Embeddings& embeddings) {
  return select_rows(rows_of({&wanted}, images), embeddings);
}

Embeddings embeddings_of(const EvaluationPlan& plan, const std::vector<ImageRecord>& images,
                         const Embeddings& embeddings) {
  return select_rows(rows_of({&plan.queries, &plan.gallery}, images), embeddings);
}

std::vector<std::vector<SettingResult>> rank_plans(const std::vector<EvaluationPlan>& plans,
                                                   const std::vector<ImageRecord>& images, const Embeddings& embeddings,
                                                   Device device) {
  const auto ranks_there = [](const EvaluationPlan& plan) { return !plan.rerank; };
  const bool there = device.backend != Backend::cpu && std::any_of(plans.begin(), plans.end(), ranks_there);
  const auto on_device = there ? put_on_device(embeddings, device) : nullptr;
  Embeddings read;  // once, if the host lacks what it needs
  const auto on_host = [&]() -> const Embeddings& {
    if (!embeddings.values.empty() || !embeddings.on_device) return embeddings;
    read.dimension = embeddings.dimension;
    read.on_device = embeddings.on_device;
    if (read.values.empty()) read_all(read);
    return read;
  };
  std::vector<std::vector<SettingResult>> results;
  for (const EvaluationPlan& plan : plans) {
    std::optional<std::vector<SettingResult>> made;
    if (on_device && ranks_there(plan))
      made = rank_on_device(plan, *on_device, rows_of({&plan.queries, &plan.gallery}, images));
    if (!made) made = rank_embeddings(plan, plans.size() == 1 ? on_host() : embeddings_of(plan, images, on_host()));
    results.push_back(std::move(*made));
  }
  return results;
}

Embeddings chance_embeddings(size_t count, uint64_t seed) {
  constexpr int kDimension = 64;
  Embeddings embeddings;
  embeddings.dimension = kDimension;
  for (size_t i = 0; i < count; i++) {
    Random random(seed, Purpose::Chance, 0, static_cast<uint32_t>(i));
    for (int d = 0; d < kDimension; d++) embeddings.values.push_back(static_cast<float>(random.normal()));
  }
  return embeddings;
}

}  // namespace mpanet
