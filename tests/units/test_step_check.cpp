// traincheck's comparison of gradients: it must find faults that are planted into them, in each precision.
#include "core/base/precisions.h"
#include "tests/support/built.h"
#include "tests/support/engine_helpers.h"
#include "tests/support/step_check.h"
#include "tests/support/tf32.h"

namespace mpanet {
namespace {

EngineConfig small(Precision precision) {
  EngineConfig config = tiny(precision, 8, 0);
  config.model.height = 64;
  config.model.width = 32;
  return config;
}

void scale(Values& values, double factor) {
  for (double& v : values) v *= factor;
}

// One step, whose gradients alter(name of the tensor, gradient) changes after the backward pass.
template <class Alter>
StepCheck::Result check_altered(Precision precision, const Alter& alter) {
  const EngineConfig config = small(precision);
  const std::unique_ptr<Engine> engine = make_engine(config);
  engine->initialize(3);
  engine->set_optimizer_progress({0, 1024, 0});  // a loss scale that f16 can take; the others have none
  const double loss_scale = engine->optimizer_progress().loss_scale;
  StepCheck check(config);
  check.begin(*engine);
  const Batch batch = make_batch(config.model, 8, 0);
  engine->forward_backward(batch, 1);
  for (const TensorInfo& tensor : engine->tensors()) {
    if (!tensor.trainable) continue;
    Values gradient = read(*engine, tensor.name, Slot::Gradient);
    alter(tensor.name, gradient);
    engine->write(tensor.name, Slot::Gradient, gradient.data());
  }
  CHECK(check.compare(*engine, batch, 1, loss_scale));
  return check.result();
}

TEST_CASE("gradients err as rounding does; missing, negated, halved and overlong ones are seen and named") {
  const std::map<std::string, double> planted = {{"backbone.conv1.weight", 0},
                                                 {"backbone.layer2.0.conv1.weight", -1},
                                                 {"backbone.layer3.0.bn1.bias", 0.5},
                                                 {"spatial_attention.bias", 1.5}};
  std::vector<std::string> names;
  for (const auto& [name, factor] : planted) names.push_back(name);
  const auto check = [&](Precision precision) {
    CAPTURE(name_of(precision));
    const StepCheck::Result good = check_altered(precision, [](const std::string&, Values&) {});
    CHECK_MESSAGE(good.losses.within(), good.losses.where);
    CHECK_MESSAGE(good.tensors.within(), good.tensors.where);
    CHECK(good.gradients == 46);
    CHECK(good.buffers == 28);
    CHECK(good.wrong.empty());
    const StepCheck::Result zeros =
        check_altered(precision, [](const std::string&, Values& gradient) { scale(gradient, 0); });
    CHECK(!zeros.within());
    CHECK(zeros.wrong.size() == 46);
    const StepCheck::Result some = check_altered(precision, [&](const std::string& name, Values& gradient) {
      if (planted.contains(name)) scale(gradient, planted.at(name));
    });
    CHECK(!some.within());
    CHECK(some.wrong == names);
  };
#define CHECK_PRECISION(precision) check(Precision::precision);
  MPANET_EACH_PRECISION(CHECK_PRECISION)
#undef CHECK_PRECISION
  check(Precision::tf32);
}

// The channel attention of the last stage has eight units, whose ReLUs have a kink each.
TEST_CASE("the gradient of one hidden unit of a channel attention: negated and missing ones are seen") {
  const std::string attention = "backbone.MAM4.channel_attention.0.weight";
  const auto check = [&](Precision precision) {
    for (const double factor : {-1.0, 0.0}) {
      CAPTURE(name_of(precision));
      CAPTURE(factor);
      const StepCheck::Result result = check_altered(precision, [&](const std::string& name, Values& gradient) {
        if (name != attention) return;
        const auto size_of = [&](size_t unit) {
          double sum = 0;
          for (size_t i = 0; i < 128; i++) sum += gradient.at(unit * 128 + i) * gradient.at(unit * 128 + i);
          return sum;
        };
        size_t largest = 0;
        for (size_t unit = 1; unit < 8; unit++)
          if (size_of(unit) > size_of(largest)) largest = unit;
        for (size_t i = 0; i < 128; i++) gradient.at(largest * 128 + i) *= factor;
      });
      CHECK(result.wrong == std::vector{attention});
    }
  };
#define CHECK_PRECISION(precision) check(Precision::precision);
  MPANET_EACH_PRECISION(CHECK_PRECISION)
#undef CHECK_PRECISION
  check(Precision::tf32);
}

TEST_CASE("of several runs of the rounded network the largest error counts, and the range of the projections") {
  const std::vector<double> exact = {4, 0, 0}, steady = {4, 0.5, 0}, flipped = {2, 1, 0};
  const auto worst = [&](const std::vector<double>& got, const std::vector<const std::vector<double>*>& rounded) {
    RoundedError error;
    error.add(got, exact, rounded);
    RoundedError sum;
    sum.add(error);
    Worst result;
    sum.see(RoundedError::Rounding::Storage, 0, "tensor", result);
    return result;
  };
  CHECK(worst({4, 0, 1}, {&steady}).ratio == 1);  // twice steady's error
  CHECK(!worst({4, 0, 1.1}, {&steady}).within());
  CHECK(!worst({2, 0, 0.6}, {&steady}).within());
  CHECK(worst({2, 0, 0.6}, {&steady, &flipped}).within());
  CHECK(worst({3, 0, 0.6}, {&flipped, &steady}).within());
  CHECK(worst({4, 0, 2 * std::sqrt(5.0)}, {&steady, &flipped}).ratio == doctest::Approx(1));
  CHECK(!worst({1.5, 0, 0}, {&steady, &flipped}).within());  // its projection is 0.75 of flipped's
  CHECK(worst({4.5, 0, 0}, {&flipped, &steady}).within());
  CHECK(!worst({5, 0, 0}, {&flipped, &steady}).within());
  CHECK(worst({1.5, 0, 0}, {&steady, &flipped}).where.find("0.750 times as far") != std::string::npos);
}

TEST_CASE("the projection's bound is wider for a tensor of few values with a large rounding error, to 0.4") {
  const auto bound = [](size_t count, double error) {
    const std::vector<double> exact(count, 1);
    std::vector<double> rounded = exact;
    for (size_t i = 0; i < count; i++) rounded[i] += i % 2 == 0 ? error : -error;
    RoundedError sums;
    sums.add(exact, exact, {&rounded});
    RoundedError steps;
    for (int step = 0; step < 3; step++) steps.add(sums);
    CHECK(steps.along_bound() == doctest::Approx(sums.along_bound()));
    return sums.along_bound();
  };
  for (const size_t count : {size_t{1}, size_t{4}, size_t{16}}) CHECK(bound(count, 0.3) == doctest::Approx(0.3));
  CHECK(bound(16, 0.1) == 0.2);
  CHECK(bound(16, 0.8) == 0.4);
  CHECK(bound(64, 0.6) == doctest::Approx(0.3));
  CHECK(bound(64, 0.4) == doctest::Approx(0.2));
  for (const size_t count : {size_t{256}, size_t{4096}}) CHECK(bound(count, 0.8) == 0.2);
}

TEST_CASE("a perturbation leaves the size of the rounding errors, and changes which values are rounded up" *
          doctest::skip(!is_built(Precision::bf16))) {
  const EngineConfig config = small(Precision::bf16);
  const std::unique_ptr<Engine> engine = make_engine(config);
  engine->initialize(3);
  RoundedNetwork rounded(config);
  rounded.copy_values(*engine);
  const Batch batch = make_batch(config.model, 8, 0);
  const auto first = rounded.run(batch, 1), again = rounded.run(batch, 1), other = rounded.run(batch, 1, 1, 0x1p-20);
  CHECK(first.tensors == again.tensors);  // each run begins with the copied values
  const std::string running = "backbone.bn1.running_mean", weight = "backbone.conv1.weight";
  check_close(other.tensors.at(running), first.tensors.at(running), 1e-4);
  CHECK(other.tensors.at(weight) != first.tensors.at(weight));
}

TEST_CASE("the reference's rounding to TF32: 11 significant bits, nearest, ties away from zero") {
  for (const double sign : {1.0, -1.0}) {
    CHECK(rounded_to_tf32(sign * 1) == sign * 1);
    CHECK(rounded_to_tf32(sign * 0x1.006p0) == sign * 0x1.008p0);  // ties at odd and even last bits
    CHECK(rounded_to_tf32(sign * 0x1.00ap0) == sign * 0x1.00cp0);
    CHECK(rounded_to_tf32(sign * 0x1.002p0) == sign * 0x1.004p0);
    CHECK(rounded_to_tf32(sign * 0x1.0019p0) == sign * 1);
    CHECK(rounded_to_tf32(sign * 0x1.fffp-3) == sign * 0x1p-2);
    CHECK(rounded_to_tf32(sign * 0x1p-137) == sign * 0x1p-136);  // a subnormal float
    CHECK(rounded_to_tf32(sign * 0x1p-138) == 0);
  }
}

TEST_CASE("a network that rounds to double is the f64 network") {
  const EngineConfig config = small(Precision::f64);
  const std::unique_ptr<Engine> engine = make_engine(config);
  engine->initialize(3);
  RoundedNetwork rounded(config);
  rounded.copy_values(*engine);
  const Batch batch = make_batch(config.model, 8, 0);
  engine->forward_backward(batch, 1);
  const RoundedNetwork::Step step = rounded.run(batch, 1, 8);
  const Losses losses = engine->result().losses;
  REQUIRE(step.losses.size() == losses.size());
  for (size_t i = 0; i < losses.size(); i++) CHECK(step.losses[i].second == losses[i].second);
  for (const TensorInfo& tensor : engine->tensors())
    check_close(step.tensors.at(tensor.name),
                read(*engine, tensor.name, tensor.trainable ? Slot::Gradient : Slot::Value), 1e-12);
}

}  // namespace
}  // namespace mpanet
