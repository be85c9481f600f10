#include "mpanet/network/network.h"

#include <algorithm>
#include <cstring>

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
    : net(store, config.model), record(context, sizeof(StepState) + kMostTerms * sizeof(real)) {
  const auto values = static_cast<size_t>(std::max(config.train_batch, config.embed_batch)) *
                      static_cast<size_t>(picture_values(config.model));
  if (context.backend() == Backend::cuda && !context.planning())
    upload = std::make_unique<Upload>(context, values * sizeof(float));
  else
    images = Buffer(context, values * sizeof(float));
  pictures = Buffer(context, values * sizeof(storage));
  store.allocate(context, state_of(config));
  if (config.train_batch == 0) return;
  input = Buffer(context, sizeof(StepRates) + static_cast<size_t>(config.train_batch) * (sizeof(int32_t) + 1));
}

void send_input(Context& context, Network& network, const StepRates& rates, const std::vector<int32_t>& labels,
                const std::vector<uint8_t>& infrared) {
  std::vector<char> bytes(network.input.bytes());
  const size_t labels_bytes = labels.size() * sizeof(int32_t);
  MPANET_CHECK(bytes.size() == sizeof rates + labels_bytes + infrared.size(), "expected {} bytes of input, got {}",
               bytes.size(), sizeof rates + labels_bytes + infrared.size());
  char* const to = bytes.data();
  std::memcpy(to, &rates, sizeof rates);
  std::memcpy(to + sizeof rates, labels.data(), labels_bytes);
  std::memcpy(to + sizeof rates + labels_bytes, infrared.data(), infrared.size());
  context.to_device(network.input.as<char>(), bytes.data(), bytes.size());
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

std::vector<std::string> run_training(Context& context, Network& network, const EngineConfig& config) {
  const int n = config.train_batch;
  context.set_recording(true);
  network.store.begin_step();
  std::vector<std::string> names;
  {
    const LabelTensor labels = LabelTensor::at(context, {n}, network.labels());
    const FlagTensor infrared = FlagTensor::at(context, {n}, network.infrared(n));
    const MpaNet::NamedTerms terms = network.net.losses(context, pictures_of(context, network, config.model, n), labels,
                                                        infrared, network.rates(), network.terms());
    const auto [gradient, write] = terms.back().second.grad_sink();
    RUN_ON(context, begin_backward(context.stream(), network.state(), gradient));
    context.tape().backward();
    network.store.finish_gradients(context);
    MPANET_CHECK(terms.size() <= Network::kMostTerms, "expected at most {} loss terms, got {}", Network::kMostTerms,
                 terms.size());
    for (const auto& term : terms) names.push_back(term.first);
  }
  network.store.moved();  // running statistics and teachers have new values
  return names;
}

void run_update(Context& context, Network& network, const OptimizerConfig& config) {
  StepState* const state = network.state();
  if (kScalesLoss) network.store.check_gradients(context, &state->finite);
  RUN_ON(context, begin_update(context.stream(), state, kLossScaling));
  if (config.kind == OptimizerConfig::Kind::Adam)
    network.store.adam(context, network.rates(), state, {config.beta1, config.beta2, config.eps, config.weight_decay});
  else
    network.store.sgd(context, network.rates(), state, {config.momentum, config.weight_decay});
}

MpaNet::Features run_embedding(Context& context, Network& network, const EngineConfig& config) {
  context.set_recording(false);
  return network.net.embed(context, pictures_of(context, network, config.model, config.embed_batch));
}

}  // namespace mpanet::PRECISION
