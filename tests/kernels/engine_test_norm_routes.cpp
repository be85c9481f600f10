// Batch norms after convolutions by both routes: sums from the convolutions' epilogues, and kernels of their own that
// read the activations again. The convolutions are the same, so that the routes differ by the order of sums alone:
// statistics differ in their last bits, activations where these bits change a rounding to storage, and gradients by
// what follows from that.
#include "kernels/emu/control.h"
#include "layers/layers.h"
#include "layers/residual_block.h"
#include "tests/support/force_plan.h"

namespace mpanet::PRECISION {
namespace {

constexpr bool kDouble = sizeof(real) == 8;

// Two bottlenecks, of which the first has a convolution on the shortcut, between a stem and a ReLU.
struct Blocks {
  ParameterStore store;
  Conv stem;
  BatchNorm stem_norm;
  ResidualBlock first, second;

  explicit Blocks(Context& context) : stem(store, "stem", 3, 16, 3, 1, 1), stem_norm(store, "stem norm", 16) {
    first.body.emplace_back(store, "a1", "an1", 16, 8, 1, 1);
    first.body.emplace_back(store, "a2", "an2", 8, 8, 3, 2);
    first.body.emplace_back(store, "a3", "an3", 8, 72, 1, 1);
    first.downsample.emplace(store, "ad", "and", 16, 72, 1, 2);
    second.body.emplace_back(store, "b1", "bn1", 72, 8, 1, 1);
    second.body.emplace_back(store, "b2", "bn2", 8, 8, 3, 1);
    second.body.emplace_back(store, "b3", "bn3", 8, 72, 1, 1);
    store.allocate(context, ParameterStore::State::Gradients);
    uint32_t index = 100;
    for (const Parameter& p : store.list()) {
      std::vector<real> values =
          normals(p.count, index++, 0, std::sqrt(2.0 * static_cast<double>(p.shape[0]) / static_cast<double>(p.count)));
      if (p.shape.size() == 1)
        for (real& v : values) v = (p.name.ends_with("mean") || p.name.ends_with("bias") ? 0 : 1) + v / 8;
      context.to_device(p.value, values.data(), values.size() * sizeof(real));
    }
    store.changed(context);
  }
};

struct Tensors {
  std::vector<std::string> names;
  std::vector<std::vector<real>> values;
  int64_t launches = 0;
};

std::vector<real> on_host(Context& context, const storage* from, int64_t count) {
  std::vector<storage> stored(static_cast<size_t>(count));
  context.to_host(stored.data(), from, stored.size() * sizeof(storage));
  std::vector<real> values;
  for (const storage v : stored) values.push_back(static_cast<real>(v));
  return values;
}

enum class Reader { None, Between };  // Between: an op between the two blocks reads the first one's output too

// Output, x's gradient and all parameters' after one forward and backward.
Tensors run(Device device, const ForcedPlan& plan, Mode mode, Reader reader) {
  Context context(device, Guards::On);
  const Force force(plan);
  Blocks blocks(context);
  blocks.store.begin_step();
  Tensors result;
  const Tensor x(context, {3, 14, 11, 3}, true);
  {
    std::vector<storage> values;
    for (const real v : rounded(normals(x.count(), 1))) values.push_back(static_cast<storage>(v));
    x.from_host(values);
  }
  const int64_t before = simt::counts().launches;
  {
    const Tensor stem = conv_bn_act(context, x, blocks.stem, blocks.stem_norm, mode, true);
    const Tensor middle = residual_block(context, stem, blocks.first, mode);
    const Tensor other = reader == Reader::Between ? relu(context, middle) : Tensor();
    const Tensor y = residual_block(context, middle, blocks.second, mode);
    result.names.push_back("y");
    result.values.push_back(on_host(context, y.data(), y.count()));
    for (const Tensor& output : {y, other}) {
      if (!output) continue;
      std::vector<storage> gradient;
      for (const real v : rounded(normals(output.count(), 2))) gradient.push_back(static_cast<storage>(v));
      context.to_device(output.grad_sink().first, gradient.data(), gradient.size() * sizeof(storage));
    }
    context.tape().backward();
  }
  result.launches = simt::counts().launches - before;
  result.names.push_back("dx");
  result.values.push_back(on_host(context, x.grad(), x.count()));
  for (const Parameter& p : blocks.store.list()) {
    if (!p.trainable) continue;
    std::vector<real> gradient(static_cast<size_t>(p.count));
    context.to_host(gradient.data(), p.gradient, gradient.size() * sizeof(real));
    result.names.push_back(p.name);
    result.values.push_back(gradient);
  }
  context.synchronize();
  return result;
}

// One convolution of a step reads a weight, then two read another one. Values are integers, so that sums are exact.
struct SharedWeight {
  std::vector<std::vector<real>> gradients;
  int64_t launches = 0;
};
SharedWeight run_shared(Device device, int splits) {
  Context context(device, Guards::On);
  const Force force({.splits = splits});
  ParameterStore store;
  Conv shared(store, "shared", 8, 8, 1, 1, 0), other(store, "other", 8, 8, 1, 1, 0);
  store.allocate(context, ParameterStore::State::Gradients);
  for (const Parameter& p : store.list())
    context.to_device(p.value, integers(p.count, 1, 1).data(), static_cast<size_t>(p.count) * sizeof(real));
  store.changed(context);
  const Tensor x(context, {3, 14, 11, 8}, true);
  std::vector<storage> values;
  for (const real v : integers(x.count(), 2, 1)) values.push_back(static_cast<storage>(v));
  x.from_host(values);
  SharedWeight result;
  for (int step = 0; step < 2; step++) {
    store.begin_step();
    const Tensor y = conv2d(context, conv2d(context, conv2d(context, x, other), shared), shared);
    context.to_device(y.grad_sink().first, values.data(), values.size() * sizeof(storage));
    const int64_t before = simt::counts().launches;
    context.tape().backward();
    result.launches = simt::counts().launches - before;
    for (const Parameter& p : store.list()) {
      std::vector<real>& gradient = result.gradients.emplace_back(static_cast<size_t>(p.count));
      context.to_host(gradient.data(), p.gradient, gradient.size() * sizeof(real));
    }
  }
  return result;
}

TEST_CASE("splits of weight gradients are added at the end, and before another writer adds") {
  const SharedWeight expected = run_shared(Backend::cpu, 0);
  CHECK(expected.gradients[0] != std::vector<real>(64));
  for (const Device device : test_devices())
    for (const int splits : {1, 3}) {
      const SharedWeight got = run_shared(device, splits);
      CHECK(got.gradients == expected.gradients);
      // Three gradients of weights, three of pixels. The backward of the shared weight's first reader adds the other
      // one's splits, then its own; those of the other weight are added at the end.
      if (device == Device(Backend::emu)) CHECK(got.launches == (splits == 1 ? 6 : 9));
    }
}

double distance(const std::vector<real>& a, const std::vector<real>& b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); i++) {
    difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / norm);
}

