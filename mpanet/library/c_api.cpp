// The C interface: checks arguments, and turns exceptions into codes and texts.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>

#include "core/base/error.h"
#include "core/base/exception_text.h"
#include "core/base/threads.h"
#include "mpanet/library/model.h"
#include "mpanet/library/mpanet.h"
#include "mpanet/library/nearest.h"
#include "mpanet/library/worker.h"

struct mpanet_model {
  mpanet_model(const char* path, const mpanet::ModelOptions& options) : model(path, options) {}
  mpanet::Model model;
};

namespace {

using namespace mpanet;

constexpr size_t kLongestText = 8192 + 256;  // printable() cuts at 8192 bytes
constexpr size_t kLargestDimension = 1 << 24;

// Not a std::string, which could throw for lack of memory.
thread_local char last_error[kLongestText];

void set_error(const char* text) { std::snprintf(last_error, sizeof(last_error), "%s", text); }

// Executes a call's body. Returns the call's result.
template <class Body>
int guarded(Body body) noexcept {
  try {
    body();
    return MPANET_OK;
  } catch (...) {
    try {
      const ExceptionText error = describe_exception();
      // Texts of UserError are escaped already. An escape in them has no control character, so it stays as it is.
      set_error(printable(error.text).c_str());
      return error.code;
    } catch (...) {  // no memory for the text
      set_error("out of memory");
      return MPANET_BAD_INPUT;
    }
  }
}

template <class Pointer>
void require(const char* name, Pointer pointer) {
  if (pointer == nullptr) fail("{}: expected a pointer, got NULL", name);
}

// rows * columns numbers. UserError when they exceed the address space, and when fewer than those fit into `size`.
void check_size(const char* what, size_t rows, size_t columns, size_t size) {
  size_t wanted = 0, bytes = 0;
  if (__builtin_mul_overflow(rows, columns, &wanted) || __builtin_mul_overflow(wanted, sizeof(float), &bytes))
    fail("{}: {} rows of {} numbers do not fit into memory", what, rows, columns);
  if (size < wanted) fail("{}: expected space for {} x {} numbers, got space for {}", what, rows, columns, size);
}

RowsView checked_rows(const char* what, const float* values, size_t count, size_t dimension) {
  if (dimension < 1 || dimension > kLargestDimension)
    fail("dimension: expected 1 to {}, got {}", kLargestDimension, dimension);
  if (count > kMostRows) fail("{}: expected at most {} rows, got {}", what, kMostRows, count);
  if (count > 0) require(what, values);
  const float* end = values + count * dimension;
  const float* bad = std::find_if(values, end, [](float value) { return !std::isfinite(value); });
  if (bad != end)
    fail("{}: row {}, column {} is {}, expected finite numbers", what, (bad - values) / dimension,
         (bad - values) % dimension, *bad);
  return {values, count, static_cast<int>(dimension)};
}

// Executes `work` in a thread with settings of OpenMP that the caller's do not change.
void in_own_thread(const std::function<void()>& work) {
  Worker().run([&] {
    omp_set_num_threads(std::min(omp_get_max_threads(), usable_processors()));
    work();
  });
}

std::string text_or_empty(const char* text) { return text == nullptr ? "" : text; }

ModelOptions checked_options(const mpanet_options* given) {
  ModelOptions options;
  if (given == nullptr) return options;
  if (given->struct_size != sizeof(mpanet_options))
    fail("options: expected a struct_size of {} (MPANET_OPTIONS sets it), got {}", sizeof(mpanet_options),
         given->struct_size);
  if (given->flip != 0 && given->flip != 1) fail("flip: expected 0 or 1, got {}", given->flip);
  options.device = text_or_empty(given->device);
  options.precision = text_or_empty(given->precision);
  options.height = given->height;
  options.width = given->width;
  options.batch = given->batch;
  options.threads = given->threads;
  options.flip = given->flip == 1;
  return options;
}

std::string name_of_picture(size_t index) { return fmt::format("picture {}", index); }

void check_pixels(const mpanet_pixels& picture, size_t index) {
  const std::string name = name_of_picture(index);
  if (picture.data == nullptr) fail("{}: expected pixels, got NULL", name);
  const size_t height = picture.height, width = picture.width, most = kMaxImagePixels;
  if (height < 1 || width < 1 || height > most || width > most || height * width > most)
    fail("{}: expected 1 to {} pixels, got {} x {}", name, most, height, width);
  const size_t row = picture.row_bytes == 0 ? 3 * width : picture.row_bytes;
  if (row < 3 * width) fail("{}: row_bytes: expected at least {}, got {}", name, 3 * width, row);
  // height - 1 whole rows, and the pixels of the last one.
  if (picture.size < 3 * width || (picture.size - 3 * width) / row < height - 1)
    fail("{}: size: {} bytes are too few for {} x {} pixels of 3 bytes, {} bytes a row", name, picture.size, height,
         width, row);
}

void copy_pixels(const mpanet_pixels& picture, Image& out) {
  const size_t line = 3 * picture.width, row = picture.row_bytes == 0 ? line : picture.row_bytes;
  out.height = static_cast<int>(picture.height);
  out.width = static_cast<int>(picture.width);
  out.pixels.resize(picture.height * line);
  for (size_t y = 0; y < picture.height; y++) std::memcpy(out.pixels.data() + y * line, picture.data + y * row, line);
}

// What both kinds of pictures need.
void check_embedding(const mpanet_model* model, const void* pictures, const char* name, size_t count, const float* out,
                     size_t out_size) {
  require("model", model);
  if (count == 0) return;
  require(name, pictures);
  require("out", out);
  check_size("out", count, model->model.dimension(), out_size);
}

}  // namespace

