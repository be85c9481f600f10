// The network with its memory, and the two things it does: a training step and an embedding. Everything that a step
// reads from outside lies at a fixed place (Inputs), and nothing that it does depends on what stands there: a step can
// be recorded once and repeated.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/upload.h"
#include "mpanet/network/engine.h"
#include "mpanet/network/mpa_net.h"

namespace mpanet::PRECISION {

// Whether gradients need a larger loss to stay representable: float16 ends at 6e-8.
constexpr bool kScalesLoss = std::is_same_v<storage, float16>;

struct Network {
  // Once in a planning context, once for real.
  Network(Context& context, const EngineConfig& config);
  ParameterStore store;
  MpaNet net;
  Buffer state;  // StepState
  // Pictures (batch, height, width, 3), of the larger of the two batches: as they come, and as the first activations.
  Buffer images;                   // float; on a GPU `upload` takes their place
  std::unique_ptr<Upload> upload;  // float
  Buffer pictures;                 // storage
  Buffer labels, infrared;         // int32_t, uint8_t (train_batch)
  Buffer terms;                    // real (kMostTerms): the loss terms of the last step
  Buffer finite;                   // int32_t: whether the last step's gradients are, where kScalesLoss

  static constexpr int kMostTerms = 16;
};

// Sends pictures on their way to the device, beside what it does now.
void upload_images(Context& context, Network& network, const std::vector<float>& images);
// network.pictures = the `given` pictures of the last upload_images(), and zeros behind them up to `count`.
void take_images(Context& context, Network& network, const ModelConfig& model, int count, int given);

// Forward, losses, backward of the batch that lies in the network's buffers: gradients are left in the store, divided
// by loss_scale again, the loss terms in network.terms. Returns their names, the total last.
std::vector<std::string> run_training(Context& context, Network& network, const EngineConfig& config,
                                      double loss_scale);

// The embeddings of network.pictures. Always of the full batch, so that a picture's numbers do not depend
// on its neighbours' count.
RealTensor run_embedding(Context& context, Network& network, const EngineConfig& config);

}  // namespace mpanet::PRECISION
