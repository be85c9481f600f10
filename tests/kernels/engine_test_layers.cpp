// Layers, without their gradients, which gradcheck tests: fused paths, tensors without gradient, errors, and the memory
// of a training step.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "core/base/random.h"
#include "layers/batch_norm.h"
#include "layers/layers.h"
#include "layers/residual_block.h"
#include "mpanet/network/mpa_net.h"
#include "tests/support/rows.h"

namespace mpanet::PRECISION {
namespace {

std::vector<real> normals(int64_t count, uint32_t index, double scale = 1) {
  Random random(11, Purpose::Test, 30, index);
  std::vector<real> values(static_cast<size_t>(count));
  for (real& v : values) v = static_cast<real>(scale * random.normal());
  return values;
}

void set(Context& context, const Parameter& p, const std::vector<real>& values) {
  REQUIRE(static_cast<int64_t>(values.size()) == p.count);
  context.to_device(p.value, values.data(), values.size() * sizeof(real));
}

std::vector<real> get(Context& context, const real* from, int64_t count) {
  std::vector<real> values(static_cast<size_t>(count));
  context.to_host(values.data(), from, values.size() * sizeof(real));
  return values;
}

// Random values that keep activations near 1 through any depth.
void fill(Context& context, ParameterStore& store) {
  uint32_t index = 100;
  for (const Parameter& p : store.list()) {
    std::vector<real> values =
        normals(p.count, index++, std::sqrt(2.0 * static_cast<double>(p.shape[0]) / static_cast<double>(p.count)));
    if (p.shape.size() == 1)
      for (real& v : values) v = (p.name.ends_with("mean") || p.name.ends_with("bias") ? 0 : 1) + v / 8;
    set(context, p, values);
  }
  store.changed(context);
}

TEST_CASE("eval mode: the folded convolution equals convolution, norm, residual and ReLU one by one") {
  Context context(Backend::cpu, Guards::On);
  for (const bool relu : {false, true})
    for (const bool residual : {false, true}) {
      ParameterStore store;
      Conv conv(store, "conv", 5, 19, 3, 2, 1);
      BatchNorm norm(store, "norm", 19);
      store.allocate(context, ParameterStore::State::Gradients);
      fill(context, store);
      const Tensor x(context, {2, 9, 7, 5}), r(context, {2, 5, 4, 19});
      x.from_host(normals(x.count(), 0));
      r.from_host(normals(r.count(), 1));
      const auto run = [&](bool recording) {
        context.set_recording(recording);
        const Tensor y = conv_bn_act(context, x, conv, norm, Mode::Eval, relu, residual ? r : Tensor());
        context.tape().clear();
        return y.to_host();
      };
      const std::vector<real> apart = run(true), folded = run(false);
      // The two results sum 45 products of numbers near 1 in different orders: a few roundings.
      const double tolerance = sizeof(real) == 8 ? 1e-13 : 1e-5;
      double worst = 0;
      for (size_t i = 0; i < apart.size(); i++)
        worst = std::fmax(worst, std::fabs(static_cast<double>(apart[i] - folded[i])));
      CHECK(worst <= tolerance);
      // The folded weights follow the parameters.
      set(context, norm.running_mean, normals(19, 7));
      store.changed(context);
      CHECK(run(false) != folded);
    }
}

TEST_CASE("training mode moves the running statistics, eval mode does not") {
  Context context(Backend::cpu, Guards::On);
  ParameterStore store;
  BatchNorm norm(store, "norm", 1);
  store.allocate(context, ParameterStore::State::Gradients);
  set(context, norm.weight, {1});
  set(context, norm.running_var, {1});
  const Tensor x(context, {1, 2, 1, 1});
  x.from_host({1, 3});
  batch_norm_2d(context, x, norm, Mode::Eval);
  CHECK(get(context, norm.running_mean.value, 1)[0] == 0);
  batch_norm_2d(context, x, norm, Mode::Train);
  // Mean 2, unbiased variance 2, momentum 0.1.
  CHECK(static_cast<double>(get(context, norm.running_mean.value, 1)[0]) == doctest::Approx(0.2).epsilon(1e-6));
  CHECK(static_cast<double>(get(context, norm.running_var.value, 1)[0]) == doctest::Approx(1.1).epsilon(1e-6));
  const RealTensor f(context, {2, 1});
  f.from_host({1, 3});
  batch_norm_1d(context, f, norm, Mode::Train);
  CHECK(static_cast<double>(get(context, norm.running_mean.value, 1)[0]) == doctest::Approx(0.38).epsilon(1e-6));
  CHECK(static_cast<double>(get(context, norm.running_var.value, 1)[0]) == doctest::Approx(1.19).epsilon(1e-6));
}

TEST_CASE("several linear layers on one input equal single ones; frozen ones pass no gradient") {
  Context context(Backend::cpu, Guards::On);
  ParameterStore store;
  Parameter &a = store.add("a", {3, 4}, true), &b = store.add("b", {3, 4}, true);
  const Parameter& teacher = store.add("teacher", {3, 4}, false);
  store.allocate(context, ParameterStore::State::Gradients);
  set(context, a, normals(12, 0));
  set(context, b, normals(12, 1));
  set(context, *store.find("teacher"), normals(12, 2));
  const auto run = [&](bool together) {
    store.begin_step();
    const RealTensor x(context, {2, 4}, true);
    x.from_host(normals(8, 3));
    std::vector<std::vector<real>> results;
    const auto finish = [&](const auto& y, uint32_t index) {
      results.push_back(values_of(context, y));
      set_gradient(context, y, normals(6, 4 + index));
    };
    if (together) {
      const std::vector<Logits> y = linear_several(context, x, {&a, &b}, {&teacher});
      for (uint32_t i = 0; i < 2; i++) finish(y[i], i);
      CHECK(!y[2].rows.needs_grad());
      CHECK(values_of(context, y[2]) == linear(context, x, *store.find("teacher")).to_host());
      context.tape().backward();
    } else {
      const std::vector<RealTensor> y = {linear(context, x, a), linear(context, x, b)};
      for (uint32_t i = 0; i < 2; i++) finish(y[i], i);
      context.tape().backward();
    }
    results.insert(results.end(),
                   {get(context, a.gradient, 12), get(context, b.gradient, 12), get(context, x.grad(), 8)});
    return results;
  };
  CHECK(run(true) == run(false));
}

TEST_CASE("a frozen bias has no gradient; a parameter that no backward reached has zeros") {
  Context context(Backend::cpu, Guards::On);
  ParameterStore store;
  BatchNorm norm(store, "norm", 3, TrainedParts{true, false});
  Parameter& unused = store.add("unused", {5}, true);
  store.allocate(context, ParameterStore::State::Gradients);
  CHECK(norm.bias.gradient == nullptr);
  CHECK(norm.running_mean.gradient == nullptr);
  context.to_device(unused.gradient, normals(5, 0).data(), 5 * sizeof(real));
  store.begin_step();
  const RealTensor f(context, {4, 3}, true);
  f.from_host(normals(12, 1));
  const RealTensor g = batch_norm_1d(context, f, norm, Mode::Train);
  context.to_device(g.grad_sink().first, normals(12, 2).data(), 12 * sizeof(real));
  context.tape().backward();
  CHECK(norm.weight.has_gradient);
  CHECK(!norm.bias.has_gradient);
  store.finish_gradients(context);
  CHECK(get(context, unused.gradient, 5) == std::vector<real>(5, 0));
}

TEST_CASE("the weights of convolutions come first in memory, and they alone have working copies") {
  Context context(Backend::cpu, Guards::On);
  ParameterStore store;
  const BatchNorm norm(store, "norm", 3);
  Parameter& matrix = store.add("matrix", {2, 4, 1, 1}, true);
  const Conv first(store, "first", 3, 5, 3, 1, 1, true), second(store, "second", 5, 2, 1, 1, 0);
  store.allocate(context, ParameterStore::State::Gradients);
  Parameter &one = *store.find("first.weight"), &two = *store.find("second.weight");
  Parameter& bias = *store.find("first.bias");
  CHECK(two.value == one.value + 144);  // 135 values, rounded up to a multiple of 16
  for (const Parameter* other : {&norm.weight, &norm.bias, &matrix, &bias}) {
    CHECK(other->value >= two.value + 16);
    CHECK(other->gradient - one.gradient == other->value - one.value);
    CHECK(other->working == nullptr);
  }
  for (const Parameter* weight : {&one, &two})
    CHECK(static_cast<const void*>(weight->working) == static_cast<const void*>(weight->value));  // storage is real
  CHECK(store.list().front().name == "norm.weight");  // the list has the order of the additions
}

TEST_CASE("layers refuse what does not fit, by name") {
  Context context(Backend::cpu, Guards::On);
  ParameterStore store;
  Conv conv(store, "layer1.conv", 3, 4, 3, 1, 0);
  BatchNorm norm(store, "layer1.norm", 4), other(store, "layer1.other", 4);
  Parameter &w1 = store.add("w1", {2, 4, 1, 1}, true), &w2 = store.add("w2", {4, 2, 1, 1}, true);
  Parameter &maps = store.add("maps", {6, 4, 1, 1}, true), &bias = store.add("bias", {6}, true);
  CHECK_THROWS_WITH_AS(store.add("w1", {1}, true), doctest::Contains("w1"), CheckError);
  store.allocate(context, ParameterStore::State::Gradients);
  CHECK_THROWS_AS(store.add("late", {1}, true), CheckError);
  const Tensor x(context, {2, 5, 5, 3}), wrong(context, {2, 5, 5, 2}), small(context, {2, 2, 5, 3});
  const Tensor one(context, {1, 1, 1, 4});
  const RealTensor f(context, {2, 5});
  CHECK_THROWS_WITH_AS(conv2d(context, wrong, conv), doctest::Contains("layer1.conv"), CheckError);
  CHECK_THROWS_WITH_AS(conv2d(context, small, conv), doctest::Contains("smaller than the 3x3 filter"), CheckError);
  CHECK_THROWS_AS(conv_bn_act(context, x, conv, norm, Mode::Train, true, x), CheckError);
  context.set_recording(false);
  CHECK_THROWS_AS(conv_bn_act(context, x, conv, norm, Mode::Eval, true, x), CheckError);
  CHECK_THROWS_WITH_AS(batch_norm_2d(context, x, other, Mode::Train), doctest::Contains("layer1.other"), CheckError);
  CHECK_THROWS_WITH_AS(batch_norm_2d(context, one, norm, Mode::Train), doctest::Contains("more than one value"),
                       CheckError);
  CHECK_THROWS_AS(batch_norm_1d(context, f, norm, Mode::Eval), CheckError);
  CHECK_THROWS_AS(linear(context, f, w1), CheckError);
  CHECK_THROWS_AS(modality_alleviation(context, x, w1, w2), CheckError);
  CHECK_THROWS_AS(max_pool(context, one, 3, 2, 0), CheckError);
  CHECK_THROWS_WITH_AS(pattern_alignment(context, store, x, maps, bias), doctest::Contains("maps: expected x"),
                       CheckError);
}

// Training steps of a tiny network in a given context.
class Steps {
 public:
  explicit Steps(Context& context) : context_(context), net_(store_, config()), rates_(context, sizeof(StepRates)) {
    store_.allocate(context, ParameterStore::State::Adam);
    if (!context.planning()) fill(context, store_);
  }

