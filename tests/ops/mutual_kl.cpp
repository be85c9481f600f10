#include "losses/losses.h"
#include "tests/ops/loss_inputs.h"

namespace mpanet::PRECISION {
namespace {

OpCase mutual_kl_case(int k, const std::vector<uint8_t>& infrared) {
  const int n = static_cast<int>(infrared.size());
  const auto make = [=](Inputs& in) -> Call {
    const Draw how = Draw::normal(2);
    const Logits live_v = in.logits("live visible", n, k, how), live_i = in.logits("live infrared", n, k, how);
    const Logits teacher_v = in.logits("", n, k, how, false), teacher_i = in.logits("", n, k, how, false);
    const FlagTensor flags = in.flags(infrared);
    return [=, &context = in.context()] {
      return Outputs{{}, {mutual_kl(context, live_v, live_i, teacher_v, teacher_i, flags)}};
    };
  };
  // A row reads its own modality's live logits and the other's teacher; the gradients of both classifiers are written.
  const double logits = kRealBytes * n * k;
  OpCase made{"mutual_kl", fmt::format("{}x{} infrared {}", n, k, joined(infrared)), make, {2 * logits}, {4 * logits}};
  made.tolerance_factor = 16;  // p (log p - log q - KL): the last factor may cancel
  return made;
}

Cases checks() {
  std::vector<uint8_t> many;
  for (int i = 0; i < 300; i++) many.push_back(i % 3 == 1);
  return {mutual_kl_case(2, {0, 1}), mutual_kl_case(7, {1, 0, 1, 1, 0}), mutual_kl_case(67, {1, 0, 0}),
          wide(mutual_kl_case(395, {1, 0, 1, 1})), wide(mutual_kl_case(3, many))};
}

Cases benchmarks(const NetworkSizes& z) { return {mutual_kl_case(z.identities(), z.infrared())}; }

const OpRegistration registration("mutual_kl", checks, benchmarks);

}  // namespace
}  // namespace mpanet::PRECISION
