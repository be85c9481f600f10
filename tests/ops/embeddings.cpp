// Embeddings that stay on the device: floats in every precision. No backward pass.
#include "kernels/embeddings.h"

#include <fmt/format.h>

#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

constexpr double kFloatBytes = sizeof(float), kDoubleBytes = sizeof(double);

// both: then the mean with the embeddings of the mirrored pictures.
OpCase keep_embeddings_case(int64_t rows, int64_t d, bool both) {
  const auto make = [=](Inputs& in) -> Call {
    const RealTensor first = in.values("", {rows, d}, {}, false), second = in.values("", {rows, d}, {}, false);
    return [=, &context = in.context()] {
      const TensorOf<float> kept(context, {rows, d});
      const Stream stream = context.stream();
      RUN_ON(context, keep_embeddings(stream, first.data(), rows * d, false, kept.data()));
      if (both) RUN_ON(context, keep_embeddings(stream, second.data(), rows * d, true, kept.data()));
      return Outputs{{}, {}, {}, {kept}};
    };
  };
  const double bytes = kRealBytes + kFloatBytes + (both ? kRealBytes + 2 * kFloatBytes : 0);
  return without_backward({"keep_embeddings",
                           fmt::format("{}x{}{}", rows, d, both ? ", mean of two" : ""),
                           make,
                           {bytes * static_cast<double>(rows * d)}});
}

OpCase squared_lengths_case(int64_t rows, int d) {
  const auto make = [=](Inputs& in) -> Call {
    const TensorOf<float> x = in.floats({rows, d});
    return [=, &context = in.context()] {
      const TensorOf<double> squares(context, {rows});
      RUN_ON(context, squared_lengths(context.stream(), x.data(), rows, d, squares.data()));
      return Outputs{{}, {}, {}, {}, {squares}};
    };
  };
  return without_backward({"squared_lengths",
                           fmt::format("{}x{}", rows, d),
                           make,
                           {(kFloatBytes * d + kDoubleBytes) * static_cast<double>(rows)}});
}

// Rows in descending order of their index, each third one twice.
OpCase scale_rows_case(int64_t rows, int d) {
  const auto make = [=](Inputs& in) -> Call {
    std::vector<int32_t> index;
    for (int64_t r = rows - 1; r >= 0; r--) index.push_back(static_cast<int32_t>(r % 3 == 1 ? r - 1 : r));
    const TensorOf<float> x = in.floats({rows, d});
    const LabelTensor chosen = in.labels(index);
    const TensorOf<double> factors = in.doubles({rows}, Draw::unit());
    return [=, &context = in.context()] {
      const RealTensor y(context, {rows, d});
      RUN_ON(context, scale_rows(context.stream(), x.data(), chosen.data(), factors.data(), rows, d, y.data()));
      return Outputs{{}, {y}};
    };
  };
  return without_backward({"scale_rows",
                           fmt::format("{}x{}", rows, d),
                           make,
                           {(kFloatBytes + kRealBytes) * static_cast<double>(rows * d)}});
}

// Rows of whole packs and of single elements, of one step of a block's loop and of more.
Cases checks() {
  Cases cases;
  for (const auto& [rows, d] : {std::pair{1, 1}, {3, 7}, {5, 64}, {67, 30}, {4, 2304}}) {
    cases.push_back(keep_embeddings_case(rows, d, false));
    cases.push_back(keep_embeddings_case(rows, d, true));
    cases.push_back(squared_lengths_case(rows, d));
    cases.push_back(scale_rows_case(rows, d));
  }
  return cases;
}

Cases benchmarks(const NetworkSizes& z) {
  return {keep_embeddings_case(z.batch, z.features(), false), squared_lengths_case(z.queries(), z.features()),
          scale_rows_case(z.queries(), z.features())};
}

const OpRegistration registration("embeddings", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
