#include "mpanet/evaluation/evaluate.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/random.h"
#include "core/base/text.h"
#include "mpanet/evaluation/ranking.h"

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

// An overflow inside the network leaves no trace but this: ReLU makes zeros of NaN, and all that follows is equal.
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

Embeddings select_rows(std::initializer_list<const std::vector<ImageRecord>*> lists,
                       const std::vector<ImageRecord>& images, const Embeddings& embeddings) {
  std::unordered_map<std::string_view, size_t> rows;
  for (size_t i = 0; i < images.size(); i++) rows.emplace(images[i].path, i);
  Embeddings own;
  own.dimension = embeddings.dimension;
  size_t count = 0;
  for (const auto* list : lists) count += list->size();
  own.values.reserve(count * embeddings.dimension);
  for (const auto* list : lists)
    for (const ImageRecord& image : *list) {
      const size_t row = rows.at(image.path);
      own.values.insert(own.values.end(), embeddings.row(row), embeddings.row(row + 1));
    }
  return own;
}

}  // namespace

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

Embeddings embed_images(EngineEmbed& engine, const std::vector<ImageRecord>& images, const std::string& root,
                        const EmbedOptions& options) {
  const size_t dimension = engine.feature_size();
  Embeddings embeddings;
  embeddings.dimension = engine.feature_size();
  embeddings.values.resize(images.size() * dimension);
  Loader loader(loader_config_of(options), batches_of(images, root, options.batch));
  Progress progress("evaluation", "images", images.size());
  Batch batch;
  for (size_t done = 0; loader.next(batch); done += batch.count) {
    embed_batch(engine, batch, options.flip, embeddings.values.data() + done * dimension,
                [&](size_t i) { return images[done + i].path; });
    progress.advance(batch.count);
    if (options.after_batch) options.after_batch();
  }
  check_different(embeddings, images.size());
  return embeddings;
}

Embeddings embeddings_of(const std::vector<ImageRecord>& wanted, const std::vector<ImageRecord>& images,
                         const Embeddings& embeddings) {
  return select_rows({&wanted}, images, embeddings);
}

Embeddings embeddings_of(const EvaluationPlan& plan, const std::vector<ImageRecord>& images,
                         const Embeddings& embeddings) {
  return select_rows({&plan.queries, &plan.gallery}, images, embeddings);
}

std::vector<std::vector<SettingResult>> rank_plans(const std::vector<EvaluationPlan>& plans,
                                                   const std::vector<ImageRecord>& images, const Embeddings& embeddings,
                                                   Device device) {
  std::vector<std::vector<SettingResult>> results;
  for (const EvaluationPlan& plan : plans)
    results.push_back(plans.size() == 1 ? rank_embeddings(plan, embeddings, device)
                                        : rank_embeddings(plan, embeddings_of(plan, images, embeddings), device));
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