// A changed rounding moves a number by one unit of storage, 2 u, and seven layers with their gradients pass it on; a
// ReLU may cross its kink. The largest distance seen is 2.6 u. In f64 and f32 nothing is stored in fewer bits, and a
// difference of sums of some hundred terms remains: 4e-15 and 9e-7 were seen.
// saved: launches that the epilogues save, counted under the emulation.
void check_routes(Mode mode, Reader reader, int64_t saved) {
  for (const Device device : test_devices()) {
    if (device == Device(Backend::cpu)) continue;  // has one route
    const Tensors fused = run(device, {.splits = 1}, mode, reader);
    const Tensors separate = run(device, {.splits = 1, .sums = false}, mode, reader);
    if (device == Device(Backend::emu)) CHECK(separate.launches - fused.launches == saved);
    const double tolerance = storage_rounding() > 0 ? 8 * storage_rounding() : kDouble ? 1e-13 : 1e-5;
    REQUIRE(fused.names == separate.names);
    for (size_t i = 0; i < fused.names.size(); i++) {
      const double apart = distance(fused.values[i], separate.values[i]);
      CHECK_MESSAGE(apart <= tolerance, fused.names[i] << ": " << apart << " of the norm, tolerance " << tolerance);
    }
  }
}

// The statistics of 8 convolutions are saved, a merge of those of the first block's two on x, and the gradients' sums
// of each norm whose output is read by a convolution of the same block or of the next op: two in each block, the first
// block's last and the stem's. The last output's gradient comes from elsewhere. Eval mode needs no statistics, but the
// gradients of weight and bias.
TEST_CASE("blocks give the same results with sums from epilogues and from kernels of their own") {
  check_routes(Mode::Train, Reader::None, 9 + 6);
  check_routes(Mode::Eval, Reader::None, 6);
}

// The other reader adds to the gradient after the second block, which therefore must not mask and sum what it has.
TEST_CASE("a tensor that an op between two blocks reads too keeps the separate route") {
  check_routes(Mode::Train, Reader::Between, 9 + 5);
}

}  // namespace
}  // namespace mpanet::PRECISION
