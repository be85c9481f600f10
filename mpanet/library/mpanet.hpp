// The C++ interface of libmpanet: load, embed, compare, rank. Header-only over the C interface (mpanet.h), C++17, with
// the standard library alone.
//
// Every error is an mpanet::Error, whose what() is one line. Threads: as in mpanet.h. A model may be used by several
// threads, which take turns; destroying and moving it needs that no other thread uses it.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "mpanet.h"

namespace mpanet {
inline namespace v1 {

class Error : public std::runtime_error {
 public:
  Error(const std::string& text, int code) : std::runtime_error(text), code_(code) {}
  int code() const { return code_; }  // MPANET_BAD_INPUT or MPANET_BUG

 private:
  int code_;
};

// An empty text or 0: the default (mpanet.h).
struct Options {
  std::string device, precision;
  int height = 0, width = 0, batch = 0, threads = 0;
  bool flip = false;
};

// Rows of `dimension` numbers. It owns them.
struct Embeddings {
  std::size_t dimension = 0;
  std::vector<float> values;  // (size(), dimension)
  std::size_t size() const { return dimension == 0 ? 0 : values.size() / dimension; }
  const float* row(std::size_t index) const { return values.data() + index * dimension; }
};

// A picture in memory: (height, width, 3), RGB, 8 bits. It does not own the pixels.
struct Pixels {
  const std::uint8_t* data = nullptr;
  std::size_t size = 0;  // bytes that `data` holds
  std::size_t height = 0, width = 0;
  std::size_t row_bytes = 0;  // from one row to the next; 0: 3 * width
};

struct Match {
  std::size_t index = 0;  // row of the gallery
  float distance = 0;     // 0..4
};

namespace detail {

inline void check(int code) {
  if (code != MPANET_OK) throw Error(mpanet_error(), code);
}

inline const char* text(const std::string& option) { return option.empty() ? nullptr : option.c_str(); }

// Rows of one dimension. No rows fit to any.
inline std::size_t common_dimension(const Embeddings& a, const Embeddings& b) {
  if (a.values.empty()) return b.values.empty() ? 1 : b.dimension;
  if (!b.values.empty() && a.dimension != b.dimension)
    throw Error("the queries have " + std::to_string(a.dimension) + " numbers a row, the gallery has " +
                    std::to_string(b.dimension),
                MPANET_BAD_INPUT);
  return a.dimension;
}

}  // namespace detail

// Of every query with every row of the gallery: (queries, gallery).
struct Comparison {
  std::vector<float> distances;      // 0..4
  std::vector<float> probabilities;  // of the same person, 0..1 (mpanet.h); empty if the model is not calibrated
};

inline std::vector<float> compare(const Embeddings& queries, const Embeddings& gallery);

class Model {
 public:
  explicit Model(const std::string& path, const Options& options = {}) {
    mpanet_options given = MPANET_OPTIONS;
    given.device = detail::text(options.device);
    given.precision = detail::text(options.precision);
    given.height = options.height;
    given.width = options.width;
    given.batch = options.batch;
    given.threads = options.threads;
    given.flip = options.flip ? 1 : 0;
    if (mpanet_abi() != MPANET_ABI)
      throw Error("libmpanet has interface " + std::to_string(mpanet_abi()) + ", this program was compiled for " +
                      std::to_string(MPANET_ABI),
                  MPANET_BAD_INPUT);
    mpanet_model* made = nullptr;
    detail::check(mpanet_load(path.c_str(), &given, &made));
    model_.reset(made);
    detail::check(mpanet_input_size(made, &height_, &width_));
  }

  std::size_t dimension() const { return mpanet_dimension(model_.get()); }
  int height() const { return height_; }  // of the network's input, pixels
  int width() const { return width_; }

  // One row a picture.
  Embeddings embed(const std::vector<std::string>& paths) const {
    std::vector<const char*> list;
    for (const std::string& path : paths) list.push_back(path.c_str());
    Embeddings made = space_for(paths.size());
    detail::check(mpanet_embed_files(model_.get(), list.data(), list.size(), made.values.data(), made.values.size()));
    return made;
  }
  Embeddings embed(const std::vector<Pixels>& pictures) const {
    std::vector<mpanet_pixels> list;
    for (const Pixels& p : pictures) list.push_back({p.data, p.size, p.height, p.width, p.row_bytes});
    Embeddings made = space_for(pictures.size());
    detail::check(mpanet_embed_pixels(model_.get(), list.data(), list.size(), made.values.data(), made.values.size()));
    return made;
  }

  // Whether mpanet-eval has calibrated the checkpoint for this size and flip. Error for a calibration of other weights.
  bool calibrated() const {
    std::int32_t given = 0;
    detail::check(mpanet_calibrated(model_.get(), &given));
    return given == 1;
  }
  // Distances, with probabilities if the model is calibrated.
  Comparison compare(const Embeddings& queries, const Embeddings& gallery) const {
    Comparison made;
    made.distances = v1::compare(queries, gallery);
    if (!calibrated()) return made;
    made.probabilities.resize(made.distances.size());
    detail::check(mpanet_probabilities(model_.get(), made.distances.data(), made.distances.size(),
                                       made.probabilities.data(), made.probabilities.size()));
    return made;
  }

 private:
  struct Free {
    void operator()(mpanet_model* model) const { mpanet_free(model); }
  };
  Embeddings space_for(std::size_t count) const {
    Embeddings made;
    made.dimension = dimension();
    made.values.resize(count * made.dimension);
    return made;
  }
  std::unique_ptr<mpanet_model, Free> model_;
  std::int32_t height_ = 0, width_ = 0;
};

inline Model load(const std::string& path, const Options& options = {}) { return Model(path, options); }

// Squared Euclidean distances of the L2-normalised rows, 0..4: (queries, gallery).
inline std::vector<float> compare(const Embeddings& queries, const Embeddings& gallery) {
  const std::size_t dimension = detail::common_dimension(queries, gallery);
  std::vector<float> distances(queries.size() * gallery.size());
  detail::check(mpanet_compare(queries.values.data(), queries.size(), gallery.values.data(), gallery.size(), dimension,
                               distances.data(), distances.size()));
  return distances;
}

// For each query its `top` nearest rows of the gallery, all if there are fewer, nearest first, equal ones in the
// gallery's order.
inline std::vector<std::vector<Match>> rank(const Embeddings& queries, const Embeddings& gallery, std::size_t top) {
  const std::size_t dimension = detail::common_dimension(queries, gallery);
  top = std::min(top, gallery.size());
  std::vector<std::int64_t> indices(queries.size() * top);
  std::vector<float> distances(indices.size());
  detail::check(mpanet_rank(queries.values.data(), queries.size(), gallery.values.data(), gallery.size(), dimension,
                            top, indices.data(), distances.data(), indices.size()));
  std::vector<std::vector<Match>> matches(queries.size());
  for (std::size_t q = 0; q < matches.size(); q++)
    for (std::size_t i = q * top; i < (q + 1) * top; i++)
      matches[q].push_back({static_cast<std::size_t>(indices[i]), distances[i]});
  return matches;
}

}  // namespace v1
}  // namespace mpanet
