// The C interface: calls that are refused with one line.
#include <omp.h>

#include <algorithm>
#include <limits>
#include <thread>

#include "tests/library/loaded_network.h"
#include "tests/support/spoiled_checkpoint.h"

using namespace mpanet;

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
  const TemporaryFolder folder;
  save_spoiled(network().checkpoint(), "bn_neck.weight", 0, folder / "wild.safetensors");
  mpanet_model* wild = nullptr;
  REQUIRE(mpanet_load((folder / "wild.safetensors").c_str(), nullptr, &wild) == MPANET_OK);
  const char* paths[] = {path.c_str(), path.c_str(), expected().paths[1].c_str()};
  Numbers rows(3 * dimension);
  CHECK(mpanet_embed_files(wild, paths, 2, rows.data(), rows.size()) == MPANET_OK);
  check_refused(mpanet_embed_files(wild, paths, 3, rows.data(), rows.size()),
                "the network gives 3 pictures that differ the same embedding");
  mpanet_free(wild);
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
