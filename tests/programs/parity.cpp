// parity: runs the fixtures of the PyTorch reference through the engine and compares all their numbers.
//
// In bf16, f16 and tf32 rounding is larger than most faults. There a fixture is only a network, its values and its
// batches, and the reference is the f64 network rounded at the tensors that the engine rounds (support/step_check.h).
//
// A fixture holds a configuration, the embedding of batch 0 before training, each training step's loss terms, step 0's
// gradients, and every parameter and buffer after the last step; tensors as sum, L2 norm and up to eight entries.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/base/command_line.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/program.h"
#include "core/base/threads.h"
#include "mpanet/network/engine.h"
#include "mpanet/training/provenance.h"
#include "tests/support/reference_fill.h"
#include "tests/support/step_check.h"
#include "tests/support/worst.h"

namespace {

using mpanet::Batch;
using mpanet::Engine;
using mpanet::fail;
using mpanet::Worst;
using nlohmann::json;

// Bounds of the errors, relative to a tensor's norm or a loss term's size.
//   f64   every number: 1e-6. Rounding alone is about 1e-12; fixtures computed on different machines differ by less
//         than 1e-7.
//   f32   step 0's losses, as one vector, to 1e-4 and the L2 norms of step 0's gradients, as one vector over the
//         tensors, to 1e-2; the embedding's norm to 1e-3. One tensor's gradient norm to 5e-2: rounding in fifty layers
//         changes one by 1.2e-2 here and by 0.9e-2 in PyTorch's f32, and single entries by more. Single terms, entries
//         and later steps are not compared, because Adam's first steps follow the signs of tiny gradients.
//         ResNet-101 and 152: losses to 4e-4. Every block adds its rounding to that of the blocks before it, so the
//         error of the features, and of the losses' distances and logits, grows with the depth. PyTorch's f32 differs
//         by 3e-4 from its f64 there.
//   bf16, f16, tf32: the error against f64 of the embedding, of the loss terms of all steps as one vector, of all
//         gradients as one vector, and of each gradient and buffer is at most twice that of the rounded f64 network
//         (support/rounded_error.h, also for the second bound). Each step begins with the engine's values.
struct Tolerances {
  double losses, gradients, tensor, embedding;
  bool every_number;
};

Tolerances tolerances_of(mpanet::Precision precision, const std::string& depth) {
  if (precision == mpanet::Precision::f64) return {1e-6, 1e-6, 1e-6, 1e-6, true};
  const bool deep = depth == "101" || depth == "152";
  return {deep ? 4e-4 : 1e-4, 1e-2, 5e-2, 1e-3, false};
}

double norm_of(const std::vector<double>& v) {
  double s = 0;
  for (const double x : v) s += x * x;
  return std::sqrt(s);
}

void compare_tensor(const std::string& name, const std::vector<double>& got, const json& want, double limit,
                    bool every_number, Worst& worst) {
  int64_t count = 1;
  for (const json& d : want.at("shape")) count *= d.get<int64_t>();
  if (count != static_cast<int64_t>(got.size())) fail("{}: expected {} values, got {}", name, count, got.size());
  const double norm = want.at("norm").get<double>(), unit = norm > 0 ? norm : 1;
  worst.see(std::fabs(norm_of(got) - norm) / unit, limit, name + " norm");
  if (!every_number) return;
  double sum = 0;
  for (const double x : got) sum += x;
  worst.see(std::fabs(sum - want.at("sum").get<double>()) / unit, limit, name + " sum");
  for (size_t i = 0; i < want.at("at").size(); i++) {
    const size_t at = want.at("at")[i].get<size_t>();
    if (at >= got.size()) fail("{}: entry {} is outside the tensor of {} values", name, at, got.size());
    const double error = std::fabs(got[at] - want.at("values").at(i).get<double>()) / unit;
    worst.see(error, limit, fmt::format("{}[{}]", name, at));
  }
}

struct Fixture {
  json content;
  mpanet::EngineConfig engine;
  int ids, shots, steps;
  uint64_t salt;
  double lr;