extern "C" {

int mpanet_abi(void) { return MPANET_ABI; }

const char* mpanet_version(void) { return MPANET_VERSION; }

const char* mpanet_error(void) { return last_error; }

int mpanet_load(const char* path, const mpanet_options* options, mpanet_model** model) {
  return guarded([&] {
    require("model", model);
    *model = nullptr;
    require("path", path);
    *model = std::make_unique<mpanet_model>(path, checked_options(options)).release();
  });
}

void mpanet_free(mpanet_model* model) {
  if (model == nullptr || !model->model.here()) return;  // a parent's model has no thread here that could be joined
  guarded([&] { delete model; });
}

size_t mpanet_dimension(const mpanet_model* model) {
  size_t dimension = 0;
  guarded([&] {
    require("model", model);
    dimension = model->model.dimension();
  });
  return dimension;
}

int mpanet_input_size(const mpanet_model* model, int32_t* height, int32_t* width) {
  return guarded([&] {
    require("model", model);
    require("height", height);
    require("width", width);
    *height = model->model.height();
    *width = model->model.width();
  });
}

int mpanet_embed_files(mpanet_model* model, const char* const* paths, size_t count, float* out, size_t out_size) {
  return guarded([&] {
    check_embedding(model, paths, "paths", count, out, out_size);
    for (size_t i = 0; i < count; i++)
      if (paths[i] == nullptr) fail("paths: expected a path for {}, got NULL", name_of_picture(i));
    Pictures pictures;
    pictures.count = count;
    pictures.read = [&](size_t i, ImageDecoder& decoder, Image& image) { decoder.decode(paths[i], image); };
    pictures.name = [&](size_t i) { return std::string(paths[i]); };
    model->model.embed(pictures, out);
  });
}

int mpanet_embed_pixels(mpanet_model* model, const mpanet_pixels* pixels, size_t count, float* out, size_t out_size) {
  return guarded([&] {
    check_embedding(model, pixels, "pictures", count, out, out_size);
    for (size_t i = 0; i < count; i++) check_pixels(pixels[i], i);
    Pictures pictures;
    pictures.count = count;
    pictures.read = [&](size_t i, ImageDecoder&, Image& image) { copy_pixels(pixels[i], image); };
    pictures.name = name_of_picture;
    model->model.embed(pictures, out);
  });
}

int mpanet_compare(const float* queries, size_t query_count, const float* gallery, size_t gallery_count,
                   size_t dimension, float* out, size_t out_size) {
  return guarded([&] {
    const RowsView left = checked_rows("queries", queries, query_count, dimension);
    const RowsView right = checked_rows("gallery", gallery, gallery_count, dimension);
    if (query_count == 0 || gallery_count == 0) return;
    require("out", out);
    check_size("out", query_count, gallery_count, out_size);
    in_own_thread([&] { compare_rows(left, right, out); });
  });
}

int mpanet_calibrated(const mpanet_model* model, int32_t* calibrated) {
  return guarded([&] {
    require("model", model);
    require("calibrated", calibrated);
    *calibrated = model->model.curve() != nullptr ? 1 : 0;
  });
}

int mpanet_probabilities(const mpanet_model* model, const float* distances, size_t count, float* out, size_t out_size) {
  return guarded([&] {
    require("model", model);
    const LogisticCurve* curve = model->model.curve();
    if (curve == nullptr)
      fail("the model is not calibrated for this size and flip: mpanet-eval --calibrate-share calibrates a checkpoint");
    if (count == 0) return;
    require("distances", distances);
    require("out", out);
    check_size("out", count, 1, out_size);
    for (size_t i = 0; i < count; i++) {
      if (!std::isfinite(distances[i])) fail("distances: number {} is {}, expected finite numbers", i, distances[i]);
      out[i] = static_cast<float>(curve->probability(distances[i]));
    }
  });
}

int mpanet_rank(const float* queries, size_t query_count, const float* gallery, size_t gallery_count, size_t dimension,
                size_t top, int64_t* indices, float* distances, size_t out_size) {
  return guarded([&] {
    const RowsView left = checked_rows("queries", queries, query_count, dimension);
    const RowsView right = checked_rows("gallery", gallery, gallery_count, dimension);
    if (top > gallery_count) fail("top: expected at most {}, the rows of the gallery, got {}", gallery_count, top);
    if (query_count == 0 || top == 0) return;
    require("indices", indices);
    check_size("indices", query_count, top, out_size);
    in_own_thread([&] { rank_rows(left, right, top, indices, distances); });
  });
}

}  // extern "C"
