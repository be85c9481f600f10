#include "mpanet/network/network.h"

#include <algorithm>

namespace mpanet::PRECISION {
namespace {

ParameterStore::State state_of(const EngineConfig& config) {
  if (config.train_batch == 0) return ParameterStore::State::None;
  return config.optimizer.kind == OptimizerConfig::Kind::Adam ? ParameterStore::State::Adam
                                                              : ParameterStore::State::Momentum;
}

int64_t picture_values(const ModelConfig& model) { return int64_t{3} * model.height * model.width; }

Tensor pictures_of(Context& context, const Network& network, const ModelConfig& model, int count) {
  return Tensor::at(context, {count, model.height, model.width, 3}, network.pictures.as<storage>());
}

}  // namespace

Network::Network(Context& context, const EngineConfig& config)
    : net(store, config.model), state(context, sizeof(StepState)) {
  const auto values = static_cast<size_t>(std::max(config.train_batch, config.embed_batch)) *
                      static_cast<size_t>(picture_values(config.model));
  if (context.backend() == Backend::cuda && !context.planning())
    upload = std::make_unique<Upload>(context, values * sizeof(float));
  else
    images = Buffer(context, values * sizeof(float));
  pictures = Buffer(context, values * sizeof(storage));
  store.allocate(context, state_of(config));
  if (config.train_batch == 0) return;
  labels = Buffer(context, static_cast<size_t>(config.train_batch) * sizeof(int32_t));
  infrared = Buffer(context, static_cast<size_t>(config.train_batch));
  terms = Buffer(context, kMostTerms * sizeof(real));
  finite = Buffer(context, sizeof(int32_t));
}

void upload_images(Context& context, Network& network, const std::vector<float>& images) {
  if (network.upload == nullptr)
    return context.to_device(network.images.as<float>(), images.data(), images.size() * sizeof(float));
  std::copy(images.begin(), images.end(), static_cast<float*>(network.upload->host()));
  network.upload->start();
}

void take_images(Context& context, Network& network, const ModelConfig& model, int count, int given) {
  const int64_t values = picture_values(model) * given, all = picture_values(model) * count;
  storage* to = network.pictures.as<storage>();
  const float* from = network.upload ? static_cast<const float*>(network.upload->device()) : network.images.as<float>();
  RUN_ON(context, cast_images(context.stream(), from, to, values));
  if (network.upload) network.upload->done();
  if (given < count) context.zero(to + values, static_cast<size_t>(all - values) * sizeof(storage));
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
    const MpaNet::NamedTerms terms = network.net.losses(context, pictures_of(context, network, config.model, n), labels,
                                                        infrared, network.state.as<StepState>());
    const auto [gradient, write] = terms.back().second.grad_sink();
    RUN_ON(context, set_value(context.stream(), gradient, 1, static_cast<real>(loss_scale)));
    context.tape().backward();
    network.store.finish_gradients(context);
    if (kScalesLoss) network.store.unscale_gradients(context, loss_scale, network.finite.as<int32_t>());
    MPANET_CHECK(terms.size() <= Network::kMostTerms, "expected at most {} loss terms, got {}", Network::kMostTerms,
                 terms.size());
    for (const auto& [name, value] : terms) {
      real* to = network.terms.as<real>() + names.size();
      RUN_ON(context, accumulate(context.stream(), value.data(), to, 1, Write::Set));
      names.push_back(name);
    }
  }
  network.store.changed(context);  // running statistics and teachers have new values
  return names;
}

RealTensor run_embedding(Context& context, Network& network, const EngineConfig& config) {
  context.set_recording(false);
  return network.net.embed(context, pictures_of(context, network, config.model, config.embed_batch));
}

}  // namespace mpanet::PRECISION
