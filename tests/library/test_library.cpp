// The C interface, called as a program would call it: embeddings against mpanet-eval's, ranked lists against integers,
// several threads, fork().
#include <omp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>
#include <thread>

#include "core/base/random.h"
#include "core/base/sha256.h"
#include "mpanet/evaluation/calibration.h"
#include "tests/library/loaded_network.h"

using namespace mpanet;

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
