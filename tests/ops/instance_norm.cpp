// Instance norm and the modality alleviation module.
#include <fmt/format.h>

#include "layers/layers.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

// Bytes: forward, the statistics and the norm each read x. Backward, the sums over a channel read dy and x, and again
// for dx.
OpCase instance_norm_case(const Shape& shape) {
  const auto make = [=](Inputs& in) -> Call {
    const Tensor x = in.activation("x", shape, Draw::normal(2, 0.5));
    return [=, &context = in.context()] { return Outputs{{instance_norm(context, x)}, {}}; };
  };
  const double pass = kStorageBytes * static_cast<double>(shape.count());
  return {"instance_norm", text(shape), make, {3 * pass}, {5 * pass}};
}

OpCase modality_alleviation_case(const Shape& shape, int hidden) {
  const auto make = [=](Inputs& in) -> Call {
    const int64_t c = shape[3];
    Parameter& w1 = in.store().add("w1", {hidden, c, 1, 1}, true);
    Parameter& w2 = in.store().add("w2", {c, hidden, 1, 1}, true);
    in.fill_parameters();
    const Tensor x = in.activation("x", shape, Draw::normal(2, 0.5));
    return [=, &w1, &w2, &context = in.context()] { return Outputs{{modality_alleviation(context, x, w1, w2)}, {}}; };
  };
  const double pass = kStorageBytes * static_cast<double>(shape.count());
  const double weights = kRealBytes * 2 * static_cast<double>(hidden * shape[3]);
  OpCase made{"modality_alleviation",
              fmt::format("{} hidden {}", text(shape), hidden),
              make,
              {3 * pass + weights},
              {5 * pass + 2 * weights}};
  // The gradient of a single pixel's norm is 0: a rounded difference times 1 / sqrt(eps) = 316.
  if (shape[1] * shape[2] == 1) made.tolerance_factor = 16;
  return with_products(made, 4, 4);  // all operands are computed: means, hidden values and their gradients
}

Cases checks() {
  Cases cases;
  for (const Shape& shape : {Shape{1, 3, 1, 1}, Shape{2, 3, 5, 7}, Shape{3, 7, 2, 67}, Shape{2, 2, 2, 130}})
    cases.push_back(instance_norm_case(shape));
  cases.push_back(modality_alleviation_case({2, 3, 5, 7}, 3));
  cases.push_back(modality_alleviation_case({1, 2, 2, 67}, 5));
  cases.push_back(modality_alleviation_case({3, 5, 1, 16}, 2));
  cases.push_back(modality_alleviation_case({5, 1, 1, 32}, 2));
  cases.push_back(wide(instance_norm_case({2, 6, 3, 64})));
  cases.push_back(wide(instance_norm_case({1, 3, 2, 2048})));
  cases.push_back(wide(modality_alleviation_case({2, 4, 3, 64}, 4)));
  cases.push_back(wide(modality_alleviation_case({1, 3, 2, 2048}, 16)));
  // Enough rows for loops over several rows at once, and more pixels than are staged at a time.
  for (const int c : {64, 67}) {
    cases.push_back(wide(instance_norm_case({1, 25, 17, c})));
    cases.push_back(wide(modality_alleviation_case({1, 25, 17, c}, 5)));
  }
  return cases;
}

// The sizes after layer3 and layer4.
Cases benchmarks(const NetworkSizes& z) {
  Cases cases;
  for (const int c : {z.channels(1024), z.channels(2048)}) {
    const Shape shape{z.batch, z.height / 16, z.width / 16, c};
    cases.push_back(instance_norm_case(shape));
    cases.push_back(modality_alleviation_case(shape, c < 64 ? c : c / 16));
  }
  return cases;
}

const OpRegistration registration("instance_norm", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
