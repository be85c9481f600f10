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

// Pictures that a batch may bring, and bytes of one.
size_t pictures_sent(const EngineConfig& config) {
  const int training = config.pictures == PictureForm::Held ? 0 : config.train_batch;
  return static_cast<size_t>(std::max(training, config.embed_batch));
}

size_t picture_bytes(const EngineConfig& config) {
  return static_cast<size_t>(picture_values(config.model)) *
         (config.pictures == PictureForm::Floats ? sizeof(float) : 1);
}

Tensor pictures_of(Context& context, const Network& network, const ModelConfig& model, int count) {
  return Tensor::at(context, {count, model.height, model.width, 3}, network.pictures.as<storage>());
}

}  // namespace

Network::Network(Context& context, const EngineConfig& config)
    : net(store, config.model), record(context, sizeof(StepState) + kMostTerms * sizeof(real)) {
  const auto batch = static_cast<size_t>(std::max(config.train_batch, config.embed_batch));
  if (const size_t sent = pictures_sent(config); sent > 0)
    upload = std::make_unique<Upload>(context, sent * picture_bytes(config));
  pictures = Buffer(context, batch * static_cast<size_t>(picture_values(config.model)) * sizeof(storage));
  store.allocate(context, state_of(config));
  const bool bytes = config.pictures != PictureForm::Floats;
  if (config.train_batch > 0 || bytes)
    input = Buffer(context, Network::cuts_offset(config.train_batch) + (bytes ? batch * sizeof(PictureCut) : 0));
  if (!bytes) return;
  if (config.held_pictures > 0)
    held = Buffer(context, static_cast<size_t>(config.held_pictures) * picture_bytes(config));
  set_values(context, config.picture_values);
}

// The table is rounded by the kernel that rounds floats' pictures, so that both forms give the same bits.
void Network::set_values(Context& context, const std::vector<float>& table) {
  MPANET_CHECK(table.size() == 3 * kPictureCodes, "expected 3 x {} values, got {}", kPictureCodes, table.size());
  values = Buffer(context, table.size() * sizeof(storage));
  if (context.planning()) return;
  const Buffer from(context, table.size() * sizeof(float));
  context.to_device(from.as<void>(), table.data(), from.bytes());
  RUN_ON(context, cast_images(context.stream(), from.as<float>(), values.as<storage>(), 3 * kPictureCodes));
}

void send_input(Context& context, Network& network, const StepRates& rates, const std::vector<int32_t>& labels,
                const std::vector<uint8_t>& infrared, const std::vector<PictureCut>& cuts) {
  const size_t labels_bytes = labels.size() * sizeof(int32_t), cuts_bytes = cuts.size() * sizeof(PictureCut);
  const size_t cuts_at = Network::cuts_offset(static_cast<int>(labels.size()));
  MPANET_CHECK(infrared.size() == labels.size() && cuts_at + cuts_bytes <= network.input.bytes(),
               "expected {} flags and at most {} bytes, got {} and {}", labels.size(), network.input.bytes(),
               infrared.size(), cuts_at + cuts_bytes);
  std::vector<char> bytes(cuts_at + cuts_bytes);
  char* const to = bytes.data();
  std::memcpy(to, &rates, sizeof rates);
  std::memcpy(to + sizeof rates, labels.data(), labels_bytes);
  std::memcpy(to + sizeof rates + labels_bytes, infrared.data(), infrared.size());
  if (!cuts.empty()) std::memcpy(to + cuts_at, cuts.data(), cuts_bytes);
  context.to_device(network.input.as<char>(), bytes.data(), bytes.size());
}

void upload_images(Context& context, Network& network, const Batch& batch) {
  if (batch.form == PictureForm::Held) return;
  Upload& upload = *network.upload;
  if (batch.form == PictureForm::Bytes)
    return upload.start(batch.pixels, static_cast<size_t>(batch.count) * static_cast<size_t>(batch.height) *
                                          static_cast<size_t>(batch.width) * 3);
  if (context.backend() != Backend::cuda)  // copies immediately
    return upload.start({std::shared_ptr<void>(), batch.images.data()}, batch.images.size() * sizeof(float));
  std::copy(batch.images.begin(), batch.images.end(), static_cast<float*>(upload.host()));
  upload.start();
}

void take_images(Context& context, Network& network, const EngineConfig& config, PictureForm form, int count,
                 int given) {
  const ModelConfig& model = config.model;
  const int64_t values = picture_values(model) * given, all = picture_values(model) * count;
  storage* to = network.pictures.as<storage>();
  const void* from = form == PictureForm::Held ? network.held.as<void>() : network.upload->device();
  if (form == PictureForm::Floats)
    RUN_ON(context, cast_images(context.stream(), static_cast<const float*>(from), to, values));
  else
    RUN_ON(context,
           augment_pictures(context.stream(), static_cast<const uint8_t*>(from), network.cuts(config.train_batch),
                            network.values.as<storage>(), given, model.height, model.width, to));
  if (form != PictureForm::Held) network.upload->done();
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
