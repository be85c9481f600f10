// Casts. Other ops use them; they have no backward pass.
#include <fmt/format.h>

#include "kernels/kernels.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

OpCase cast_to_storage_case(int64_t count) {
  const auto make = [=](Inputs& in) -> Call {
    const RealTensor from = in.values("", {count}, {}, false);
    return [=, &context = in.context()] {
      const Tensor to(context, {count});
      RUN_ON(context, cast_to_storage(context.stream(), from.data(), to.data(), count));
      return Outputs{{to}, {}};
    };
  };
  return without_backward(
      {"cast_to_storage", std::to_string(count), make, {(kRealBytes + kStorageBytes) * static_cast<double>(count)}});
}

// Pictures are floats in every precision.
OpCase cast_images_case(const Shape& shape) {
  const int64_t count = shape.count();
  const auto make = [=](Inputs& in) -> Call {
    const RealTensor drawn = in.values("", shape, {}, false);
    const auto pixels = std::make_shared<TensorOf<float>>(in.context(), shape);
    const std::vector<real> values = drawn.to_host();
    pixels->from_host({values.begin(), values.end()});
    return [=, &context = in.context()] {
      const Tensor to(context, shape);
      RUN_ON(context, cast_images(context.stream(), pixels->data(), to.data(), count));
      return Outputs{{to}, {}};
    };
  };
  return without_backward(
      {"cast_images", text(shape), make, {(sizeof(float) + kStorageBytes) * static_cast<double>(count)}});
}

Cases checks() {
  Cases cases;
  for (const int64_t count : {1, 3, 67, 1003, 5000}) cases.push_back(cast_to_storage_case(count));
  for (const Shape& shape : {Shape{1, 1, 1, 3}, Shape{2, 7, 5, 3}, Shape{1, 32, 16, 3}})
    cases.push_back(cast_images_case(shape));
  return cases;
}

Cases benchmarks(const NetworkSizes& z) {
  return {cast_to_storage_case(z.parameters()), cast_images_case({z.batch, z.height, z.width, 3})};
}

const OpRegistration registration("elementwise", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