  // Losses, then every gradient.
  std::vector<real> run(uint32_t index) {
    const ModelConfig c = config();
    store_.begin_step();
    std::vector<real> numbers;
    {
      const Tensor images(context_, {4, c.height, c.width, 3});
      images.from_host(normals(images.count(), index));
      const LabelTensor labels(context_, {4});
      labels.from_host({0, 0, 2, 1});
      const FlagTensor infrared(context_, {4});
      infrared.from_host({1, 0, 1, 0});
      const auto terms = net_.losses(context_, images, labels, infrared, rates_.as<StepRates>());
      const real one = 1;
      context_.to_device(terms.back().second.grad_sink().first, &one, sizeof one);
      context_.tape().backward();
      store_.finish_gradients(context_);
      for (const auto& [name, value] : terms) numbers.push_back(value.to_host()[0]);
    }
    if (context_.planning()) return numbers;
    for (const Parameter& p : store_.list()) {
      if (!p.trainable) continue;
      const std::vector<real> gradient = get(context_, p.gradient, p.count);
      numbers.insert(numbers.end(), gradient.begin(), gradient.end());
    }
    store_.changed(context_);
    return numbers;
  }

 private:
  static ModelConfig config() {
    ModelConfig c;
    c.depth = "tiny";
    c.classes = 3;
    c.height = 40;
    c.width = 24;
    c.triplet = c.center = true;
    return c;
  }
  Context& context_;
  ParameterStore store_;
  MpaNet net_;
  Buffer rates_;
};

TEST_CASE("a training step: planned memory suffices, nothing grows, nothing is read that the step did not write") {
  const auto stream = std::make_shared<StreamHandle>(Backend::cpu);
  Context plan(Backend::cpu, stream, Arena::Mode::Plan);
  Steps planned(plan);
  planned.run(0);
  const size_t peak = plan.arena().peak(), persistent = plan.persistent_bytes();
  CHECK(plan.arena().used() == 0);

  Context loose(Backend::cpu), slab(Backend::cpu, stream, peak);
  Steps in_loose(loose), in_slab(slab);
  for (uint32_t step = 0; step < 5; step++) {
    {  // NaN in every byte that the step may use
      const Scratch<> all(slab, static_cast<int64_t>(peak));
      std::fill_n(all.data(), peak, '\xff');
    }
    const std::vector<real> got = in_slab.run(step), expected = in_loose.run(step);
    CHECK(got == expected);
    CHECK(std::isfinite(got.back()));
    CHECK(slab.arena().peak() == peak);
    CHECK(slab.arena().used() == 0);
    CHECK(slab.persistent_bytes() == persistent);
  }
}

TEST_CASE(
    "between forward and backward a residual block keeps what its norms read, and of their outputs only its own") {
  Context context(Backend::cpu);
  ParameterStore store;
  ResidualBlock block;
  block.body.emplace_back(store, "conv1", "norm1", 64, 32, 1, 1);
  block.body.emplace_back(store, "conv2", "norm2", 32, 48, 3, 1);
  block.body.emplace_back(store, "conv3", "norm3", 48, 128, 1, 1);
  block.downsample.emplace(store, "downsample", "norm4", 64, 128, 1, 1);
  store.allocate(context, ParameterStore::State::Gradients);
  fill(context, store);
  const Tensor x(context, {2, 8, 8, 64}, true);
  x.from_host(normals(x.count(), 0));
  const size_t before = context.arena().used();
  const Tensor y = residual_block(context, x, block, Mode::Train);
  size_t kept = 0;
  const auto keep = [&](size_t bytes) {
    kept += (bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
  };
  for (const size_t channels : {32, 48, 128, 128}) {
    keep(2 * 8 * 8 * channels * sizeof(storage));
    keep(channels * sizeof(real)), keep(channels * sizeof(real));  // mean and variance
  }
  keep(y.count() * sizeof(storage));
  CHECK(context.arena().used() - before == kept);
  context.tape().clear();
}

TEST_CASE("a convolution keeps its copy of the weights for embeddings alone") {
  Context context(Backend::cpu);
  ParameterStore store;
  Conv conv(store, "conv", 16, 32, 3, 1, 1);
  store.allocate(context, ParameterStore::State::Gradients);
  fill(context, store);
  const size_t parameters = context.persistent_bytes();
  const Tensor x(context, {1, 6, 6, 16});
  x.from_host(normals(x.count(), 0));
  const auto run = [&](bool recording) {
    context.set_recording(recording);
    const Tensor y(context, {1, 6, 6, 32});
    conv.forward(context, x, {}, y);
    return y.to_host();
  };
  const std::vector<storage> embedded = run(false);
  CHECK(context.persistent_bytes() >= parameters + 16 * 32 * 9 * sizeof(real));
  CHECK(run(true) == embedded);
  CHECK(context.persistent_bytes() == parameters);
}

}  // namespace
}  // namespace mpanet::PRECISION
