// The loader against torchvision's pixels (fixtures/images/make.py); independence of threads, queue and cache; errors;
// stopping; starting within an epoch.

#include <doctest/doctest.h>

#include <chrono>

#include "data/loading/loader.h"
#include "tests/support/image_helpers.h"

using namespace mpanet;

namespace {

// Pictures of several sizes on disk.
struct Pictures {
  TemporaryFolder folder;
  std::vector<std::string> paths;
  explicit Pictures(int count) {
    for (int i = 0; i < count; i++) {
      paths.push_back(folder / fmt::format("{}.bmp", i));
      write_bmp(paths.back(), formula_image(static_cast<uint32_t>(i), 20 + i % 7, 9 + i % 5));
    }
  }
};

// Batches of 1, 2, 3 ... pictures, so that sizes change from one to the next.
std::vector<std::vector<Sample>> uneven_batches(const Pictures& pictures, int count) {
  std::vector<std::vector<Sample>> batches(static_cast<size_t>(count));
  uint32_t index = 0;
  for (size_t b = 0; b < batches.size(); b++)
    for (size_t i = 0; i < 1 + b * 5 % 7; i++, index++)
      batches[b].push_back(
          {pictures.paths[index % pictures.paths.size()], static_cast<int32_t>(index * 3), index % 3 == 0, index});
  return batches;
}

LoaderConfig small_config(int threads, int queue) {
  LoaderConfig config;
  config.height = 24;
  config.width = 12;
  config.threads = threads;
  config.queue = queue;
  config.train = true;
  config.seed = 6;
  config.epoch = 2;
  return config;
}

// Copies of all batches from `first` on.
std::vector<Batch> deliver(const LoaderConfig& config, const std::vector<std::vector<Sample>>& batches,
                           size_t first = 0) {
  Loader loader(config, batches, first);
  std::vector<Batch> all;
  Batch batch;
  while (loader.next(batch)) all.push_back(batch);
  CHECK(!loader.next(batch));
  return all;
}

bool equal(const Batch& a, const Batch& b) {
  return a.count == b.count && a.height == b.height && a.width == b.width && a.images == b.images &&
         a.labels == b.labels && a.infrared == b.infrared;
}

bool equal(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](auto& x, auto& y) { return equal(x, y); });
}

}  // namespace

TEST_CASE("a batch equals Pillow and torchvision, trained and tested") {
  const auto& fixture_batch = expected()["batch"];
  LoaderConfig config;
  config.height = fixture_batch["height"];
  config.width = fixture_batch["width"];
  config.seed = fixture_batch["seed"];
  config.epoch = fixture_batch["epoch"];
  std::vector<Sample> samples;
  for (const auto& s : fixture_batch["samples"])
    samples.push_back({fixture(s["name"]), 7, samples.size() % 2 == 1, s["index"]});
  for (const bool train : {true, false}) {
    config.train = train;
    Loader loader(config, {samples});
    Batch batch;
    REQUIRE(loader.next(batch));
    CHECK(batch.count == static_cast<int>(samples.size()));
    CHECK(batch.height == 48);
    CHECK(batch.width == 24);
    const size_t picture = 48 * 24 * 3;
    CHECK(batch.images.size() == samples.size() * picture);
    for (size_t i = 0; i < samples.size(); i++) {
      CAPTURE(samples[i].path);
      CHECK(checksum(&batch.images[i * picture], picture) == fixture_batch["samples"][i][train ? "train" : "test"]);
      CHECK(batch.labels[i] == 7);
      CHECK(batch.infrared[i] == i % 2);
    }
    CHECK(!loader.next(batch));
  }
}

