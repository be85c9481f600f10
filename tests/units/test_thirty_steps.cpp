// Thirty steps of training in each precision beside f32's: rounding must not change how fast the loss falls.
#include "core/base/precisions.h"
#include "tests/support/engine_helpers.h"

namespace mpanet {
namespace {

constexpr int kSteps = 30, kLast = 5, kBatches = 3, kBatch = 16;

// Pictures of a person are a pattern of its own with noise.
Batch people(const ModelConfig& model, uint32_t index) {
  Batch batch = make_batch(model, kBatch, index);
  const size_t values = batch.images.size() / kBatch;
  for (size_t n = 0; n < kBatch; n++) {
    batch.labels[n] = static_cast<int32_t>(n / 4);
    const Values pattern = normals(static_cast<int64_t>(values), 1000 + static_cast<uint32_t>(n / 4));
    for (size_t i = 0; i < values; i++)
      batch.images[n * values + i] =
          static_cast<float>(pattern[i] + 0.5 * static_cast<double>(batch.images[n * values + i]));
  }
  return batch;
}

struct Course {
  double first = 0, last = 0;  // the mean total of the first and of the last steps
};

Course train(Precision precision, Device device) {
  EngineConfig config = tiny(precision, kBatch, 0);
  config.model.height = 64;
  config.model.width = 32;
  config.device = device;
  const std::unique_ptr<Engine> engine = make_engine(config);
  engine->initialize(1);
  engine->set_optimizer_progress({0, 256, 0});  // f16's loss scale, with which no step overflows
  Course course;
  for (int step = 0; step < kSteps; step++) {
    engine->step(people(config.model, static_cast<uint32_t>(step % kBatches)), 1e-3, 1);
    const StepResult result = engine->result();
    CHECK(result.updated);
    const double total = loss(result.losses, "total");
    if (step < kLast) course.first += total / kLast;
    if (step >= kSteps - kLast) course.last += total / kLast;
  }
  return course;
}

// The last losses differ by 1 % (bf16, tf32) and 0.5 % (f16), f64's by 1.5 %.
TEST_CASE("after thirty steps the loss is within 5 % of f32's") {
  const Course expected = train(Precision::f32, Backend::cpu);
  CHECK(expected.last < 0.5 * expected.first);
  const auto check = [&](Precision precision) {
    if (precision == Precision::f32 || precision == Precision::f64) return;
    CAPTURE(name_of(precision));
    const Course got = train(precision, Backend::cpu);
    CHECK(got.first == doctest::Approx(expected.first).epsilon(0.05));
    CHECK(got.last == doctest::Approx(expected.last).epsilon(0.05));
  };
#define CHECK_PRECISION(precision) check(Precision::precision);
  MPANET_EACH_PRECISION(CHECK_PRECISION)
#undef CHECK_PRECISION
  check(Precision::tf32);
}

}  // namespace
}  // namespace mpanet
