#include "mpanet/network/network.h"

#include <algorithm>

namespace mpanet::PRECISION {
namespace {

ParameterStore::State state_of(const EngineConfig& config) {
  if (config.train_batch == 0) return ParameterStore::State::None;
  return config.optimizer.kind == OptimizerConfig::Kind::Adam ? ParameterStore::State::Adam
                                                              : ParameterStore::State::Momentum;
}

size_t picture_values(const ModelConfig& model) { return size_t{3} * model.height * model.width; }

// The pictures in the network's buffer as the first activations.
Tensor cast_pictures(Context& context, const Network& network, const ModelConfig& model, int count) {
  const Tensor x(context, {count, model.height, model.width, 3});
  RUN_ON(context, cast_images(context.stream(), network.images.as<float>(), x.data(), x.count()));
  return x;
}

}  // namespace

Network::Network(Context& context, const EngineConfig& config)
    : net(store, config.model),
      state(context, sizeof(StepState)),
      images(context, static_cast<size_t>(std::max(config.train_batch, config.embed_batch)) *
                          picture_values(config.model) * sizeof(float)) {
  store.allocate(context, state_of(config));
  if (config.train_batch == 0) return;
  labels = Buffer(context, static_cast<size_t>(config.train_batch) * sizeof(int32_t));
  infrared = Buffer(context, static_cast<size_t>(config.train_batch));
  terms = Buffer(context, kMostTerms * sizeof(real));
  finite = Buffer(context, sizeof(int32_t));
}

void send_images(Context& context, Network& network, int count, const std::vector<float>& images, int given) {
  const size_t each = images.size() / static_cast<size_t>(given), bytes = images.size() * sizeof(float);
  float* to = network.images.as<float>();
  context.to_device(to, images.data(), bytes);
  if (given < count) context.zero(to + images.size(), static_cast<size_t>(count - given) * each * sizeof(float));
}

std::vector<std::string> run_training(Context& context, Network& network, const EngineConfig& config,
                                      double loss_scale) {
  const int n = config.train_batch;
  context.set_recording(true);
  network.store.begin_step();
  std::vector<std::string> names;
  {
    const LabelTensor labels = LabelTensor::at(context, {n}, network.labels.as<int32_t>());
    const FlagTensor infrared = FlagTensor::at(context, {n}, network.infrared.as<uint8_t>());
    const MpaNet::NamedTerms terms = network.net.losses(context, cast_pictures(context, network, config.model, n),
                                                        labels, infrared, network.state.as<StepState>());
    const auto [gradient, write] = terms.back().second.grad_sink();
    RUN_ON(context, set_value(context.stream(), gradient, 1, static_cast<real>(loss_scale)));
    context.tape().backward();
    network.store.finish_gradients(context);
    if (kScalesLoss) network.store.unscale_gradients(context, loss_scale, network.finite.as<int32_t>());
    CHECK(terms.size() <= Network::kMostTerms, "expected at most {} loss terms, got {}", Network::kMostTerms,
          terms.size());
    for (const auto& [name, value] : terms) {
      real* to = network.terms.as<real>() + names.size();
      RUN_ON(context, accumulate(context.stream(), value.data(), to, 1, Write::Set));
      names.push_back(name);
    }
  }
  network.store.changed(context);  // the running statistics and the teachers moved
  return names;
}

RealTensor run_embedding(Context& context, Network& network, const EngineConfig& config) {
  context.set_recording(false);
  return network.net.embed(context, cast_pictures(context, network, config.model, config.embed_batch));
}

}  // namespace mpanet::PRECISION