TEST_CASE("the same bits with any number of threads, any queue, with a cache, from any batch on") {
  const Pictures pictures(11);
  const auto batches = uneven_batches(pictures, 23);
  const auto one = deliver(small_config(1, 1), batches);
  REQUIRE(one.size() == 23);
  for (size_t b = 0; b < one.size(); b++) {
    CHECK(one[b].count == static_cast<int>(batches[b].size()));
    for (size_t i = 0; i < batches[b].size(); i++) {
      CHECK(one[b].labels[i] == batches[b][i].label);
      CHECK(one[b].infrared[i] == (batches[b][i].infrared ? 1 : 0));
    }
  }
  CHECK(equal(one, deliver(small_config(8, 1), batches)));
  CHECK(equal(one, deliver(small_config(8, 5), batches)));
  CHECK(equal(one, deliver(small_config(3, 40), batches)));

  LoaderConfig cached = small_config(4, 2);
  // Capacity for some of the pictures, then for all.
  for (const size_t bytes : {size_t{5 * 24 * 12 * 3}, size_t{1} << 20}) {
    cached.cache = std::make_shared<ImageCache>(bytes);
    CHECK(equal(one, deliver(cached, batches)));
    CHECK(equal(one, deliver(cached, batches)));
    CHECK(cached.cache->bytes() == std::min<size_t>(bytes, 11 * 24 * 12 * 3));
  }
  const auto rest = deliver(small_config(2, 3), batches, 17);
  CHECK(equal(rest, {one.begin() + 17, one.end()}));
  CHECK(deliver(small_config(2, 3), batches, 23).empty());

  // Another epoch, seed or mode gives another picture.
  LoaderConfig other = small_config(2, 2);
  other.epoch = 3;
  CHECK(!equal(one, deliver(other, batches)));
  other = small_config(2, 2);
  other.train = false;
  CHECK(!equal(one, deliver(other, batches)));
}

TEST_CASE("the cache answers instead of the file, and only for the same size") {
  Pictures pictures(1);
  ImageCache cache(1000);
  const Image small = formula_image(1, 3, 4), large = formula_image(1, 30, 40);
  cache.insert("a", small);
  cache.insert("a", small);
  CHECK(cache.bytes() == 36);
  REQUIRE(cache.find("a", 3, 4));
  CHECK(cache.find("a", 3, 4)->pixels == small.pixels);
  CHECK(!cache.find("a", 4, 3));
  CHECK(!cache.find("b", 3, 4));
  cache.insert("b", large);  // larger than the remaining capacity
  CHECK(!cache.find("b", 30, 40));
  CHECK(cache.bytes() == 36);

  LoaderConfig config = small_config(1, 1);
  config.cache = std::make_shared<ImageCache>(size_t{1} << 20);
  const std::vector<std::vector<Sample>> batches = {{{pictures.paths[0], 0, false, 0}}};
  const auto before = deliver(config, batches);
  std::filesystem::remove(pictures.paths[0]);
  CHECK(equal(before, deliver(config, batches)));
}

TEST_CASE("a bad file reaches the consumer as its UserError, after the batches before it") {
  const Pictures pictures(6);
  for (const int threads : {1, 8}) {
    auto batches = uneven_batches(pictures, 12);
    write_bytes(pictures.folder / "bad.jpg", {1, 2, 3});
    // The message names the first bad picture of the batch, independently of the threads' timing.
    REQUIRE(batches[5].size() == 5);
    batches[5][1].path = pictures.folder / "bad.jpg";
    batches[5][4].path = pictures.folder / "absent.jpg";
    batches[7][0].path = pictures.folder / "absent.jpg";
    Loader loader(small_config(threads, 4), batches);
    Batch batch;
    for (int b = 0; b < 5; b++) CHECK(loader.next(batch));
    for (int again = 0; again < 2; again++) {
      const std::string message = user_error_of([&] { loader.next(batch); });
      CHECK(message == pictures.folder / "bad.jpg: expected a JPEG, PNG or BMP picture, got something else");
    }
  }
}

