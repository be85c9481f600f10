// From a network to a table of results; what mpanet-eval does and the trainer does between epochs.
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
  int height = 384, width = 128;      // of the pictures that the network takes
  int batch = 64;                     // pictures at a time, at most the engine's embed_batch
  int threads = 2;                    // that decode and resize
  std::shared_ptr<ImageCache> cache;  // optional
  std::function<void()> after_batch;  // optional; what it throws ends the embedding (the trainer's Ctrl-C)
};

// Embeds the plan's images, pictures below `root`, showing progress. UserError for a picture that cannot be read and
// for a network that gives numbers that are not finite.
Embeddings embed_images(EngineEmbed& engine, const EvaluationPlan& plan, const std::string& root,
                        const EmbedOptions& options);

// Embeddings without any knowledge: standard normal numbers by seed. Their results are chance.
Embeddings chance_embeddings(const EvaluationPlan& plan, uint64_t seed);

// The table, with counts, direction, distance and feature named; a line per trial too if wanted. `feature` says what
// was compared: "BN neck output of best.safetensors".
std::string results_table(const EvaluationPlan& plan, const std::vector<SettingResult>& results,
                          const std::string& feature, bool per_trial);

// {"protocol", "direction", "distance", "feature", "trials", "results": [{"mode", "shots", "rank1", "rank5", "rank10",
// "rank20", "mAP", "mINP", "queries", "gallery", "queries_without_match", "trials", "per_trial": {"rank1": [...]}}]};
// percent; null where no query has a match.
nlohmann::ordered_json results_json(const EvaluationPlan& plan, const std::vector<SettingResult>& results,
                                    const std::string& feature);

// Rank-1 or another metric of a setting, NaN when the results do not have it: metric(results, "all", "single", "mAP").
double metric(const std::vector<SettingResult>& results, const std::string& mode, const std::string& shots,
              const std::string& key);

}  // namespace mpanet
