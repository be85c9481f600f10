// The network with its memory, a training step and an embedding. The inputs of a step lie at fixed addresses, the
// buffers of Network, and neither shapes nor launches depend on their values. So a step can be recorded and replayed.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/upload.h"
#include "mpanet/network/engine.h"
#include "mpanet/network/mpa_net.h"

namespace mpanet::PRECISION {

// Loss scaling keeps small gradients representable. float16's smallest positive number is 6e-8. The constants are those
// of torch.amp.GradScaler.
constexpr bool kScalesLoss = std::is_same_v<storage, float16>;
constexpr double kFirstLossScale = kScalesLoss ? 65536 : 1;
constexpr LossScaling kLossScaling =
    kScalesLoss ? LossScaling{.largest = 1 << 24, .steady_steps = 2000} : LossScaling{};

struct Network {
  // Adds all parameters and allocates all buffers. A planning context only counts the bytes.
  Network(Context& context, const EngineConfig& config);
  ParameterStore store;
  MpaNet net;
  // Pictures (batch, height, width, 3), where batch is the larger of train_batch and embed_batch.
  std::unique_ptr<Upload> upload;  // from the loader: float or, with EngineConfig::pictures, bytes; null: nothing comes
  Buffer held;                     // bytes: the set of held_pictures
  Buffer values;                   // storage (3, kPictureCodes): what bytes become
  Buffer pictures;                 // storage: the network's input
  // What the host sends for a step: StepRates, the labels and the modalities' flags, and the cuts of bytes.
  Buffer input;
  Buffer record;  // what the host reads after a step: StepState, then the loss terms

  static constexpr int kMostTerms = 16;
  StepRates* rates() const { return input.as<StepRates>(); }
  int32_t* labels() const { return part<int32_t>(input, sizeof(StepRates)); }  // (train_batch)
  uint8_t* infrared(int train_batch) const {
    return part<uint8_t>(input, sizeof(StepRates) + static_cast<size_t>(train_batch) * sizeof(int32_t));
  }
  PictureCut* cuts(int train_batch) const { return part<PictureCut>(input, cuts_offset(train_batch)); }  // (batch)
  static size_t cuts_offset(int train_batch) {
    constexpr size_t kAlignment = 16;
    const size_t end = sizeof(StepRates) + static_cast<size_t>(train_batch) * (sizeof(int32_t) + 1);
    return (end + kAlignment - 1) / kAlignment * kAlignment;
  }
  StepState* state() const { return record.as<StepState>(); }
  real* terms() const { return part<real>(record, sizeof(StepState)); }  // (kMostTerms)

 private:
  void set_values(Context& context, const std::vector<float>& table);
  // A planning context has no memory to add an offset to.
  template <class T>
  static T* part(const Buffer& buffer, size_t offset) {
    char* const memory = buffer.as<char>();
    return memory == nullptr ? nullptr : reinterpret_cast<T*>(memory + offset);
  }
};

// Sends rates, and labels, flags and cuts of train_batch pictures in one copy, in the stream's order: a step that the
// device still computes reads its own. The arguments may change when this returns. PictureForm::Floats: no cuts.
void send_input(Context& context, Network& network, const StepRates& rates, const std::vector<int32_t>& labels,
                const std::vector<uint8_t>& infrared, const std::vector<PictureCut>& cuts);

// Starts copying a batch's pictures to the device. The copy overlaps the work that the device does now.
void upload_images(Context& context, Network& network, const Batch& batch);
// network.pictures = the first `given` pictures of the last upload_images(), then zeros up to `count` pictures. The
// pictures have the form of that batch, and their cuts were sent.
void take_images(Context& context, Network& network, const EngineConfig& config, PictureForm form, int count,
                 int given);

// Forward, losses and backward of the batch in the network's buffers. The store holds the gradients afterwards,
// multiplied by state()->gradient_scale; terms() holds the loss terms. Returns the terms' names, the total last.
std::vector<std::string> run_training(Context& context, Network& network, const EngineConfig& config);
// The optimiser's update by the store's gradients, which also sets the state for the next step. f16: nothing but the
// loss scale changes if a gradient is not finite.
void run_update(Context& context, Network& network, const OptimizerConfig& config);

// Embeddings (embed_batch, D) of network.pictures, with their pattern maps. It always computes the full batch, so that
// a picture's embedding does not depend on the number of pictures.
MpaNet::Features run_embedding(Context& context, Network& network, const EngineConfig& config);

}  // namespace mpanet::PRECISION
