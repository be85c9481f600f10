// Cases: a tiny MPANet from pictures to the total loss, with respect to every trainable parameter.
#include <fmt/format.h>

#include "mpanet/network/mpa_net.h"
#include "tests/ops/op_case.h"

namespace mpanet::PRECISION {
namespace {

// No gradient flows through the teachers' side of the KL (docs/method.md, section 2), so it must be constant in the
// differences too. Teachers of 0 give the same q for every feature, and a rate of 0 keeps them at 0.
void still_teachers(Inputs& in) {
  for (const Parameter& p : in.store().list())
    if (p.name.find("classifier_.") != std::string::npos)
      in.context().zero(p.value, static_cast<size_t>(p.count) * sizeof(real));
}

OpCase network_case(const std::string& name, const ModelConfig& config, const std::vector<int32_t>& labels,
                    const std::vector<uint8_t>& infrared) {
  const int n = static_cast<int>(labels.size());
  const auto make = [=](Inputs& in) -> Call {
    MpaNet& net = in.keep<MpaNet>(in.store(), config);
    in.fill_parameters();
    still_teachers(in);
    const Tensor images = in.activation("images", {n, config.height, config.width, 3}, {}, false);
    const LabelTensor y = in.labels(labels);
    const FlagTensor flags = in.flags(infrared);
    Buffer& rates = in.keep<Buffer>(in.context(), sizeof(StepRates));
    const StepRates no_rate;
    in.context().to_device(rates.as<StepRates>(), &no_rate, sizeof no_rate);
    return [=, &net, &rates, &context = in.context()] {
      return Outputs{{}, {net.losses(context, images, y, flags, rates.as<StepRates>()).back().second}};
    };
  };
  OpCase made{"network", fmt::format("tiny {}x{}x{} {}", n, config.height, config.width, name), make};
  // Larger than for one op: up to fifty ops are between a weight and the loss.
  made.tolerance = 1e-6;
  made.samples = 3;
  made.intermediate_roundings = 40;
  made.tolerance_factor = 200;
  // In 16 bits: the attention's two products and a classifier, forward and backward.
  made.operand_roundings = made.computed_operands = kTf32Convolutions ? 40 : 6;
  return made;
}

ModelConfig tiny(int height, int width) {
  ModelConfig config;
  config.depth = "tiny";
  config.classes = 5;
  config.height = height;
  config.width = width;
  return config;
}

Cases checks() {
  Cases cases;
  ModelConfig all = tiny(37, 19);
  all.triplet = all.center = true;
  all.margin = 9;  // distances of random features are large; with this margin the hinges are active
  cases.push_back(network_case("every term", all, {4, 4, 4, 0, 0, 2}, {1, 0, 1, 0, 1, 0}));
  ModelConfig plain = tiny(32, 16);
  plain.parts = plain.mam = 0;
  plain.mutual = false;
  cases.push_back(network_case("no module, no mutual learning", plain, {1, 1, 3, 3}, {1, 0, 1, 0}));
  ModelConfig middle = tiny(48, 33);
  middle.parts = 2;
  middle.mam = 1;
  middle.drop_last_stride = false;
  cases.push_back(network_case("2 parts, one module, kept stride", middle, {0, 0, 1, 1}, {0, 1, 1, 1}));
  ModelConfig modalities = tiny(32, 16);
  modalities.mam = 0;
  modalities.center_cluster = modalities.classification = false;
  cases.push_back(network_case("no center cluster, no classification", modalities, {1, 1, 3, 3}, {1, 0, 1, 0}));
  return cases;
}

// bench-step times the whole network.
Cases benchmarks(const NetworkSizes&) { return {}; }

const OpRegistration registration("network", checks, benchmarks);

}  // namespace

}  // namespace mpanet::PRECISION
