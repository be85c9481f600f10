#include "losses/losses.h"
#include "tests/ops/loss_inputs.h"

namespace mpanet::PRECISION {
namespace {

// which: -1 for all rows, else the rows of one modality. scale: the logits' standard deviation.
OpCase cross_entropy_case(int n, int k, int which, double scale = 2) {
  const auto make = [=](Inputs& in) -> Call {
    const Logits logits = in.logits("logits", n, k, Draw::normal(scale));
    Labels labels;
    std::vector<uint8_t> infrared;
    for (int i = 0; i < n; i++) {
      labels.push_back((3 * i + 1) % k);
      infrared.push_back(i % 3 == 1);
    }
    const LabelTensor y = in.labels(labels);
    const FlagTensor flags = in.flags(infrared);
    return [=, &context = in.context()] {
      if (which < 0) return Outputs{{}, {cross_entropy(context, logits, y)}};
      return Outputs{{}, {cross_entropy_of(context, logits, y, flags, which)}};
    };
  };
  const char* const rows[] = {"", " visible rows", " infrared rows"};
  const double logits = kRealBytes * n * k;
  return {which < 0 ? "cross_entropy" : "cross_entropy_of",
          fmt::format("{}x{}{}{}", n, k, rows[which + 1], scale > 2 ? " far apart" : ""),
          make,
          {logits},
          {2 * logits}};
}

Cases checks() {
  Cases cases;
  for (const int which : {-1, 0, 1})
    for (const auto& [n, k] : {std::pair{1, 2}, {5, 7}, {4, 67}, {13, 3}})
      if (n > 1 || which < 1) cases.push_back(cross_entropy_case(n, k, which));
  cases.push_back(wide(cross_entropy_case(8, 395, -1)));
  // The exponentials overflow in float unless the largest logit of the whole row is taken out. Their differences are
  // too far apart for slopes.
  OpCase far_apart = wide(cross_entropy_case(8, 395, -1, 1000));
  far_apart.differences = false;
  cases.push_back(far_apart);
  cases.push_back(wide(cross_entropy_case(300, 3, -1)));
  cases.push_back(wide(cross_entropy_case(300, 3, 1)));
  return cases;
}

Cases benchmarks(const NetworkSizes& z) { return {cross_entropy_case(z.samples, z.identities(), -1)}; }

const OpRegistration registration("cross_entropy", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
