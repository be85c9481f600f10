// The C interface, called as a program would call it: embeddings against mpanet-eval's, ranked lists against integers,
// wrong arguments, several threads, fork().
#include <doctest/doctest.h>
#include <omp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "core/base/file.h"
#include "core/base/random.h"
#include "core/base/sha256.h"
#include "data/pictures/image.h"
#include "mpanet/evaluation/calibration.h"
#include "mpanet/files/checkpoint.h"
#include "mpanet/library/mpanet.h"
#include "tests/library/drawn_network.h"
#include "tests/support/text.h"

using namespace mpanet;

namespace {

using Numbers = std::vector<float>;

const bool kNoPictures = !jpeg_supported();

const DrawnNetwork& network() {
  static const DrawnNetwork made(PROGRAMS);
  return made;
}
const DrawnNetwork::Features& expected() {
  static const DrawnNetwork::Features made = network().features();
  return made;
}

struct Loaded {
  explicit Loaded(mpanet_options options = MPANET_OPTIONS) {
    REQUIRE_MESSAGE(mpanet_load(network().checkpoint().c_str(), &options, &model) == MPANET_OK, mpanet_error());
  }
  ~Loaded() { mpanet_free(model); }
  Loaded(const Loaded&) = delete;
  Numbers embed(const std::vector<std::string>& paths) const {
    std::vector<const char*> list;
    for (const std::string& path : paths) list.push_back(path.c_str());
    Numbers rows(paths.size() * mpanet_dimension(model));
    CHECK_MESSAGE(mpanet_embed_files(model, list.data(), list.size(), rows.data(), rows.size()) == MPANET_OK,
                  mpanet_error());
    return rows;
  }
  mpanet_model* model = nullptr;
};

bool same_bits(const Numbers& a, const Numbers& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Checks that a call was refused with one line that has the words.
void check_refused(int code, const std::string& words) {
  const std::string text = mpanet_error();
  CHECK(code == MPANET_BAD_INPUT);
  CHECK_MESSAGE(has(text, words), text);
  CHECK(!has(text, "\n"));
}

void check_load_refused(const std::string& path, const mpanet_options& options, const std::string& words) {
  mpanet_model* model = reinterpret_cast<mpanet_model*>(1);
  check_refused(mpanet_load(path.c_str(), &options, &model), words);
  CHECK(model == nullptr);
}

}  // namespace

TEST_CASE("embeddings of files and of pixels have the bits of mpanet-eval's") {
  if (kNoPictures) return;
  const auto& [paths, numbers] = expected();
  REQUIRE(paths.size() > 8);
  const Loaded loaded;
  CHECK(static_cast<int64_t>(mpanet_dimension(loaded.model)) == numbers.shape[1]);
  int32_t height = 0, width = 0;
  CHECK(mpanet_input_size(loaded.model, &height, &width) == MPANET_OK);
  CHECK(height == 48);
  CHECK(width == 24);
  CHECK(same_bits(loaded.embed(paths), numbers.values));

  // The same pictures in memory, with space between the rows.
  std::vector<std::vector<uint8_t>> memory;
  std::vector<mpanet_pixels> pictures;
  for (const std::string& path : paths) {
    const Image image = decode_image(path);
    const size_t line = 3 * image.width, row = line + 5;
    std::vector<uint8_t> bytes((image.height - 1) * row + line);
    for (int y = 0; y < image.height; y++) std::memcpy(bytes.data() + y * row, image.pixels.data() + y * line, line);
    memory.push_back(std::move(bytes));
    pictures.push_back({memory.back().data(), memory.back().size(), static_cast<size_t>(image.height),
                        static_cast<size_t>(image.width), row});
  }
  Numbers rows(numbers.values.size());
  CHECK(mpanet_embed_pixels(loaded.model, pictures.data(), pictures.size(), rows.data(), rows.size()) == MPANET_OK);
  CHECK(same_bits(rows, numbers.values));
}

TEST_CASE("options are those of mpanet-eval") {
  if (kNoPictures) return;
  mpanet_options options = MPANET_OPTIONS;
  std::vector<std::string> arguments;
  SUBCASE("flip") {
    options.flip = 1;
    arguments = {"--flip", "--batch", "1"};
  }
  SUBCASE("size and batch") {
    options.height = 64, options.width = 32, options.batch = 5;
    arguments = {"--size", "64x32", "--batch", "5"};
  }
  SUBCASE("precision and device") {
    options.precision = "f64", options.device = "cpu";
    arguments = {"--precision", "f64", "--device", "cpu", "--batch", "1"};
  }
  const auto [paths, numbers] = network().features(arguments);
  CHECK(!same_bits(numbers.values, expected().numbers.values));
  CHECK(same_bits(Loaded(options).embed(paths), numbers.values));
}

TEST_CASE("probabilities of a calibrated checkpoint") {
  const std::string file = calibration_path(network().checkpoint());
  struct Removed {
    std::string file;
    ~Removed() { std::filesystem::remove(file); }
  } removed{file};
  const Numbers distances = {0, 1.5f, 4};
  Numbers out(3, -1);
  int32_t calibrated = -1;
  {
    const Loaded loaded;
    CHECK(mpanet_calibrated(loaded.model, &calibrated) == MPANET_OK);
    CHECK(calibrated == 0);
    check_refused(mpanet_probabilities(loaded.model, distances.data(), 3, out.data(), 3),
                  "the model is not calibrated");
  }
  Calibration made;
  made.checkpoint = sha256_of_file(network().checkpoint());
  made.height = 48, made.width = 24;
  made.protocol = "sysu";
  made.identities = {1, 2};
  made.same_pairs = made.different_pairs = 4;
  made.curves = {{Distance::UnitEuclidean, {3, -2}}, {Distance::Cosine, {9, -9}}};
  write_file(file, calibration_json(made).dump());
  const Loaded loaded;
  CHECK(mpanet_calibrated(loaded.model, &calibrated) == MPANET_OK);
  CHECK(calibrated == 1);
  CHECK(mpanet_probabilities(loaded.model, distances.data(), 3, out.data(), 3) == MPANET_OK);
  for (size_t i = 0; i < 3; i++)  // float32's rounding
    CHECK(std::abs(out[i] - 1 / (1 + std::exp(-3 + 2.0 * distances[i]))) < 1e-7);
  CHECK(out[1] == 0.5f);
  CHECK(mpanet_probabilities(loaded.model, nullptr, 0, nullptr, 0) == MPANET_OK);
  check_refused(mpanet_probabilities(loaded.model, distances.data(), 3, out.data(), 2), "out: expected space");
  const Numbers bad = {1, NAN};
  check_refused(mpanet_probabilities(loaded.model, bad.data(), 2, out.data(), 3), "distances: number 1 is nan");
  check_refused(mpanet_probabilities(nullptr, bad.data(), 1, out.data(), 3), "model: expected a pointer");
  check_refused(mpanet_calibrated(loaded.model, nullptr), "calibrated: expected a pointer");

  mpanet_options flipped = MPANET_OPTIONS;
  flipped.flip = 1;
  CHECK(mpanet_calibrated(Loaded(flipped).model, &calibrated) == MPANET_OK);
  CHECK(calibrated == 0);
  made.checkpoint = sha256("other weights");
  write_file(file, calibration_json(made).dump());
  const Loaded stale;  // it embeds, but has no probabilities
  check_refused(mpanet_calibrated(stale.model, &calibrated), "got that of other weights");
  check_refused(mpanet_probabilities(stale.model, distances.data(), 3, out.data(), 3), ".calibration.json");
  CHECK(mpanet_calibrated(loaded.model, &calibrated) == MPANET_OK);  // was loaded before
}

TEST_CASE("no pictures") {
  const Loaded loaded;
  CHECK(mpanet_embed_files(loaded.model, nullptr, 0, nullptr, 0) == MPANET_OK);
  CHECK(mpanet_embed_pixels(loaded.model, nullptr, 0, nullptr, 0) == MPANET_OK);
  CHECK(mpanet_compare(nullptr, 0, nullptr, 0, 3, nullptr, 0) == MPANET_OK);
  CHECK(mpanet_rank(nullptr, 0, nullptr, 0, 3, 0, nullptr, nullptr, 0) == MPANET_OK);
  const Numbers row = {1, 2, 3};
  CHECK(mpanet_rank(row.data(), 1, nullptr, 0, 3, 0, nullptr, nullptr, 0) == MPANET_OK);
  mpanet_free(nullptr);
}

TEST_CASE("networks that are refused") {
  const mpanet_options none = MPANET_OPTIONS;
  mpanet_model* model = nullptr;
  check_refused(mpanet_load(nullptr, nullptr, &model), "path: expected a pointer, got NULL");
  check_refused(mpanet_load("x", nullptr, nullptr), "model: expected a pointer, got NULL");
  const TemporaryFolder folder;
  check_load_refused(folder / "missing.safetensors", none, "missing.safetensors");
  check_load_refused(folder.path(), none, folder.path());
  write_file(folder / "a\nb.safetensors", "no tensors");
  check_load_refused(folder / "a\nb.safetensors", none, "a\\nb.safetensors");
  write_file(folder / "gif.pth", "GIF89a and more");
  check_load_refused(folder / "gif.pth", none, "gif.pth");

  const std::string path = network().checkpoint();
  const auto refused = [&](auto change, const char* words) {
    mpanet_options options = MPANET_OPTIONS;
    change(options);
    check_load_refused(path, options, words);
  };
  refused([](auto& o) { o.struct_size = 4; }, "options: expected a struct_size of");
  refused([](auto& o) { o.device = "gpu"; }, "device gpu: expected cpu, emu, cuda, cuda:N or auto");
  refused([](auto& o) { o.precision = "f8"; }, "precision: expected auto, f32, tf32, bf16, f16 or f64, got f8");
  refused([](auto& o) { o.height = -1; }, "height: expected 1 to 9999, or 0 for the default, got -1");
  refused([](auto& o) { o.width = 10000; }, "width: expected 1 to 9999");
  refused([](auto& o) { o.height = o.width = 1; }, "");
  refused([](auto& o) { o.batch = 4097; }, "batch: expected 1 to 4096");
  refused([](auto& o) { o.threads = 1025; }, "threads: expected 1 to 1024");
  refused([](auto& o) { o.flip = 2; }, "flip: expected 0 or 1, got 2");
  refused([](auto& o) { o.height = o.width = 9999, o.batch = 4096; }, "take a smaller batch");
}

TEST_CASE("the number of threads is the process's") {
  const Loaded loaded;
  mpanet_options options = MPANET_OPTIONS;
  options.threads = omp_get_max_threads() + 1;
  check_load_refused(network().checkpoint(), options, "which the first network of this process has");
  CHECK(loaded.embed({}).empty());
}

TEST_CASE("pictures that are refused") {
  if (kNoPictures) return;
  const Loaded loaded;
  const size_t dimension = mpanet_dimension(loaded.model);
  Numbers rows(2 * dimension);
  const std::string good = expected().paths[0];
  const TemporaryFolder folder;
  const std::string bad = folder / "bad.jpg", worse = folder / "worse.jpg";
  write_file(bad, "no picture");

  const auto files = [&](mpanet_model* model, std::vector<const char*> paths, size_t count, size_t size) {
    return mpanet_embed_files(model, paths.data(), count, rows.data(), size);
  };
  check_refused(files(nullptr, {good.c_str()}, 1, rows.size()), "model: expected a pointer, got NULL");
  check_refused(files(loaded.model, {good.c_str(), nullptr}, 2, rows.size()), "for picture 1, got NULL");
  check_refused(files(loaded.model, {good.c_str(), bad.c_str()}, 2, rows.size()), "bad.jpg");
  check_refused(files(loaded.model, {worse.c_str(), bad.c_str()}, 2, rows.size()), "worse.jpg");
  check_refused(files(loaded.model, {folder.path().c_str()}, 1, rows.size()), folder.path());
  check_refused(files(loaded.model, {good.c_str()}, 1, dimension - 1), "out: expected space for 1 x");
  check_refused(files(loaded.model, {good.c_str()}, SIZE_MAX, rows.size()), "do not fit into memory");
  check_refused(mpanet_embed_files(loaded.model, nullptr, 1, rows.data(), rows.size()), "paths: expected a pointer");
  const char* path = good.c_str();
  check_refused(mpanet_embed_files(loaded.model, &path, 1, nullptr, dimension), "out: expected a pointer");

  const std::vector<uint8_t> bytes(10 * 20 * 3);
  const auto pixels = [&](mpanet_pixels picture) {
    return mpanet_embed_pixels(loaded.model, &picture, 1, rows.data(), rows.size());
  };
  CHECK(pixels({bytes.data(), bytes.size(), 20, 10, 0}) == MPANET_OK);
  check_refused(pixels({nullptr, 600, 20, 10, 0}), "picture 0: expected pixels, got NULL");
  check_refused(pixels({bytes.data(), 599, 20, 10, 0}), "size: 599 bytes are too few for 20 x 10");
  check_refused(pixels({bytes.data(), 600, 20, 10, 29}), "row_bytes: expected at least 30, got 29");
  check_refused(pixels({bytes.data(), 600, 20, 10, 31}), "size: 600 bytes are too few");
  check_refused(pixels({bytes.data(), 600, 20, 10, SIZE_MAX}), "size: 600 bytes are too few");
  check_refused(pixels({bytes.data(), 600, 0, 10, 0}), "expected 1 to 67108864 pixels, got 0 x 10");
  check_refused(pixels({bytes.data(), SIZE_MAX, SIZE_MAX, SIZE_MAX, 0}), "expected 1 to 67108864 pixels");
  check_refused(pixels({bytes.data(), SIZE_MAX, size_t{1} << 33, size_t{1} << 33, 0}), "expected 1 to 67108864");
  check_refused(mpanet_input_size(loaded.model, nullptr, nullptr), "height: expected a pointer, got NULL");
  CHECK(mpanet_dimension(nullptr) == 0);
  CHECK(has(mpanet_error(), "model: expected a pointer, got NULL"));
  // After all of that it works.
  CHECK(loaded.embed({good}) ==
        Numbers(expected().numbers.values.begin(), expected().numbers.values.begin() + dimension));
}

TEST_CASE("a network that gives every picture the same embedding is refused, equal pictures are not") {
  if (kNoPictures) return;
  const Loaded loaded;
  const std::string path = expected().paths[0];
  const size_t dimension = mpanet_dimension(loaded.model);
  const Numbers twice = loaded.embed({path, path});
  CHECK(std::equal(twice.begin(), twice.begin() + dimension, twice.begin() + dimension));

  // A neck that multiplies every feature by 0.
  const Checkpoint whole(network().checkpoint());
  EngineConfig config;
  config.model = whole.embedding_model();
  config.embed_batch = 1;
  const auto engine = make_engine(config);
  whole.load_embedding(*engine);
  for (const TensorInfo& tensor : engine->tensors())
    if (tensor.name == "bn_neck.weight")
      engine->write(tensor.name, Slot::Value, std::vector<double>(tensor.count(), 0).data());
  const TemporaryFolder folder;
  save_model(folder / "wild.safetensors", *engine->snapshot(), *whole.config(), 0);
  mpanet_model* wild = nullptr;
  REQUIRE(mpanet_load((folder / "wild.safetensors").c_str(), nullptr, &wild) == MPANET_OK);
  const char* paths[] = {path.c_str(), path.c_str(), expected().paths[1].c_str()};
  Numbers rows(3 * dimension);
  CHECK(mpanet_embed_files(wild, paths, 2, rows.data(), rows.size()) == MPANET_OK);
  check_refused(mpanet_embed_files(wild, paths, 3, rows.data(), rows.size()),
                "the network gives 3 pictures that differ the same embedding");
  mpanet_free(wild);
}

#if defined(MPANET_HAS_EMU)
TEST_CASE("a GPU's network, which takes bytes, gives the CPU's numbers but for rounding, in batches of any size") {
  if (kNoPictures) return;
  mpanet_options options = MPANET_OPTIONS;
  options.device = "emu";
  options.batch = 2;
  mpanet_model* emulated = nullptr;
  REQUIRE(mpanet_load(network().checkpoint().c_str(), &options, &emulated) == MPANET_OK);
  const size_t dimension = mpanet_dimension(emulated);
  const char* paths[] = {expected().paths[0].c_str(), expected().paths[1].c_str(), expected().paths[2].c_str()};
  Numbers rows(3 * dimension), one(dimension);
  REQUIRE(mpanet_embed_files(emulated, paths, 3, rows.data(), rows.size()) == MPANET_OK);
  REQUIRE(mpanet_embed_files(emulated, paths + 2, 1, one.data(), one.size()) == MPANET_OK);
  CHECK(std::equal(one.begin(), one.end(), rows.begin() + static_cast<ptrdiff_t>(2 * dimension)));
  float largest = 0, difference = 0;
  for (size_t i = 0; i < rows.size(); i++) {
    largest = std::max(largest, std::abs(expected().numbers.values[i]));
    difference = std::max(difference, std::abs(rows[i] - expected().numbers.values[i]));
  }
  CHECK(largest > 0);
  CHECK(difference <= 1e-4f * largest);  // sums of float in another order, through a dozen layers
  mpanet_free(emulated);
}
#endif

TEST_CASE("ranked lists and distances of integers") {
  // Vectors whose products are exact and whose lengths are powers of two: (+-1, +-1, +-1, +-1) times a scale.
  constexpr size_t kQueries = 7, kGallery = 5000, kDimension = 4;
  Random random(1, Purpose::Test, 0, 0);
  const auto draw = [&](size_t count) {
    Numbers rows;
    for (size_t i = 0; i < count; i++) {
      const float scale = std::ldexp(1.0f, static_cast<int>(random.below(9)) - 4);
      for (size_t d = 0; d < kDimension; d++) rows.push_back(random.below(2) == 0 ? -scale : scale);
    }
    return rows;
  };
  Numbers queries = draw(kQueries), gallery = draw(kGallery);
  std::fill_n(gallery.begin() + 100 * kDimension, kDimension, 0.0f);
  std::fill_n(gallery.begin() + 4999 * kDimension, kDimension, 0.0f);
  std::fill_n(queries.begin() + 6 * kDimension, kDimension, 0.0f);
  // The definition. Every distance is 0, 1, 2, 3 or 4.
  const auto length = [&](const float* row) { return std::sqrt(std::inner_product(row, row + kDimension, row, 0.0)); };
  const auto distance = [&](size_t q, size_t g) {
    const float *a = &queries[q * kDimension], *b = &gallery[g * kDimension];
    const double left = length(a) > 0 ? length(a) : 1, right = length(b) > 0 ? length(b) : 1;
    double sum = 0;
    for (size_t d = 0; d < kDimension; d++) sum += std::pow(a[d] / left - b[d] / right, 2);
    return sum;
  };
  Numbers distances(kQueries * kGallery);
  REQUIRE(mpanet_compare(queries.data(), kQueries, gallery.data(), kGallery, kDimension, distances.data(),
                         distances.size()) == MPANET_OK);
  size_t wrong = 0;
  for (size_t q = 0; q < kQueries; q++)
    for (size_t g = 0; g < kGallery; g++) wrong += distances[q * kGallery + g] != distance(q, g);
  CHECK(wrong == 0);
  for (const size_t top : {size_t{1}, size_t{10}, kGallery}) {
    std::vector<int64_t> indices(kQueries * top);
    Numbers nearest(indices.size());
    REQUIRE(mpanet_rank(queries.data(), kQueries, gallery.data(), kGallery, kDimension, top, indices.data(),
                        nearest.data(), indices.size()) == MPANET_OK);
    for (size_t q = 0; q < kQueries; q++) {
      std::vector<int64_t> order(kGallery);
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(),
                       [&](int64_t a, int64_t b) { return distance(q, a) < distance(q, b); });
      order.resize(top);
      CHECK(std::equal(order.begin(), order.end(), indices.begin() + q * top));
      for (size_t i = 0; i < top; i++) wrong += nearest[q * top + i] != distance(q, order[i]);
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("wrong rows") {
  Numbers rows = {1, 2, 3, 4};
  Numbers out(4);
  std::vector<int64_t> indices(4);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Numbers bad = {1, 2, nan, 4};
  const auto compare = [&](const float* queries, size_t count, size_t dimension, size_t size) {
    return mpanet_compare(queries, count, rows.data(), 2, dimension, out.data(), size);
  };
  CHECK(compare(rows.data(), 2, 2, 4) == MPANET_OK);
  check_refused(compare(nullptr, 2, 2, 4), "queries: expected a pointer, got NULL");
  check_refused(compare(rows.data(), 2, 2, 3), "out: expected space for 2 x 2 numbers, got space for 3");
  check_refused(compare(rows.data(), 2, 0, 4), "dimension: expected 1 to 16777216, got 0");
  check_refused(compare(rows.data(), 2, SIZE_MAX, 4), "dimension: expected 1 to 16777216");
  check_refused(compare(rows.data(), SIZE_MAX, 2, 4), "queries: expected at most 2147483647 rows");
  check_refused(compare(bad.data(), 2, 2, 4), "queries: row 1, column 0 is nan, expected finite numbers");
  const auto rank = [&](size_t top, int64_t* to, size_t size) {
    return mpanet_rank(rows.data(), 2, rows.data(), 2, 2, top, to, nullptr, size);
  };
  CHECK(rank(2, indices.data(), 4) == MPANET_OK);
  check_refused(rank(3, indices.data(), 6), "top: expected at most 2, the rows of the gallery, got 3");
  check_refused(rank(2, nullptr, 4), "indices: expected a pointer, got NULL");
  check_refused(rank(2, indices.data(), 3), "indices: expected space for 2 x 2 numbers, got space for 3");
}

TEST_CASE("an error's text is the thread's own") {
  check_refused(mpanet_load(nullptr, nullptr, nullptr), "model");
  std::string other = "not set";
  std::thread([&] { other = mpanet_error(); }).join();
  CHECK(other == "");
  CHECK(has(mpanet_error(), "model"));
}

TEST_CASE("several threads use one network and several") {
  if (kNoPictures) return;
  const auto& [paths, numbers] = expected();
  const Loaded one, two;
  std::vector<Numbers> results(6);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < results.size(); i++)
    threads.emplace_back([&, i] {
      const Loaded& loaded = i % 3 == 2 ? two : one;
      for (int repeat = 0; repeat < 3; repeat++) {
        std::vector<const char*> list;
        for (const std::string& path : expected().paths) list.push_back(path.c_str());
        results[i].resize(expected().numbers.values.size());
        mpanet_embed_files(loaded.model, list.data(), list.size(), results[i].data(), results[i].size());
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const Numbers& rows : results) CHECK(same_bits(rows, numbers.values));
}

TEST_CASE("a caller with OpenMP threads and settings of its own") {
  if (kNoPictures) return;
  const Loaded loaded;
  const std::vector<std::string> paths = expected().paths;
  const int before = omp_get_max_threads();
  omp_set_num_threads(3);
  std::vector<Numbers> results(3);
#pragma omp parallel for num_threads(3)
  for (size_t i = 0; i < results.size(); i++) results[i] = loaded.embed(paths);
  CHECK(omp_get_max_threads() == 3);
  omp_set_num_threads(before);
  for (const Numbers& rows : results) CHECK(same_bits(rows, expected().numbers.values));
}

TEST_CASE("after fork() the child loads its own network") {
  if (kNoPictures) return;
  const std::vector<std::string> paths = expected().paths;
  auto* loaded = new Loaded;
  CHECK(same_bits(loaded->embed(paths), expected().numbers.values));
  const pid_t child = fork();
  if (child == 0) {
    const char* path = paths[0].c_str();
    Numbers row(mpanet_dimension(loaded->model));
    if (mpanet_embed_files(loaded->model, &path, 1, row.data(), row.size()) != MPANET_BAD_INPUT) _exit(1);
    if (!has(mpanet_error(), "before this process was forked")) _exit(2);
    delete loaded;
    const Loaded own;
    _exit(same_bits(own.embed(paths), expected().numbers.values) ? 0 : 3);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(same_bits(loaded->embed(paths), expected().numbers.values));
  delete loaded;
}
