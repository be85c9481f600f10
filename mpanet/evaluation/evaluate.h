// Computes the embeddings that a plan needs with a network, for mpanet-eval and for the trainer between epochs.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/loading/loader.h"
#include "mpanet/evaluation/scores.h"
#include "mpanet/evaluation/similarity.h"
#include "mpanet/network/engine.h"

namespace mpanet {

struct EmbedOptions {
  int height = 384, width = 128;      // of the pictures that the network takes
  int batch = 64;                     // pictures at a time, at most the engine's embed_batch
  int threads = 2;                    // that decode and resize
  bool flip = false;                  // the mean of the embeddings of a picture and of its mirror image
  std::shared_ptr<ImageCache> cache;  // optional
  std::shared_ptr<const Pack> pack;   // optional
  // As the engine takes batches to embed: Floats, or Bytes in this memory (EnginePictures).
  PictureForm form = PictureForm::Floats;
  std::function<std::shared_ptr<uint8_t>(size_t)> allocate;
  bool on_host = true;                // false: embeddings that stay on a GPU are not copied to the host
  std::function<void()> after_batch;  // optional; an exception from it ends the embedding (the trainer's Ctrl-C)
};

// Has an engine that embeds take pictures as bytes, of which a GPU makes the network's input itself; the cpu's takes
// floats.
void take_bytes(EngineConfig& config);

// Sets form and memory for an engine, which must outlive the options.
void send_pictures_to(EnginePictures& engine, EmbedOptions& options);

// The loader of pictures that are to be embedded.
LoaderConfig loader_config_of(const EmbedOptions& options);

// Embeds the batch into rows (batch.count, feature_size()). `flip` as above; it leaves the mirror images in the batch.
// UserError for numbers that are not finite, with name_of(i) of the picture.
void embed_batch(EngineEmbed& engine, Batch& batch, bool flip, float* rows,
                 const std::function<std::string(size_t)>& name_of);

// Embeds the images, pictures below `root`, showing progress; one row per image. Those of a GPU stay there, and batches
// follow each other without waiting for it. UserError for a picture that cannot be
// read, for a network that gives numbers that are not finite, and for one that gives every picture the same embedding,
// bit for bit: numbers that overflow inside it end in ReLU, which makes zeros of NaN.
Embeddings embed_images(EngineEmbed& engine, const std::vector<ImageRecord>& images, const std::string& root,
                        const EmbedOptions& options);

// The rows of `wanted`, in its order, out of those of `images`, which hold all of them.
Embeddings embeddings_of(const std::vector<ImageRecord>& wanted, const std::vector<ImageRecord>& images,
                         const Embeddings& embeddings);
// The plan's rows, queries and then gallery.
Embeddings embeddings_of(const EvaluationPlan& plan, const std::vector<ImageRecord>& images,
                         const Embeddings& embeddings);

// The results of each plan, whose images are among `images`, by plan and setting; ranked on `device` (ranking.h).
std::vector<std::vector<SettingResult>> rank_plans(const std::vector<EvaluationPlan>& plans,
                                                   const std::vector<ImageRecord>& images, const Embeddings& embeddings,
                                                   Device device = Backend::cpu);

// Embeddings without any knowledge: `count` rows of standard normal numbers by seed. Their results are chance.
Embeddings chance_embeddings(size_t count, uint64_t seed);

}  // namespace mpanet
