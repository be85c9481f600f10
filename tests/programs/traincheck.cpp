// traincheck: compares training steps on a device, with random pictures, with the same steps
//   of the cpu backend in double      f64: loss terms after every step, parameters after the last
//                                     other precisions, each step with the device's values: loss terms, every gradient
//                                     and every buffer, with bounds from the error of rounding
//                                     (tests/support/step_check.h); the optimiser's update
//   of the same device, unrecorded    all of these and the optimiser's state, bit for bit (--against unrecorded). With
//                                     --pictures the recorded steps get their pictures as bytes, the others as floats
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/program.h"
#include "core/base/random.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "mpanet/network/engine.h"
#include "mpanet/network/vendors.h"
#include "mpanet/training/provenance.h"
#include "tests/support/picture_set.h"
#include "tests/support/step_check.h"

using namespace mpanet;

namespace {

struct Options {
  std::string device = "auto", precision = "f64", depth = "tiny", against = "cpu", conv, gemm;
  std::string pictures = "floats";
  int steps = 3, batch = 8, height = 96, width = 48;
  int loss_scale = 0;  // 0: the usual one
  int seed = 1;        // of initial values and pictures
};

// Small, because Adam's first steps are signs of gradients, and rounding changes the signs of tiny ones.
constexpr double kRate = 1e-5;
constexpr int kClasses = 9, kMostLeftOut = 30;

Batch make_batch(const Options& o, int step) {
  Batch batch;
  batch.count = o.batch;
  batch.height = o.height;
  batch.width = o.width;
  batch.images.resize(size_t{3} * static_cast<size_t>(o.batch) * static_cast<size_t>(o.height * o.width));
  Random random(static_cast<uint64_t>(o.seed), Purpose::Test, 0, static_cast<uint32_t>(step));
  for (float& v : batch.images) v = static_cast<float>(random.uniform(-2, 2));
  for (int i = 0; i < o.batch; i++) {
    batch.labels.push_back(i / 4 % kClasses);
    batch.infrared.push_back(i % 2 == 0);
  }
  return batch;
}

PictureForm form_of(const Options& o) {
  if (o.pictures == "floats") return PictureForm::Floats;
  return o.pictures == "bytes" ? PictureForm::Bytes : PictureForm::Held;
}

PictureSet picture_set(const Options& o) { return {o.batch + 3, o.height, o.width}; }

EngineConfig config_on(Device device, Precision precision, const Options& o, bool record = true) {
  EngineConfig config;
  config.model.depth = o.depth;
  config.model.classes = kClasses;
  config.model.height = o.height;
  config.model.width = o.width;
  config.precision = precision;
  config.device = device;
  config.train_batch = o.batch;
  config.record_steps = record;
  if (record) picture_set(o).configure(config, form_of(o));
  // Not the reference.
  if (device.backend != Backend::cpu || precision != Precision::f64)
    config.vendors = choose_vendors(o.conv, o.gemm, device);
  return config;
}

std::unique_ptr<Engine> engine_on(Device device, Precision precision, const Options& o, bool record = true) {
  std::unique_ptr<Engine> engine = make_engine(config_on(device, precision, o, record));
  engine->initialize(static_cast<uint64_t>(o.seed));
  picture_set(o).give(*engine);
  if (o.loss_scale > 0) engine->set_optimizer_progress({.loss_scale = static_cast<double>(o.loss_scale)});
  return engine;
}

std::vector<double> read(const Engine& engine, const TensorInfo& tensor, Slot slot) {
  std::vector<double> values(static_cast<size_t>(tensor.count()));
  engine.read(tensor.name, slot, values.data());
  return values;
}

// Norm of the difference of two tensors / norm of the second.
double distance(const Engine& got, const Engine& expected, const TensorInfo& tensor, Slot slot) {
  const std::vector<double> a = read(got, tensor, slot), b = read(expected, tensor, slot);
  double gap = 0, length = 0;
  for (size_t i = 0; i < a.size(); i++) {
    gap += (a[i] - b[i]) * (a[i] - b[i]);
    length += b[i] * b[i];
  }
  return std::sqrt(gap / std::max(length, 1e-300));
}

// Both engines run all steps independently.
int check_in_double(const Options& o, Device device) {
  // The error of sums in another order, after some steps.
  constexpr double kTolerance = 1e-9;
  const std::unique_ptr<Engine> tested = engine_on(device, Precision::f64, o);
  const std::unique_ptr<Engine> truth = engine_on(Backend::cpu, Precision::f64, o);
  Worst losses, parameters;
  for (int step = 0; step < o.steps; step++) {
    const Batch batch = make_batch(o, step);
    tested->step(batch, kRate, 1);
    truth->step(batch, kRate, 1);
    const Losses got = tested->result().losses, expected = truth->result().losses;
    for (size_t i = 0; i < expected.size(); i++)
      losses.see(std::abs(got.at(i).second - expected[i].second) / std::max(std::abs(expected[i].second), 0.1),
                 kTolerance, fmt::format("{} of step {}", expected[i].first, step + 1));
  }
  for (const TensorInfo& tensor : truth->tensors())
    parameters.see(distance(*tested, *truth, tensor, Slot::Value), kTolerance, tensor.name);
  const bool same = losses.within() && parameters.within();
  fmt::print("{} steps of {} in f64: losses within {:.2e} ({}), tensors within {:.2e} ({}); allowed {:.0e}: {}\n",
             o.steps, o.depth, losses.error, losses.where, parameters.error, parameters.where, kTolerance,
             same ? "the same" : "DIFFERENT");
  return same ? 0 : 1;
}

// Copies values and the optimiser's moments.
void copy_state(const Engine& from, Engine& to) {
  for (const TensorInfo& tensor : from.tensors()) {
    to.write(tensor.name, Slot::Value, read(from, tensor, Slot::Value).data());
    if (!tensor.trainable) continue;
    for (const Slot slot : {Slot::First, Slot::Second}) to.write(tensor.name, slot, read(from, tensor, slot).data());
  }
}

// A step that was left out: it may change nothing but the loss scale. `before` has the values from before it.
bool left_alone(const Engine& tested, const OptimizerProgress& progress, const Engine& before) {
  const OptimizerProgress expected{progress.steps, std::max(1.0, progress.loss_scale / 2), 0};
  bool same = tested.optimizer_progress() == expected;
  for (const TensorInfo& tensor : tested.tensors())
    for (const Slot slot : {Slot::Value, Slot::First, Slot::Second})
      if (tensor.trainable) same &= read(tested, tensor, slot) == read(before, tensor, slot);
  return same;
}

bool has_finite_gradients(const Engine& engine) {
  for (const TensorInfo& tensor : engine.tensors())
    if (tensor.trainable)
      for (const double value : read(engine, tensor, Slot::Gradient))
        if (!std::isfinite(value)) return false;
  return true;
}

// Rounded double may overflow at the largest scale that the device takes.
void lower_loss_scale(Engine& engine) {
  OptimizerProgress lower = engine.optimizer_progress();
  lower.loss_scale = std::max(1.0, lower.loss_scale / 8);
  engine.set_optimizer_progress(lower);
}

// Each step starts with the device's values. Compares its gradients, and the optimiser's update.
int check_by_rounding(const Options& o, Device device, Precision precision) {
  // Relative to a tensor's norm: an update has a dozen roundings of float.
  constexpr double kUpdate = 1e-6;
  const std::unique_ptr<Engine> tested = engine_on(device, precision, o);
  const std::unique_ptr<Engine> optimizer = engine_on(Backend::cpu, Precision::f64, o);
  StepCheck check(config_on(device, precision, o));
  Worst updates;
  int left_out = 0;
  for (int step = 0; step < o.steps;) {
    const Batch batch = make_batch(o, step);
    check.begin(*tested);
    copy_state(*tested, *optimizer);
    const OptimizerProgress progress = tested->optimizer_progress();
    optimizer->set_optimizer_progress(progress);
    tested->step(batch, kRate, 1);
    if (!tested->result().updated) {  // f16 skips steps until its loss scale fits
      if (++left_out > kMostLeftOut) fail("{} steps were left out: no loss scale fits", left_out);
      if (!left_alone(*tested, progress, *optimizer)) {
        fmt::print("a step that was left out changed a parameter, a moment or the progress: DIFFERENT\n");
        return 1;
      }
      lower_loss_scale(*tested);
      continue;
    }
    if (!check.compare(*tested, batch, 1, progress.loss_scale)) {
      if (!has_finite_gradients(*tested)) fail("step {}: a gradient is not finite", step + 1);
      if (++left_out > kMostLeftOut) fail("{} steps were left out: no loss scale fits rounded double", left_out);
      lower_loss_scale(*tested);
      continue;
    }
    step++;
    for (const TensorInfo& tensor : tested->tensors())
      if (tensor.trainable) optimizer->write(tensor.name, Slot::Gradient, read(*tested, tensor, Slot::Gradient).data());
    optimizer->update(kRate);
    for (const TensorInfo& tensor : tested->tensors())
      for (const Slot slot : {Slot::Value, Slot::First, Slot::Second})
        if (tensor.trainable) updates.see(distance(*tested, *optimizer, tensor, slot), kUpdate, tensor.name);
  }
  const StepCheck::Result result = check.result();
  const bool same = result.within() && updates.within();
  for (const std::string& name : result.wrong) fmt::print("off: {}\n", name);
  fmt::print(
      "{} steps of {} in {}: losses within {:.2e} ({}); {} gradients and {} buffers, all gradients off by {:.2e}, "
      "rounded "
      "double by {:.2e}; worst {:.2f} of what is allowed ({}); updates within {:.1e} ({}); {} left out: {}\n",
      o.steps, o.depth, o.precision, result.losses.error, result.losses.where, result.gradients, result.buffers,
      result.all.error(), result.all.rounding_error(), result.tensors.ratio, result.tensors.where, updates.error,
      updates.where, counted(left_out, "step"), same ? "the same" : "DIFFERENT");
  return same ? 0 : 1;
}

int check_against_cpu(const Options& o, Device device, Precision precision) {
  return precision == Precision::f64 ? check_in_double(o, device) : check_by_rounding(o, device, precision);
}

// The first difference in bits after the same steps; empty if there is none.
std::string first_difference(const Engine& a, const Engine& b) {
  for (const TensorInfo& tensor : a.tensors()) {
    for (const Slot slot : {Slot::Value, Slot::Gradient, Slot::First, Slot::Second}) {
      if (slot != Slot::Value && !tensor.trainable) continue;
      const std::vector<double> left = read(a, tensor, slot), right = read(b, tensor, slot);
      if (std::memcmp(left.data(), right.data(), left.size() * sizeof(double)) != 0) return tensor.name;
    }
  }
  return "";
}

int check_against_unrecorded(const Options& o, Device device, Precision precision) {
  if (device.backend != Backend::cuda) fail("--against unrecorded: expected a GPU, got {}", name_of(device));
  const PictureSet set = picture_set(o);
  const std::unique_ptr<Engine> recorded = engine_on(device, precision, o),
                                plain = engine_on(device, precision, o, false);
  std::string different;
  int step = 0, left_out = 0;
  for (; step < o.steps && different.empty(); step++) {
    for (Engine* engine : {recorded.get(), plain.get()})
      engine->step(set.batch(*engine, engine->form(), o.batch, kClasses, static_cast<uint32_t>(step)),
                   kRate / (1 + step), 1 + step);
    const StepResult result = recorded->result();
    const Losses got = result.losses, expected = plain->result().losses;
    left_out += result.updated ? 0 : 1;
    if (recorded->optimizer_progress() != plain->optimizer_progress()) different = "the optimiser's progress";
    for (size_t i = 0; i < expected.size(); i++)
      if (std::memcmp(&got.at(i).second, &expected[i].second, sizeof(double)) != 0) different = expected[i].first;
    // Bits are compared, so NaN equals NaN.
    if (!std::isfinite(expected.back().second)) different = "a total that is not finite";
  }
  if (different.empty()) different = first_difference(*recorded, *plain);
  // The first step is never recorded, the second once, whatever happens to the loss scale.
  const bool replayed = recorded->replays() == o.steps - 1 && recorded->recordings() == 1 && plain->replays() == 0;
  if (different.empty() && !replayed)
    different = fmt::format("the number of replays ({}, {}) or of recordings ({})", recorded->replays(),
                            plain->replays(), recorded->recordings());
  fmt::print("{} steps of {} in {}, {} of them replayed, {} left out, against unrecorded ones: {}\n", step, o.depth,
             o.precision, recorded->replays(), left_out,
             different.empty() ? "the same bits" : "DIFFERENT: " + different);
  return different.empty() ? 0 : 1;
}

int traincheck(const Options& o) {
  std::string why;
  const Device device = choose_device(o.device, &why);
  const Precision precision = parse_precision(o.precision, "--precision");
  choose_vendors(o.conv, o.gemm, device);  // throws for invalid options
  if (device.backend == Backend::cpu && precision == Precision::f64 && !o.conv.empty())
    fail("--conv: expected another precision on a CPU, whose reference is f64");
  if (o.pictures != "floats" && o.against != "unrecorded") fail("--pictures: only with --against unrecorded");
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
  app.add_option("--precision", o.precision, "f64, f32, tf32, bf16 or f16")->capture_default_str();
  app.add_option("--depth", o.depth, "tiny, 18, 34, 50, 101 or 152")->capture_default_str();
  app.add_option("--against", o.against, "cpu, in double, or unrecorded: the same device, bit for bit")
      ->one_of({"cpu", "unrecorded"})
      ->capture_default_str();
  app.add_option("--pictures", o.pictures, "floats, bytes or held, for --against unrecorded")
      ->one_of({"floats", "bytes", "held"})
      ->capture_default_str();
  app.add_option("--conv", o.conv, kConvHelp);
  app.add_option("--gemm", o.gemm, kGemmHelp);
  add_whole_number(app, "--steps", o.steps, 1, 10000, "training steps");
  add_whole_number(app, "--batch", o.batch, 4, 1024, "pictures a step");
  add_whole_number(app, "--height", o.height, 32, 1024, "of a picture");
  add_whole_number(app, "--width", o.width, 16, 1024, "of a picture");
  add_whole_number(app, "--seed", o.seed, 0, 1 << 30, "of the initial values and the pictures");
  add_whole_number(app, "--loss-scale", o.loss_scale, 1, 1 << 30,
                   "f16's first loss scale; a large one makes the first steps overflow")
      ->default_str("");
  app.add_version([] { return version_text("traincheck"); });
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  mpanet::set_up_threads(0);
  return traincheck(o);
}

}  // namespace

int main(int argc, char** argv) { return mpanet::program_main("traincheck", argc, argv, run); }
