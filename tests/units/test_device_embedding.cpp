// Embeddings that stay on a GPU (the emulation's, or the device that MPANET_TEST_DEVICE names) have the bits of those
// that a batch at a time brings to the host, and are refused for the same reasons.
#include <doctest/doctest.h>

#include <cstdlib>
#include <limits>
#include <optional>

#include "core/base/error.h"
#include "core/base/file.h"
#include "data/loading/augment.h"
#include "data/pictures/image.h"
#include "mpanet/evaluation/evaluate.h"
#include "mpanet/evaluation/feature_choice.h"
#include "mpanet/network/precision.h"
#include "tests/support/engine_helpers.h"
#include "tests/support/find_gpu.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;

namespace {

const std::optional<Device> kGpu = find_gpu();
const bool kLacking = !kGpu || kGpu->backend == Backend::cpu || !png_supported();

// Five pictures, embedded two at a time.
struct Pictures {
  Pictures() {
    Random random(3, Purpose::Test, 0, 0);
    for (int n = 0; n < 5; n++) {
      Image image{48, 24, std::vector<uint8_t>(48 * 24 * 3)};
      for (uint8_t& value : image.pixels) value = static_cast<uint8_t>(random.below(256));
      images.push_back({fmt::format("{}.png", n), 1, 1, false, -1});
      OutputFile file(folder / images.back().path);
      write_png(file, image);
      file.commit();
    }
  }
  TemporaryFolder folder;
  std::vector<ImageRecord> images;
};

std::unique_ptr<Engine> make(Precision precision, PictureForm form) {
  EngineConfig config = tiny(precision, 0, 2);
  config.device = *kGpu;
  config.pictures = form;
  if (form == PictureForm::Bytes) config.picture_values = picture_values(PixelTable(), AugmentConfig().pad_value);
  auto engine = make_engine(config);
  engine->initialize(1);
  return engine;
}

EmbedOptions options_for(Engine& engine, bool flip) {
  EmbedOptions options;
  options.height = 48;
  options.width = 24;
  options.batch = 2;
  options.flip = flip;
  send_pictures_to(engine, options);
  return options;
}

// A batch at a time, each read by the host before the next one begins.
std::vector<float> one_by_one(Engine& engine, const Pictures& pictures, const EmbedOptions& options) {
  std::vector<std::vector<Sample>> batches(3);
  for (uint32_t i = 0; i < 5; i++) batches[i / 2].push_back({pictures.folder / pictures.images[i].path, 0, false, i});
  Loader loader(loader_config_of(options), batches);
  const auto dimension = static_cast<size_t>(engine.feature_size());
  std::vector<float> rows(5 * dimension);
  size_t done = 0;
  for (Batch batch; loader.next(batch); done += static_cast<size_t>(batch.count))
    embed_batch(engine, batch, options.flip, rows.data() + done * dimension, [](size_t) { return ""; });
  return rows;
}

}  // namespace

TEST_CASE("the same bits as a batch at a time, in every precision and form" * doctest::skip(kLacking)) {
  const Pictures pictures;
  for (const Precision precision : built_precisions())
    for (const PictureForm form : {PictureForm::Floats, PictureForm::Bytes})
      for (const bool flip : {false, true}) {
        CAPTURE(name_of(precision));
        CAPTURE(static_cast<int>(form));
        CAPTURE(flip);
        auto engine = make(precision, form);
        EmbedOptions options = options_for(*engine, flip);
        const std::vector<float> expected = one_by_one(*engine, pictures, options);
        const Embeddings both = embed_images(*engine, pictures.images, pictures.folder.path(), options);
        CHECK(both.values == expected);
        options.on_host = false;
        Embeddings there = embed_images(*engine, pictures.images, pictures.folder.path(), options);
        CHECK(there.values.empty());
        REQUIRE(there.on_device);
        std::vector<float> rows(expected.size());
        there.on_device->rows->read(0, 5, rows.data());
        CHECK(rows == expected);
        // They outlive the engine.
        options = {};
        engine.reset();
        there.on_device->rows->read(0, 5, rows.data());
        CHECK(rows == expected);
      }
}

TEST_CASE("a network that diverged is refused, with the first picture's name" * doctest::skip(kLacking)) {
  const Pictures pictures;
  const auto engine = make(Precision::f32, PictureForm::Bytes);
  EmbedOptions options = options_for(*engine, false);
  options.on_host = false;
  const Values zeros(static_cast<size_t>(engine->feature_size()));
  engine->write("bn_neck.weight", Slot::Value, zeros.data());
  CHECK_THROWS_WITH_AS(embed_images(*engine, pictures.images, pictures.folder.path(), options),
                       doctest::Contains("the network gives all 5 pictures the same embedding; "), UserError);
  Values bad = zeros;
  bad.back() = std::numeric_limits<double>::infinity();
  engine->write("bn_neck.running_mean", Slot::Value, bad.data());
  engine->write("bn_neck.weight", Slot::Value, Values(bad.size(), 1).data());
  CHECK_THROWS_WITH_AS(embed_images(*engine, pictures.images, pictures.folder.path(), options),
                       doctest::Contains("0.png: the network's embedding holds -inf, expected finite numbers"),
                       UserError);
}

TEST_CASE("an exception between two batches ends the embedding, and the engine goes on" * doctest::skip(kLacking)) {
  const Pictures pictures;
  const auto engine = make(Precision::f32, PictureForm::Bytes);
  EmbedOptions options = options_for(*engine, false);
  const std::vector<float> expected = one_by_one(*engine, pictures, options);
  options.after_batch = [] { throw std::runtime_error("stop"); };
  CHECK_THROWS_WITH(embed_images(*engine, pictures.images, pictures.folder.path(), options), "stop");
  options.after_batch = {};
  CHECK(embed_images(*engine, pictures.images, pictures.folder.path(), options).values == expected);
}
