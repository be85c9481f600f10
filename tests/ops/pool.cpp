// Max pooling and the mean over all pixels.
#include <fmt/format.h>

#include "layers/layers.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

OpCase max_pool_case(const Shape& shape, int size, int stride, int pad) {
  const auto make = [=](Inputs& in) -> Call {
    const Tensor x = in.activation("x", shape, Draw::distinct());
    return [=, &context = in.context()] { return Outputs{{max_pool(context, x, size, stride, pad)}, {}}; };
  };
  const PoolShape s{static_cast<int>(shape[0]),
                    static_cast<int>(shape[1]),
                    static_cast<int>(shape[2]),
                    static_cast<int>(shape[3]),
                    size,
                    stride,
                    pad};
  const OpCost cost{kStorageBytes * static_cast<double>(s.input_count()) +
                    (kStorageBytes + 1) * static_cast<double>(s.output_count())};
  return {"max_pool", fmt::format("{} {}x{} stride {} pad {}", text(shape), size, size, stride, pad), make, cost, cost};
}

OpCase global_mean_case(const Shape& shape) {
  const auto make = [=](Inputs& in) -> Call {
    const Tensor x = in.activation("x", shape);
    return [=, &context = in.context()] { return Outputs{{}, {global_mean(context, x)}}; };
  };
  const OpCost cost{kStorageBytes * static_cast<double>(shape.count()) +
                    kRealBytes * static_cast<double>(shape[0] * shape[3])};
  return {"global_mean", text(shape), make, cost, cost};
}

Cases checks() {
  Cases cases;
  cases.push_back(max_pool_case({2, 7, 5, 3}, 3, 2, 1));
  cases.push_back(max_pool_case({1, 6, 4, 2}, 2, 2, 0));
  cases.push_back(max_pool_case({1, 5, 5, 1}, 3, 1, 1));
  cases.push_back(max_pool_case({3, 1, 2, 67}, 3, 2, 1));
  cases.push_back(max_pool_case({2, 11, 8, 5}, 3, 3, 0));
  cases.push_back(wide(max_pool_case({1, 8, 6, 64}, 3, 2, 1)));
  for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{2, 3, 5, 7}, Shape{3, 7, 1, 67}})
    cases.push_back(global_mean_case(shape));
  cases.push_back(wide(global_mean_case({2, 6, 3, 64})));
  cases.push_back(wide(global_mean_case({1, 3, 2, 2048})));
  // More pixels than are staged at a time, and enough rows for loops over several rows at once.
  for (const int c : {64, 67}) cases.push_back(wide(global_mean_case({1, 25, 17, c})));
  return cases;
}

Cases benchmarks(const NetworkSizes& z) {
  return {max_pool_case({z.batch, z.height / 2, z.width / 2, z.channels(64)}, 3, 2, 1),
          global_mean_case({z.batch, z.height / 16, z.width / 16, z.channels(2048)})};
}

const OpRegistration registration("pool", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
