// traincheck: some training steps on a device beside the same ones of the cpu backend in double, on made-up pictures
// that both get alike: every step's loss terms and gradients, and the parameters after the last.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/command_line.h"
#include "core/base/random.h"
#include "mpanet/network/engine.h"
#include "mpanet/network/vendors.h"
#include "tests/support/worst.h"

using namespace mpanet;

namespace {

struct Options {
  std::string device = "auto", precision = "f64", depth = "tiny", conv, gemm;
  int steps = 3, batch = 8, height = 96, width = 48;
};

// Of the optimiser. Small: Adam's first steps are signs of gradients, and what rounding does to those must not grow.
constexpr double kRate = 1e-5;

// How far sums in another order, and storage's rounding, may take
//   losses       a loss term, relative to it (terms below 0.1: to 0.1)
//   gradients    all gradients of a step as one vector, relative to its length
//   gradient     one tensor's, relative to its own
//   parameters   a tensor after the last step, relative to it; 0: not compared, as Adam's first steps are signs of
//                gradients, and rounding decides the sign of one near zero
struct Tolerances {
  double losses, gradients, gradient, parameters;
};
Tolerances tolerances_of(Precision precision) {
  switch (precision) {
    case Precision::f64:
      return {1e-9, 1e-9, 1e-9, 1e-9};
    case Precision::f32:
      return {1e-3, 1e-2, 5e-2, 0};
    default:
      return {0.05, 0.5, 0.9, 0};
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

std::unique_ptr<Engine> engine_on(Device device, Precision precision, const Options& o) {
  EngineConfig config;
  config.model.depth = o.depth;
  config.model.classes = 9;
  config.model.height = o.height;
  config.model.width = o.width;
  config.precision = precision;
  config.device = device;
  config.train_batch = o.batch;
  if (device.backend == Backend::cuda) config.vendors = choose_vendors(o.conv, o.gemm, device);
  std::unique_ptr<Engine> engine = make_engine(config);
  engine->initialize(1);
  return engine;
}

std::vector<double> read(const Engine& engine, const TensorInfo& tensor, Slot slot) {
  std::vector<double> values(static_cast<size_t>(tensor.count()));
  engine.read(tensor.name, slot, values.data());
  return values;
}

// Squares of two vectors' distance and of the second one's length.
struct Distance {
  double gap = 0, length = 0;
  void add(const std::vector<double>& got, const std::vector<double>& expected) {
    for (size_t i = 0; i < got.size(); i++) {
      gap += (got[i] - expected[i]) * (got[i] - expected[i]);
      length += expected[i] * expected[i];
    }
  }
  // NaN where there is nothing to compare with.
  double relative() const { return length > 0 ? std::sqrt(gap / length) : NAN; }
};

class Check {
 public:
  Check(const Engine& tested, const Engine& truth, const Tolerances& tolerances)
      : tested_(tested), truth_(truth), tolerances_(tolerances) {}

  void losses(int step) {
    const Losses got = tested_.losses(), expected = truth_.losses();
    for (size_t i = 0; i < expected.size(); i++) {
      const double unit = std::max(std::abs(expected[i].second), 0.1);
      losses_.see(std::abs(got.at(i).second - expected[i].second) / unit, tolerances_.losses,
                  fmt::format("{} of step {}", expected[i].first, step));
    }
  }
  void gradients(int step) {
    Distance all;
    for (const TensorInfo& tensor : truth_.tensors()) {
      if (!tensor.trainable) continue;
      Distance one;
      const auto got = read(tested_, tensor, Slot::Gradient), expected = read(truth_, tensor, Slot::Gradient);
      one.add(got, expected);
      all.add(got, expected);
      gradients_.see(one.relative(), tolerances_.gradient, fmt::format("{} of step {}", tensor.name, step));
    }
    gradients_.see(all.relative(), tolerances_.gradients, fmt::format("all of step {}", step));
    steps_++;
  }
  void parameters() {
    if (tolerances_.parameters == 0) return;
    for (const TensorInfo& tensor : truth_.tensors()) {
      Distance one;
      one.add(read(tested_, tensor, Slot::Value), read(truth_, tensor, Slot::Value));
      if (one.gap > 0 || one.length > 0) parameters_.see(one.relative(), tolerances_.parameters, tensor.name);
    }
  }
  bool report(const Options& o) const {
    const auto part = [](const char* what, const Worst& worst) {
      return fmt::format("{} within {:.2e} ({}, {:.0f} % of what is allowed)", what, worst.error, worst.where,
                         100 * worst.share);
    };
    const bool same = losses_.within() && gradients_.within() && parameters_.within() && steps_ > 0;
    fmt::print("{} steps of {} in {}: {}; {}", o.steps, o.depth, o.precision, part("losses", losses_),
               steps_ > 0 ? part("gradients", gradients_) : "no step whose gradients were finite");
    if (tolerances_.parameters > 0) fmt::print("; {}", part("tensors", parameters_));
    fmt::print(": {}\n", same ? "the same" : "DIFFERENT");
    return same;
  }

 private:
  const Engine &tested_, &truth_;
  Tolerances tolerances_;
  Worst losses_, gradients_, parameters_;
  int steps_ = 0;  // whose gradients were compared
};

int traincheck(const Options& o) {
  std::string why;
  const Device device = choose_device(o.device, &why);
  const Precision precision = parse_precision(o.precision, "--precision");
  choose_vendors(o.conv, o.gemm, device);  // or refuse
  const std::unique_ptr<Engine> tested = engine_on(device, precision, o);
  const std::unique_ptr<Engine> truth = engine_on(Backend::cpu, Precision::f64, o);
  const ModelConfig model{.classes = 9};
  fmt::print("{}\n", why);
  Check check(*tested, *truth, tolerances_of(precision));
  for (int step = 1; step <= o.steps; step++) {
    const Batch batch = make_batch(o, model, step - 1);
    for (Engine* engine : {tested.get(), truth.get()}) engine->forward_backward(batch, 1);
    check.losses(step);
    // f16 leaves out steps until its loss scale fits; the other follows.
    if (!tested->update(kRate)) continue;
    check.gradients(step);
    truth->update(kRate);
  }
  check.parameters();
  return check.report(o) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  Options o;
  CLI::App app(
      "Compares some training steps on a device with the cpu backend's in double. Exit code 0: the same, 1: different.",
      "traincheck");
  app.add_option("--device", o.device, kDeviceHelp)->capture_default_str();
  app.add_option("--precision", o.precision, "f64, f32, bf16 or f16")->capture_default_str();
  app.add_option("--depth", o.depth, "tiny, 18, 34, 50, 101 or 152")->capture_default_str();
  app.add_option("--conv", o.conv, kConvHelp);
  app.add_option("--gemm", o.gemm, kGemmHelp);
  app.add_option("--steps", o.steps, "training steps")->check(CLI::Range(1, 100))->capture_default_str();
  app.add_option("--batch", o.batch, "pictures a step")->check(CLI::Range(4, 1024))->capture_default_str();
  app.add_option("--height", o.height, "of a picture")->check(CLI::Range(32, 1024))->capture_default_str();
  app.add_option("--width", o.width, "of a picture")->check(CLI::Range(16, 1024))->capture_default_str();
  if (const auto code = parse_command_line(app, argc, argv)) return *code;
  return traincheck(o);
} catch (...) {
  return report_exception("traincheck");
}
