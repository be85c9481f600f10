// From a network to a table of results. mpanet-eval and the trainer (between epochs) use it.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "data/loading/loader.h"
#include "mpanet/evaluation/ranking.h"
#include "mpanet/network/engine.h"

namespace mpanet {

struct EmbedOptions {
  int height = 384, width = 128;      // pixels: the network's input size
  int batch = 64;                     // pictures per batch, 1..the engine's embed_batch
  int threads = 2;                    // threads that decode and resize
  std::shared_ptr<ImageCache> cache;  // optional
  std::function<void()> after_batch;  // optional; an exception from it ends the embedding (the trainer's Ctrl-C)
};

// Embeds the plan's images, whose paths are relative to `root`, and shows progress. UserError for a picture that cannot
// be read and for an embedding that is not finite.
Embeddings embed_images(EngineEmbed& engine, const EvaluationPlan& plan, const std::string& root,
                        const EmbedOptions& options);

// Standard normal random numbers instead of embeddings. Their results are the chance level.
Embeddings chance_embeddings(const EvaluationPlan& plan, uint64_t seed);

// The table as text. It names counts, direction, distance and `feature`, such as "BN neck output of best.safetensors";
// `per_trial` adds a line for each trial.
std::string results_table(const EvaluationPlan& plan, const std::vector<SettingResult>& results,
                          const std::string& feature, bool per_trial);

// {"protocol", "direction", "distance", "feature", "trials", "results": [{"mode", "shots", "rank1", "rank5", "rank10",
// "rank20", "mAP", "mINP", "queries", "gallery", "queries_without_match", "trials", "per_trial": {"rank1": [...]}}]}.
// Metrics are in percent, and null when no query has a match.
nlohmann::ordered_json results_json(const EvaluationPlan& plan, const std::vector<SettingResult>& results,
                                    const std::string& feature);

// One metric of one setting: metric(results, "all", "single", "mAP"). NaN when the results do not have it.
double metric(const std::vector<SettingResult>& results, const std::string& mode, const std::string& shots,
              const std::string& key);

}  // namespace mpanet