TEST_CASE("stops at any moment") {
  const Pictures pictures(5);
  const auto batches = uneven_batches(pictures, 30);
  for (int taken = 0; taken < 12; taken++)
    for (const int threads : {1, 2, 8}) {
      Loader loader(small_config(threads, 1 + taken % 3), batches);
      Batch batch;
      for (int b = 0; b < taken; b++) REQUIRE(loader.next(batch));
      if (taken % 4 == 3) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  Loader untouched(small_config(2, 2), {});
  Batch batch;
  CHECK(!untouched.next(batch));
}

TEST_CASE("memory: buffers go round and their size is known before") {
  const Pictures pictures(5);
  const auto batches = uneven_batches(pictures, 40);
  const LoaderConfig config = small_config(3, 2);
  Loader loader(config, batches);
  Batch batch;
  std::vector<const float*> seen;
  while (loader.next(batch)) {
    if (std::find(seen.begin(), seen.end(), batch.images.data()) == seen.end()) seen.push_back(batch.images.data());
    CHECK(batch.images.capacity() == 7 * 24 * 12 * 3);
  }
  CHECK(seen.size() <= 3);
  CHECK(loader_bytes(config, 7) == 3 * 7 * (24 * 12 * 3 * 4 + 4 + 1));
  LoaderConfig cached = config;
  cached.cache = std::make_shared<ImageCache>(1000);
  CHECK(loader_bytes(cached, 7) == loader_bytes(config, 7) + 1000);
}

// What cuts and the table make of bytes, value by value.
std::vector<float> made_of(const uint8_t* pixels, const std::vector<PictureCut>& cuts, int height, int width,
                           const std::vector<float>& values) {
  std::vector<float> made;
  for (const PictureCut& cut : cuts)
    for (int y = 0; y < height; y++)
      for (int x = 0; x < width; x++)
        for (int c = 0; c < 3; c++) {
          const int row = y + cut.top, column = x + cut.left;
          const bool inside = row >= 0 && row < height && column >= 0 && column < width;
          const int source = ((cut.picture * height + row) * width + (cut.flip ? width - 1 - column : column)) * 3 + c;
          int code = inside ? pixels[source] : kPaddingCode;
          if (y >= cut.erase_top && y < cut.erase_top + cut.erase_height && x >= cut.erase_left &&
              x < cut.erase_left + cut.erase_width)
            code = kErasedCode;
          made.push_back(values[static_cast<size_t>(c * kPictureCodes + code)]);
        }
  return made;
}

TEST_CASE("bytes with their cuts are the floats, and the cuts do not depend on who has the bytes") {
  const Pictures pictures(11);
  auto batches = uneven_batches(pictures, 23);
  for (auto& batch : batches)
    for (Sample& sample : batch) sample.picture = static_cast<int32_t>(sample.index % pictures.paths.size());
  LoaderConfig config = small_config(3, 2);
  config.augment.pad_value = {127, 0, 3};
  const std::vector<float> values = picture_values(PixelTable(), config.augment.pad_value);
  for (const bool train : {true, false}) {
    config.train = train;
    LoaderConfig bytes = config, held = config;
    bytes.form = PictureForm::Bytes;
    held.form = PictureForm::Held;
    int allocated = 0;
    bytes.allocate = [&](size_t size) {
      CHECK(size == 7 * 24 * 12 * 3);
      allocated++;
      return std::shared_ptr<uint8_t>(new uint8_t[size], std::default_delete<uint8_t[]>());
    };
    Loader of_floats(config, batches), of_bytes(bytes, batches), of_held(held, batches);
    Batch expected, in_turn[2], without;
    for (size_t b = 0; b < batches.size(); b++) {
      Batch& batch = in_turn[b % 2];
      const uint8_t* const before = in_turn[(b + 1) % 2].pixels.get();
      REQUIRE((of_floats.next(expected) && of_bytes.next(batch) && of_held.next(without)));
      CHECK(batch.pixels.get() != before);  // a device may still copy them
      CHECK(made_of(batch.pixels.get(), batch.cuts, 24, 12, values) == expected.images);
      CHECK(batch.labels == expected.labels);
      CHECK(batch.infrared == expected.infrared);
      CHECK((batch.form == PictureForm::Bytes && batch.images.empty()));
      for (size_t i = 0; i < batches[b].size(); i++) {
        CHECK(batch.cuts[i].picture == static_cast<int>(i));
        batch.cuts[i].picture = batches[b][i].picture;
      }
      CHECK(without.cuts == batch.cuts);
      CHECK((without.form == PictureForm::Held && without.images.empty() && !without.pixels));
    }
    CHECK(allocated == 4);
    CHECK(loader_bytes(bytes, 7) == 4 * 7 * (24 * 12 * 3 + 32 + 4 + 1));
    CHECK(loader_bytes(held, 7) == 3 * 7 * (32 + 4 + 1));
  }
}

TEST_CASE("broken promises are caught") {
  CHECK_THROWS_AS(Loader(small_config(0, 1), {}), CheckError);
  CHECK_THROWS_AS(Loader(small_config(1, 0), {}), CheckError);
  CHECK_THROWS_AS(Loader(small_config(1, 1), {{}}), CheckError);
}
