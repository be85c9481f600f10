// traincheck: some training steps on a device, on made-up pictures, beside the same ones
//   of the cpu backend in double      loss terms after every step, parameters after the last, within a tolerance
//   of the same device, unrecorded    all of them, the optimiser's state too, bit for bit (--against unrecorded)
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/program.h"
#include "core/base/random.h"
#include "core/base/threads.h"
#include "mpanet/network/engine.h"
#include "mpanet/network/vendors.h"

using namespace mpanet;

namespace {

struct Options {
  std::string device = "auto", precision = "f64", depth = "tiny", against = "cpu", conv, gemm;
  int steps = 3, batch = 8, height = 96, width = 48;
};

// Of the optimiser. Small: Adam's first steps are signs of gradients, and what rounding does to those must not grow.
constexpr double kRate = 1e-5;

// How far sums in another order, and storage's rounding, take a loss term after a few steps, relative to it (terms
// below 0.1: to 0.1). Parameters are compared in f64 alone: Adam's first steps are signs of gradients, so elsewhere a
// gradient near zero moves a parameter either way.
double tolerance_of(Precision precision) {
  switch (precision) {
    case Precision::f64:
      return 1e-9;
    case Precision::f32:
      return 1e-3;
    default:
      return 0.05;
  }
}

Batch make_batch(const Options& o, const ModelConfig& model, int step) {
  Batch batch;
  batch.count = o.batch;
  batch.height = o.height;
  batch.width = o.width;
  batch.images.resize(size_t{3} * static_cast<size_t>(o.batch) * static_cast<size_t>(o.height * o.width));
  Random random(1, Purpose::Test, 0, static_cast<uint32_t>(step));
  for (float& v : batch.images) v = static_cast<float>(random.uniform(-2, 2));
  for (int i = 0; i < o.batch; i++) {
    batch.labels.push_back(i / 4 % model.classes);
    batch.infrared.push_back(i % 2 == 0);
  }
  return batch;
}

std::unique_ptr<Engine> engine_on(Device device, Precision precision, const Options& o, bool record = true) {
  EngineConfig config;
  config.model.depth = o.depth;
  config.model.classes = 9;
  config.model.height = o.height;
  config.model.width = o.width;
  config.precision = precision;
  config.device = device;
  config.train_batch = o.batch;
  config.record_steps = record;
  if (device.backend == Backend::cuda) config.vendors = choose_vendors(o.conv, o.gemm, device);
  std::unique_ptr<Engine> engine = make_engine(config);
  engine->initialize(1);
  return engine;
}

// Distance of two tensors over the length of the second.
double distance(const Engine& got, const Engine& expected, const TensorInfo& tensor) {
  std::vector<double> a(static_cast<size_t>(tensor.count())), b(a.size());
  got.read(tensor.name, Slot::Value, a.data());
  expected.read(tensor.name, Slot::Value, b.data());
  double gap = 0, length = 0;
  for (size_t i = 0; i < a.size(); i++) {
    gap += (a[i] - b[i]) * (a[i] - b[i]);
    length += b[i] * b[i];
  }
  return std::sqrt(gap / std::max(length, 1e-300));
}

// The worst difference so far; a NaN is worse than any.
struct Worst {
  double value = 0;
  std::string where = "nothing";
  void take(double candidate, const std::string& place) {
    if (candidate <= value) return;
    value = std::isnan(candidate) ? INFINITY : candidate;
    where = place;
  }
};

int check_against_cpu(const Options& o, Device device, Precision precision) {
  const std::unique_ptr<Engine> tested = engine_on(device, precision, o);
  const std::unique_ptr<Engine> truth = engine_on(Backend::cpu, Precision::f64, o);
  const ModelConfig model{.classes = 9};
  Worst losses, parameters;
  for (int step = 0; step < o.steps; step++) {
    const Batch batch = make_batch(o, model, step);
    tested->step(batch, kRate, 1);
    truth->forward_backward(batch, 1);
    const auto [got, updated] = tested->result();
    const Losses expected = truth->result().losses;
    for (size_t i = 0; i < expected.size(); i++)
      losses.take(std::abs(got.at(i).second - expected[i].second) / std::max(std::abs(expected[i].second), 0.1),
                  fmt::format("{} of step {}", expected[i].first, step + 1));
    // f16 leaves out steps until its loss scale fits; the other follows.
    if (updated) truth->update(kRate);
  }
  if (precision == Precision::f64)
    for (const TensorInfo& tensor : truth->tensors()) parameters.take(distance(*tested, *truth, tensor), tensor.name);
  const double tolerance = tolerance_of(precision);
  const bool same = losses.value <= tolerance && parameters.value <= tolerance;
  fmt::print("{} steps of {} in {}: losses within {:.2e} ({})", o.steps, o.depth, o.precision, losses.value,
             losses.where);
  if (precision == Precision::f64) fmt::print(", tensors within {:.2e} ({})", parameters.value, parameters.where);
  fmt::print("; allowed {:.0e}: {}\n", tolerance, same ? "the same" : "DIFFERENT");
  return same ? 0 : 1;
}

// What differs in its bits after the same steps, empty: nothing.
std::string first_difference(const Engine& a, const Engine& b) {
  for (const TensorInfo& tensor : a.tensors()) {
    for (const Slot slot : {Slot::Value, Slot::Gradient, Slot::First, Slot::Second}) {
      if (slot != Slot::Value && !tensor.trainable) continue;
      std::vector<double> left(static_cast<size_t>(tensor.count())), right(left.size());
      a.read(tensor.name, slot, left.data());
      b.read(tensor.name, slot, right.data());
      if (std::memcmp(left.data(), right.data(), left.size() * sizeof(double)) != 0) return tensor.name;
    }
  }
  return "";
}

int check_against_unrecorded(const Options& o, Device device, Precision precision) {
  if (device.backend != Backend::cuda) fail("--against unrecorded: expected a GPU, got {}", name_of(device));
  const std::unique_ptr<Engine> recorded = engine_on(device, precision, o),
                                plain = engine_on(device, precision, o, false);
  const ModelConfig model{.classes = 9};
  std::string different;
  int step = 0;
  for (; step < o.steps && different.empty(); step++) {
    const Batch batch = make_batch(o, model, step);
    for (Engine* engine : {recorded.get(), plain.get()}) engine->step(batch, kRate / (1 + step), 1 + step);
    const Losses got = recorded->result().losses, expected = plain->result().losses;
    for (size_t i = 0; i < expected.size(); i++)
      if (std::memcmp(&got.at(i).second, &expected[i].second, sizeof(double)) != 0) different = expected[i].first;
    // NaN equals NaN whatever was computed before.
    if (!std::isfinite(expected.back().second)) different = "a total that is not finite";
  }
  if (different.empty()) different = first_difference(*recorded, *plain);
  // The first step is never recorded, and f16 records anew when its loss scale has changed.
  const bool replayed = recorded->replays() == o.steps - 1 && plain->replays() == 0;
  if (different.empty() && !replayed)
    different = fmt::format("the number of replays ({}, {})", recorded->replays(), plain->replays());
  fmt::print("{} steps of {} in {}, {} of them replayed, against unrecorded ones: {}\n", step, o.depth, o.precision,
             recorded->replays(), different.empty() ? "the same bits" : "DIFFERENT: " + different);
  return different.empty() ? 0 : 1;
}

int traincheck(const Options& o) {
  std::string why;
  const Device device = choose_device(o.device, &why);
  const Precision precision = parse_precision(o.precision, "--precision");
  choose_vendors(o.conv, o.gemm, device);  // or refuse
  fmt::print("device: {}\n", why);
  return (o.against == "cpu" ? check_against_cpu : check_against_unrecorded)(o, device, precision);
}

int run(int argc, char** argv) {
  Options o;
  CommandLine app(
      "Compares some training steps on a device with the cpu backend's in double, or those that a GPU replays from a "
      "recording with unrecorded ones. Exit code 0: the same, 1: different.",
      "traincheck");
  app.add_option("--device", o.device, kDeviceHelp)->capture_default_str();
  app.add_option("--precision", o.precision, "f64, f32, bf16 or f16")->capture_default_str();
  app.add_option("--depth", o.depth, "tiny, 18, 34, 50, 101 or 152")->capture_default_str();
  app.add_option("--against", o.against, "cpu, in double, or unrecorded: the same device, bit for bit")
      ->one_of({"cpu", "unrecorded"})
      ->capture_default_str();
  app.add_option("--conv", o.conv, kConvHelp);
  app.add_option("--gemm", o.gemm, kGemmHelp);
  add_whole_number(app, "--steps", o.steps, 1, 10000, "training steps");
  add_whole_number(app, "--batch", o.batch, 4, 1024, "pictures a step");
  add_whole_number(app, "--height", o.height, 32, 1024, "of a picture");
  add_whole_number(app, "--width", o.width, 16, 1024, "of a picture");
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  mpanet::set_up_threads(0);
  return traincheck(o);
}

}  // namespace

int main(int argc, char** argv) { return mpanet::program_main("traincheck", argc, argv, run); }