  Batch batch(int step) const {
    const mpanet::ModelConfig& m = engine.model;
    Batch b;
    b.count = ids * shots;
    b.height = m.height;
    b.width = m.width;
    const int64_t area = int64_t{m.height} * m.width;
    const std::vector<double> planar =
        mpanet::reference::uniform(fmt::format("images.{}", step), 3 * area * b.count, salt);
    b.images.resize(planar.size());
    for (int64_t n = 0; n < b.count; n++)  // (N, 3, H, W) to (N, H, W, 3)
      for (int64_t c = 0; c < 3; c++)
        for (int64_t p = 0; p < area; p++)
          b.images[static_cast<size_t>((n * area + p) * 3 + c)] =
              static_cast<float>(2 * planar[static_cast<size_t>((n * 3 + c) * area + p)]);
    for (int n = 0; n < b.count; n++) {
      b.labels.push_back((3 * (n / shots) + step) % m.classes);
      b.infrared.push_back(n % 2 == 0);
    }
    return b;
  }
};

Fixture read_fixture(const std::string& path, mpanet::Precision precision, mpanet::Device device) {
  Fixture f;
  try {
    f.content = mpanet::parse_json(mpanet::read_text(path), path);
    const json& c = f.content.at("config");
    mpanet::ModelConfig& m = f.engine.model;
    m.depth = c.value("depth", "50");
    m.classes = c.at("classes");
    m.height = c.at("height");
    m.width = c.at("width");
    m.parts = c.at("parts");
    m.mam = c.at("mam");
    m.drop_last_stride = !c.at("keep_last_stride").get<bool>();
    m.mutual = !c.at("no_mutual").get<bool>();
    m.triplet = c.value("triplet", false);
    m.center = c.value("center", false);
    m.center_cluster = !c.value("no_center_cluster", false);
    m.classification = !c.value("no_classification", false);
    m.margin = c.at("margin");
    f.engine.optimizer.weight_decay = c.at("weight_decay");
    f.engine.precision = precision;
    f.engine.device = device;
    f.ids = c.at("ids");
    f.shots = c.at("shots");
    f.steps = c.at("steps");
    f.salt = c.at("salt").get<uint64_t>();
    f.lr = c.at("lr");
    if (f.content.at("steps").size() != static_cast<size_t>(f.steps))
      fail("{}: expected {} steps, got {}", path, f.steps, f.content["steps"].size());
    f.engine.train_batch = f.engine.embed_batch = f.ids * f.shots;
  } catch (const json::exception& e) {
    fail("{}: not a model fixture: {}", path, e.what());
  }
  return f;
}

std::vector<double> read_slot(const Engine& engine, const mpanet::TensorInfo& info, mpanet::Slot slot) {
  std::vector<double> values(static_cast<size_t>(info.count()));
  engine.read(info.name, slot, values.data());
  return values;
}

void compare_losses(const mpanet::Losses& got, const json& want, int step, const Tolerances& t, Worst& worst) {
  if (got.size() != want.size()) fail("step {}: expected {} loss terms, got {}", step, want.size(), got.size());
  std::vector<double> all, differences;
  for (const auto& [name, value] : got) {
    all.push_back(want.at(name).get<double>());
    differences.push_back(value - all.back());
    const double unit = std::max(std::fabs(all.back()), 1e-12);
    if (t.every_number)
      worst.see(std::fabs(differences.back()) / unit, t.losses, fmt::format("step {} {}", step, name));
  }
  worst.see(norm_of(differences) / norm_of(all), t.losses, fmt::format("step {} losses", step));
}

void compare_state(const Engine& engine, const json& want, mpanet::Slot slot, const char* what, double limit,
                   bool every_number, Worst& worst) {
  size_t compared = 0;
  for (const mpanet::TensorInfo& info : engine.tensors()) {
    if (slot == mpanet::Slot::Gradient && !info.trainable) continue;
    if (!want.contains(info.name)) fail("{}: the fixture has no {}", info.name, what);
    compare_tensor(fmt::format("{} {}", what, info.name), read_slot(engine, info, slot), want.at(info.name), limit,
                   every_number, worst);
    compared++;
  }
  if (compared != want.size()) fail("{}: expected {} tensors, got {}", what, want.size(), compared);
}

// The norms of all gradients as one vector: norm of the difference from the fixture's / norm of the fixture's.
void compare_all_gradients(const Engine& engine, const json& want, double limit, Worst& worst) {
  std::vector<double> norms, differences;
  for (const mpanet::TensorInfo& info : engine.tensors()) {
    if (!info.trainable) continue;
    norms.push_back(want.at(info.name).at("norm").get<double>());
    differences.push_back(norm_of(read_slot(engine, info, mpanet::Slot::Gradient)) - norms.back());
  }
  worst.see(norm_of(differences) / norm_of(norms), limit, "gradient norms");
}

void fill(Engine& engine, uint64_t salt) {
  for (const mpanet::TensorInfo& info : engine.tensors())
    engine.write(info.name, mpanet::Slot::Value, mpanet::reference::fill(info.name, info.shape, salt).data());
}

Worst run_by_rounding(const Fixture& f) {
  constexpr int kMostLeftOut = 20;
  // Some fixtures magnify rounding to the size of the gradient (push: 100 %). The errors of a tensor of few values do
  // not average out as those of all gradients do.
  constexpr double kAlongBelow = 0.5, kTensorAlongBelow = 0.05;
  const std::unique_ptr<Engine> engine = mpanet::make_engine(f.engine);
  fill(*engine, f.salt);
  mpanet::StepCheck check(f.engine, kAlongBelow, kTensorAlongBelow);
  check.compare_embedding(*engine, f.batch(0));
  Worst worst;
  int left_out = 0;
  // A loss scale of f16 that most gradients fit. It is halved until a step has finite gradients.
  double loss_scale = 128;
  for (int step = 0; step < f.steps;) {
    const Batch batch = f.batch(step);
    mpanet::OptimizerProgress progress = engine->optimizer_progress();
    progress.loss_scale = loss_scale;
    engine->set_optimizer_progress(progress);
    check.begin(*engine);
    engine->forward_backward(batch, 1);
    const bool finite = check.compare(*engine, batch, 1, engine->optimizer_progress().loss_scale);
    if (step == 0 && left_out == 0)  // that the fixture was read rightly
      compare_losses(check.exact().result().losses, f.content.at("steps").at(0), 0,
                     tolerances_of(mpanet::Precision::f64, f.engine.model.depth), worst);
    if (!finite) {
      if (++left_out > kMostLeftOut) fail("step {}: a gradient is not finite", step);
      loss_scale /= 2;
      continue;
    }
    engine->update(f.lr);
    step++;
  }
  const mpanet::StepCheck::Result result = check.result();
  worst.see(result.tensors);
  constexpr auto kRounding = mpanet::RoundedError::Rounding::Storage;
  result.embedding.see(kRounding, 0, "embedding", worst, kAlongBelow);
  result.terms.see(kRounding, 0, "losses", worst, kAlongBelow);
  return worst;
}

Worst run(const Fixture& f) {
  if (f.engine.precision != mpanet::Precision::f64 && f.engine.precision != mpanet::Precision::f32)
    return run_by_rounding(f);
  const Tolerances tolerances = tolerances_of(f.engine.precision, f.engine.model.depth);
  const std::unique_ptr<Engine> engine = mpanet::make_engine(f.engine);
  fill(*engine, f.salt);

  Worst worst;
  Batch batch = f.batch(0);
  std::vector<double> embedding(static_cast<size_t>(batch.count) * static_cast<size_t>(engine->feature_size()));
  engine->embed(batch, embedding.data());
  compare_tensor("eval_features", embedding, f.content.at("eval_features"), tolerances.embedding,
                 tolerances.every_number, worst);
  for (int step = 0; step < f.steps; step++) {
    if (step > 0) batch = f.batch(step);
    engine->step(batch, f.lr, 1);
    const mpanet::Losses losses = engine->result().losses;
    if (step == 0 || tolerances.every_number)
      compare_losses(losses, f.content.at("steps").at(static_cast<size_t>(step)), step, tolerances, worst);
    if (step == 0) {
      compare_state(*engine, f.content.at("gradients"), mpanet::Slot::Gradient, "gradient", tolerances.tensor,
                    tolerances.every_number, worst);
      compare_all_gradients(*engine, f.content.at("gradients"), tolerances.gradients, worst);
    }
  }
  if (tolerances.every_number)
    compare_state(*engine, f.content.at("after"), mpanet::Slot::Value, "after", tolerances.losses, true, worst);
  return worst;
}

int parity(int argc, char** argv) {
  mpanet::CommandLine app(
      "Compares the engine with result fixtures of the PyTorch reference. Exit code 0: all within tolerance.",
      "parity");
  std::vector<std::string> paths;
  std::string precision = "f64", device = "cpu";
  app.add_option("FIXTURE", paths, "JSON files")->required();
  app.add_option(
         "--precision", precision,
         "f64 (every number to 1e-6), f32 (step 0: losses to 1e-4, in ResNet-101 and 152 to 4e-4), or bf16, f16 "
         "and tf32 (errors at most twice those of the rounded f64 network)")
      ->one_of({"f64", "f32", "bf16", "f16", "tf32"})
      ->capture_default_str();
  app.add_option("--device", device, mpanet::kDeviceHelp)->capture_default_str();
  app.add_version([] { return mpanet::version_text("parity"); });
  if (const auto code = mpanet::parse_command_line(app, argc, argv)) return *code;
  const mpanet::Device where = mpanet::choose_device(device);
  // Every file is read before any output and computation, so that an error in one is the only line.
  std::vector<Fixture> fixtures;
  for (const std::string& path : paths)
    fixtures.push_back(read_fixture(path, mpanet::parse_precision(precision, "--precision"), where));
  mpanet::set_up_threads(0);
  bool good = true;
  for (size_t i = 0; i < paths.size(); i++) {
    const std::string& path = paths[i];
    const Worst worst = run(fixtures[i]);
    const bool within = worst.within();
    good = good && within;
    fmt::print("{}: {} {} on {}: worst {}, error {:.2e} ({:.0f} % of the tolerance)\n", mpanet::printable(path),
               within ? "equal" : "DIFFERENT", precision, mpanet::name_of(where), mpanet::printable(worst.where),
               worst.error, 100 * worst.ratio);
    std::fflush(stdout);
  }
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return mpanet::program_main("parity", argc, argv, [](int count, char** arguments) {
    try {
      return parity(count, arguments);
    } catch (const json::exception& e) {
      fail("not a model fixture: {}", e.what());
    }
  });
}
