// The engine's interface (mpanet/network/engine.h): memory, embeddings, state, errors; in f32 and f64.
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "core/base/error.h"
#include "tests/support/engine_helpers.h"

namespace mpanet {
namespace {

TEST_CASE("the plan is told before and kept") {
  for (const Precision precision : kPrecisions) {
    EngineConfig adam = tiny(precision), sgd = adam, eval = tiny(precision, 0, 4), other = adam;
    sgd.optimizer.kind = OptimizerConfig::Kind::Sgd;
    other.model.triplet = other.model.center = true;
    other.model.parts = 0;
    other.embed_batch = 0;
    for (const EngineConfig& config : {adam, sgd, eval, other}) {
      const MemoryPlan before = plan_memory(config);
      const auto engine = make_engine(config);
      CHECK(engine->plan().parameters == before.parameters);
      CHECK(engine->plan().optimizer == before.optimizer);
      CHECK(engine->plan().activations == before.activations);
    }
    CHECK(plan_memory(adam).optimizer == 2 * plan_memory(sgd).optimizer);
    CHECK(plan_memory(eval).optimizer == 0);
    CHECK(plan_memory(eval).parameters < plan_memory(adam).parameters);
    CHECK(plan_memory(tiny(precision, 8)).activations > plan_memory(adam).activations);
  }
}

TEST_CASE("a picture's embedding depends on the picture alone, to the bit") {
  for (const Precision precision : kPrecisions) {
    const EngineConfig config = tiny(precision);
    const auto engine = make_engine(config);
    engine->initialize(1);
    const Batch full = make_batch(config.model, 4, 0);
    const Values all = embed(*engine, full);
    Batch first = full;
    first.count = 1;
    first.images.resize(full.images.size() / 4);
    const Values alone = embed(*engine, first);
    CHECK(std::equal(alone.begin(), alone.end(), all.begin()));
    Batch other = make_batch(config.model, 4, 1);
    std::copy(first.images.begin(), first.images.end(), other.images.begin());
    const Values among = embed(*engine, other);
    CHECK(std::equal(alone.begin(), alone.end(), among.begin()));
    CHECK(!std::equal(all.begin() + engine->feature_size(), all.end(), among.begin() + engine->feature_size()));
  }
}

TEST_CASE("the two ways to read an embedding agree") {
  const EngineConfig config = tiny(Precision::f32);
  const auto engine = make_engine(config);
  engine->initialize(1);
  const Batch batch = make_batch(config.model, 3, 0);
  std::vector<float> narrow(3 * static_cast<size_t>(engine->feature_size()));
  engine->embed(batch, narrow.data());
  CHECK(Values(narrow.begin(), narrow.end()) == embed(*engine, batch));
  CHECK(engine->feature_size() == 7 * 128);
}

TEST_CASE("pattern maps come with the embedding: by picture, pattern, row, column") {
  EngineConfig config = tiny(Precision::f32);
  config.model.height = 256, config.model.width = 96;
  config.model.mam = 0;  // instance norms would spread a change over the whole picture
  const auto engine = make_engine(config);
  engine->initialize(1);
  const auto parts = static_cast<size_t>(config.model.parts);
  Values biases;
  for (size_t p = 0; p < parts; p++) biases.push_back(0.25 * static_cast<double>(p) - 1);
  engine->write("spatial_attention.bias", Slot::Value, biases.data());
  const MapShape shape = engine->map_shape();
  CHECK(shape.parts == config.model.parts);
  CHECK(shape.height == 256 / 16);
  CHECK(shape.width == 96 / 16);
  const size_t area = static_cast<size_t>(shape.height) * shape.width, width = shape.width;
  Batch batch = make_batch(config.model, 2, 0);
  std::vector<float> features(2 * static_cast<size_t>(engine->feature_size())), maps(2 * parts * area);
  engine->embed(batch, features.data(), maps.data());
  CHECK(Values(features.begin(), features.end()) == embed(*engine, batch));

  SUBCASE("without weights each map is the sigmoid of its own bias") {
    engine->write("spatial_attention.weight", Slot::Value, Values(parts * 128).data());
    engine->embed(batch, features.data(), maps.data());
    for (size_t n = 0; n < 2; n++)
      for (size_t p = 0; p < parts; p++)
        for (size_t at = 0; at < area; at++)
          CHECK(maps[(n * parts + p) * area + at] == doctest::Approx(1 / (1 + std::exp(-biases[p]))).epsilon(1e-6));
  }
  SUBCASE("a change in a corner of the second picture changes its maps most near there") {
    Batch changed = batch;
    for (size_t y = 224; y < 256; y++)
      for (size_t x = 64; x < 96; x++)
        for (size_t c = 0; c < 3; c++) changed.images[((256 + y) * 96 + x) * 3 + c] += 2;
    std::vector<float> after(maps.size());
    engine->embed(changed, features.data(), after.data());
    for (size_t p = 0; p < parts; p++) {
      CHECK(std::equal(maps.begin() + p * area, maps.begin() + (p + 1) * area, after.begin() + p * area));
      size_t most = 0;
      const auto change = [&](size_t at) {
        return std::abs(after[(parts + p) * area + at] - maps[(parts + p) * area + at]);
      };
      for (size_t at = 1; at < area; at++)
        if (change(at) > change(most)) most = at;
      CHECK(most / width >= 11);  // the changed 32 x 32 pixels are rows 14 and 15, columns 4 and 5
      CHECK(most % width >= 3);
    }
  }
  SUBCASE("a network without patterns has none") {
    config.model.parts = 0;
    const auto plain = make_engine(config);
    CHECK(plain->map_shape().parts == 0);
    CHECK_THROWS_AS(plain->embed(batch, features.data(), maps.data()), CheckError);
  }
}

TEST_CASE("initial values: seeds, distributions, teachers") {
  EngineConfig config = tiny(Precision::f64);
  config.model.classes = 40;
  config.model.center = true;
  const auto engine = make_engine(config), again = make_engine(config), other = make_engine(config);
  engine->initialize(1);
  again->initialize(2);
  again->initialize(1);
  other->initialize(2);
  CHECK(snapshot(*engine) == snapshot(*again));
  std::map<double, std::string> seen;
  for (const TensorInfo& info : engine->tensors()) {
    CAPTURE(info.name);
    const Values values = read(*engine, info.name);
    const auto n = static_cast<double>(info.count());
    const double channels = 128, features = 7 * channels;
    if (info.shape.size() == 1) {
      const bool one = info.name.ends_with("weight") || info.name.ends_with("running_var");
      CHECK(values == Values(values.size(), one ? 1 : 0));
      continue;
    }
    CHECK(values != read(*other, info.name));
    // Standard deviation, and the bound of a uniform distribution.
    double deviation = 0, bound = INFINITY;
    if (info.name == "center_loss.centers")
      deviation = 1;
    else if (info.name.find("classifier") != std::string::npos)
      bound = 1 / std::sqrt(features);
    else if (info.name == "spatial_attention.weight")
      bound = 1 / std::sqrt(channels);
    else
      deviation = std::sqrt(2 / static_cast<double>(info.shape[0] * info.shape[2] * info.shape[3]));
    if (std::isfinite(bound)) deviation = bound / std::sqrt(3);
    double sum = 0, squares = 0, largest = 0;
    for (const double v : values) {
      sum += v;
      squares += v * v;
      largest = std::fmax(largest, std::fabs(v));
    }
    // Five standard errors of the mean and of the standard deviation of n normal draws (those of uniform draws are
    // smaller).
    CHECK(std::fabs(sum / n) <= 5 * deviation / std::sqrt(n));
    CHECK(std::fabs(std::sqrt(squares / n) / deviation - 1) <= 5 / std::sqrt(2 * n));
    CHECK(largest <= bound);
    CHECK(largest > 1.5 * deviation);
    if (info.name.find("classifier_.") != std::string::npos) {
      std::string live = info.name;
      live.erase(live.find("_."), 1);
      CHECK(values == read(*engine, live));
    } else {
      CHECK(seen.emplace(values[0], info.name).second);  // each tensor has its own random stream
    }
  }
  CHECK(seen.size() > 20);
}

TEST_CASE("every slot keeps what is written, in PyTorch's order") {
  for (const Precision precision : kPrecisions) {
    const auto engine = make_engine(tiny(precision));
    engine->initialize(1);
    uint32_t index = 0;
    std::map<std::string, Values> written;
    for (const Slot slot : {Slot::Value, Slot::Gradient, Slot::First, Slot::Second})
      for (const TensorInfo& info : engine->tensors()) {
        if (!info.trainable && slot != Slot::Value) {
          Values values(static_cast<size_t>(info.count()));
          CHECK_THROWS_AS(engine->read(info.name, slot, values.data()), CheckError);
          continue;
        }
        const Values values = normals(info.count(), index++);
        engine->write(info.name, slot, values.data());
        written[info.name + std::to_string(static_cast<int>(slot))] = values;
      }
    for (const Slot slot : {Slot::Value, Slot::Gradient, Slot::First, Slot::Second})
      for (const TensorInfo& info : engine->tensors())
        if (info.trainable || slot == Slot::Value)
          CHECK(read(*engine, info.name, slot) == written[info.name + std::to_string(static_cast<int>(slot))]);
    double out = 0;
    CHECK_THROWS_WITH_AS(engine->read("backbone.conv9.weight", Slot::Value, &out), doctest::Contains("conv9"),
                         CheckError);
    CHECK(engine->real_bytes() == (precision == Precision::f64 ? 8 : 4));
  }
}

// A filter of the stem that passes one colour of the pixel below and right of the centre. With PyTorch's order (out,
// in, kh, kw) its embedding equals that of a picture that was shifted and recoloured beforehand.
TEST_CASE("convolution weights are (out, in, kh, kw) to the outside") {
  EngineConfig config = tiny(Precision::f64);
  const auto engine = make_engine(config);
  engine->initialize(3);
  const auto with_filter = [&](int in, int row, int column) {
    Values w(16 * 3 * 49);
    for (int out = 0; out < 16; out++) w[static_cast<size_t>(((out * 3 + in) * 7 + row) * 7 + column)] = out + 1;
    engine->write("backbone.conv1.weight", Slot::Value, w.data());
  };
  Batch batch = make_batch(config.model, 1, 0), moved = batch;
  std::fill(moved.images.begin(), moved.images.end(), 0.F);
  const int h = config.model.height, w = config.model.width;
  const auto at = [&](int y, int x, int c) { return static_cast<size_t>((y * w + x) * 3 + c); };
  for (int y = 0; y + 2 < h; y++)
    for (int x = 0; x + 1 < w; x++) moved.images[at(y, x, 2)] = batch.images[at(y + 2, x + 1, 0)];
  with_filter(0, 3 + 2, 3 + 1);
  const Values expected = embed(*engine, batch);
  with_filter(2, 3, 3);
  check_close(embed(*engine, moved), expected, 1e-12);
}

TEST_CASE("what the engine refuses") {
  const EngineConfig config = tiny(Precision::f32);
  const auto engine = make_engine(config), eval = make_engine(tiny(Precision::f32, 0, 4));
  const Batch good = make_batch(config.model, 4, 0);
  CHECK_THROWS_WITH_AS(eval->forward_backward(good, 1), doctest::Contains("embeddings only"), CheckError);
  Batch wrong = good;
  wrong.labels[1] = 5;
  CHECK_THROWS_WITH_AS(engine->forward_backward(wrong, 1), doctest::Contains("0..4"), CheckError);
  wrong = good;
  wrong.labels.pop_back();
  CHECK_THROWS_AS(engine->forward_backward(wrong, 1), CheckError);
  CHECK_THROWS_AS(engine->forward_backward(make_batch(config.model, 3, 0), 1), CheckError);
  CHECK_THROWS_AS(embed(*engine, make_batch(config.model, 5, 0)), CheckError);
  ModelConfig other = config.model;
  other.width = 25;
  CHECK_THROWS_WITH_AS(embed(*engine, make_batch(other, 4, 0)), doctest::Contains("48x24"), CheckError);
  EngineConfig bad = config;
  bad.model.height = bad.model.width = 16;
  CHECK_THROWS_WITH_AS(make_engine(bad), doctest::Contains("16x16"), UserError);
  bad.model.width = 17;
  CHECK_NOTHROW(plan_memory(bad));
  bad = config;
  bad.model.depth = "20";
  CHECK_THROWS_WITH_AS(make_engine(bad), doctest::Contains("\"20\""), UserError);
}

TEST_CASE("a profile names the kernels, where it was asked for") {
  const EngineConfig config = tiny(Precision::f32);
  const auto engine = make_engine(config);
  engine->initialize(1);
  engine->forward_backward(make_batch(config.model, 4, 0), 1);
  CHECK(engine->take_profile().empty());
  engine->set_profiling(true);
  engine->forward_backward(make_batch(config.model, 4, 0), 1);
  double convolutions = 0, flops = 0;
  for (const OpTime& op : engine->take_profile()) {
    CHECK(op.seconds >= 0);
    if (op.op != "conv_forward") continue;
    convolutions = static_cast<double>(op.calls);
    flops = op.flops;
  }
  CHECK(convolutions == 12);  // stem, eight in blocks, three shortcuts
  CHECK(flops > 0);
  CHECK(engine->take_profile().empty());
}

// Bytes of the process's resident memory.
size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  size_t program = 0, resident = 0;
  file >> program >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// Each evaluation folds other batch norms into the weights. When the factors were constants, oneDNN cached a primitive
// of about 20 KB for each convolution and evaluation: 13 MB here, and as much again in the next hundred.
TEST_CASE("many evaluations stay flat in memory") {
  const EngineConfig config = tiny(Precision::f32);
  const auto engine = make_engine(config);
  engine->initialize(1);
  const Batch batch = make_batch(config.model, 4, 0);
  const auto train_and_evaluate = [&](int times) {
    for (int i = 0; i < times; i++) {
      engine->step(batch, 1e-4, 1);
      embed(*engine, batch);
    }
  };
  train_and_evaluate(5);
  const size_t before = resident_bytes();
  train_and_evaluate(60);
  const size_t after = resident_bytes();
#if !defined(__SANITIZE_ADDRESS__)  // AddressSanitizer keeps freed memory
  CHECK(after < before + (size_t{2} << 20));
#else
  CHECK(after >= before);
#endif
}

}  // namespace
}  // namespace mpanet
