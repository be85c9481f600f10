// A network that embeds pictures, as the library's callers hold it. Thread-safe: calls take turns.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/pictures/image.h"
#include "mpanet/evaluation/calibration.h"
#include "mpanet/evaluation/evaluate.h"
#include "mpanet/library/worker.h"
#include "mpanet/network/engine.h"

namespace mpanet {

// 0 and an empty text: the default (mpanet.h).
struct ModelOptions {
  std::string device, precision;
  int height = 0, width = 0, batch = 0, threads = 0;
  bool flip = false;
};

// Pictures to embed. Both functions are called from several threads.
struct Pictures {
  size_t count = 0;
  std::function<void(size_t index, ImageDecoder& decoder, Image& out)> read;  // replaces `out`
  std::function<std::string(size_t index)> name;                              // for messages
};

class Model {
 public:
  // UserError: see Checkpoint, choose_device(), choose_precision(), choose_threads() and make_engine(); also options
  // out of range, a number of threads that differs from an earlier model's, and too little memory.
  Model(const std::string& path, const ModelOptions& options);
  ~Model();
  // Whether this process loaded the model. After fork() the child can only leak it: its thread does not exist there.
  bool here() const { return worker_.here(); }

  size_t dimension() const { return dimension_; }
  int height() const { return how_.height; }
  int width() const { return how_.width; }

  // The curve of the calibration beside the checkpoint (mpanet/evaluation/calibration.h) for distances of
  // compare_rows(); null if there is none for these options. UserError for a damaged file, and for a calibration of
  // other weights, which load() accepts.
  const LogisticCurve* curve() const;

  // Embeddings (pictures.count, dimension()). UserError for a picture that cannot be read, of several the first one,
  // for numbers that are not finite, and when pictures that differ all get the same embedding, bit for bit: numbers
  // that overflow inside the network end in ReLU, which makes zeros of NaN.
  void embed(const Pictures& pictures, float* out);

 private:
  void load(const std::string& path, const ModelOptions& options);
  void load_curve(const std::string& path);
  void embed_all(const Pictures& pictures, float* out);

  std::unique_ptr<Engine> engine_;
  size_t dimension_ = 0;
  EmbedOptions how_;  // its memory is the engine's
  std::optional<LogisticCurve> curve_;
  std::string curve_error_;  // the text of curve()'s UserError
  Worker worker_;            // makes, uses and destroys the engine
};

}  // namespace mpanet
