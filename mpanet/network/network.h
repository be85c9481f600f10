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

// Loss scaling keeps small gradients representable. float16's smallest positive number is 6e-8.
constexpr bool kScalesLoss = std::is_same_v<storage, float16>;

struct Network {
  // Adds all parameters and allocates all buffers. A planning context only counts the bytes.
  Network(Context& context, const EngineConfig& config);
  ParameterStore store;
  MpaNet net;
  Buffer state;  // StepState
  // Pictures (batch, height, width, 3), where batch is the larger of train_batch and embed_batch.
  Buffer images;                   // float, from the loader; a CPU only
  std::unique_ptr<Upload> upload;  // float, from the loader; a GPU only
  Buffer pictures;                 // storage: the network's input
  Buffer labels, infrared;         // int32_t, uint8_t (train_batch)
  Buffer terms;                    // real (kMostTerms): the loss terms of the last step
  Buffer finite;                   // int32_t: 1 if all gradients of the last step are finite; with kScalesLoss only

  static constexpr int kMostTerms = 16;
};

// Starts copying pictures to the device. The copy overlaps the work that the device does now.
void upload_images(Context& context, Network& network, const std::vector<float>& images);
// network.pictures = the first `given` pictures of the last upload_images(), then zeros up to `count` pictures.
void take_images(Context& context, Network& network, const ModelConfig& model, int count, int given);

// Forward, losses and backward of the batch in the network's buffers. The store holds the gradients afterwards, with
// loss_scale divided out; network.terms holds the loss terms. Returns the terms' names, the total last.
std::vector<std::string> run_training(Context& context, Network& network, const EngineConfig& config,
                                      double loss_scale);

// Embeddings (embed_batch, D) of network.pictures. It always computes the full batch, so that a picture's embedding
// does not depend on the number of pictures.
RealTensor run_embedding(Context& context, Network& network, const EngineConfig& config);

}  // namespace mpanet::PRECISION
