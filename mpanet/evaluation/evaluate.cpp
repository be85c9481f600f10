#include "mpanet/evaluation/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/random.h"
#include "core/base/text.h"

namespace mpanet {
namespace {

constexpr const char* kDistance = "squared Euclidean, L2-normalised";
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

const ImageRecord& image_at(const EvaluationPlan& plan, size_t index) {
  const size_t queries = plan.queries.size();
  return index < queries ? plan.queries[index] : plan.gallery[index - queries];
}

std::vector<std::vector<Sample>> batches_of(const EvaluationPlan& plan, const std::string& root, size_t batch) {
  const size_t count = plan.queries.size() + plan.gallery.size();
  std::vector<std::vector<Sample>> batches((count + batch - 1) / batch);
  for (size_t i = 0; i < count; i++) {
    const ImageRecord& image = image_at(plan, i);
    batches[i / batch].push_back({root + "/" + image.path, 0, image.infrared, static_cast<uint32_t>(i)});
  }
  return batches;
}

std::string percent(double value) { return std::isnan(value) ? "-" : fmt::format("{:.2f}", value); }

std::string table_line(const std::string& mode, const std::string& shots, const Metrics& metrics) {
  std::string line = fmt::format("{:<7} {:<8}", mode, shots);
  for (const auto& metric : kMetrics) line += fmt::format(" {:>7}", percent(metrics.*metric.value));
  return line;
}

}  // namespace

Embeddings embed_images(EngineEmbed& engine, const EvaluationPlan& plan, const std::string& root,
                        const EmbedOptions& options) {
  const size_t count = plan.queries.size() + plan.gallery.size(), dimension = engine.feature_size();
  Embeddings embeddings;
  embeddings.dimension = engine.feature_size();
  embeddings.values.resize(count * dimension);
  LoaderConfig config;
  config.height = options.height;
  config.width = options.width;
  config.threads = options.threads;
  config.cache = options.cache;
  Loader loader(config, batches_of(plan, root, options.batch));
  Progress progress("evaluation", "images", count);
  Batch batch;
  for (size_t done = 0; loader.next(batch); done += batch.count) {
    float* rows = embeddings.values.data() + done * dimension;
    engine.embed(batch, rows);
    const size_t numbers = batch.count * dimension;
    const float* bad = std::find_if(rows, rows + numbers, [](float value) { return !std::isfinite(value); });
    if (bad != rows + numbers)
      fail("{}: the network's embedding holds {}, expected finite numbers; its weights have diverged or are damaged",
           image_at(plan, done + (bad - rows) / dimension).path, *bad);
    progress.advance(batch.count);
    if (options.after_batch) options.after_batch();
  }
  return embeddings;
}

Embeddings chance_embeddings(const EvaluationPlan& plan, uint64_t seed) {
  constexpr int kDimension = 64;
  const size_t count = plan.queries.size() + plan.gallery.size();
  Embeddings embeddings;
  embeddings.dimension = kDimension;
  for (size_t i = 0; i < count; i++) {
    Random random(seed, Purpose::Chance, 0, static_cast<uint32_t>(i));
    for (int d = 0; d < kDimension; d++) embeddings.values.push_back(static_cast<float>(random.normal()));
  }
  return embeddings;
}

std::string results_table(const EvaluationPlan& plan, const std::vector<SettingResult>& results,
                          const std::string& feature, bool per_trial) {
  std::string table = fmt::format("protocol {}: {}; mean of {}, percent\n", plan.protocol, plan.direction,
                                  counted(plan.trials, "trial"));
  table += fmt::format("distance {}; feature {}\n", kDistance, feature);
  table += fmt::format("{:<7} {:<8}", "mode", "shots");
  for (const auto& metric : kMetrics) table += fmt::format(" {:>7}", metric.key);
  table += "  queries  gallery  without match\n";
  for (const SettingResult& result : results) {
    table += table_line(result.setting.mode, result.setting.shots, result.mean);
    table += fmt::format("  {:>7}  {:>7}  {:>13}\n", result.queries, result.gallery, result.queries_without_match);
    if (!per_trial) continue;
    for (size_t trial = 0; trial < result.trials.size(); trial++)
      table += table_line("", fmt::format("trial {}", trial), result.trials[trial]) + "\n";
  }
  return table;
}

nlohmann::ordered_json results_json(const EvaluationPlan& plan, const std::vector<SettingResult>& results,
                                    const std::string& feature) {
  nlohmann::ordered_json json;  // the library writes NaN as null
  json["protocol"] = plan.protocol;
  json["direction"] = plan.direction;
  json["distance"] = kDistance;
  json["feature"] = feature;
  json["results"] = nlohmann::ordered_json::array();
  for (const SettingResult& result : results) {
    nlohmann::ordered_json entry;
    entry["mode"] = result.setting.mode;
    entry["shots"] = result.setting.shots;
    for (const auto& metric : kMetrics) entry[metric.key] = result.mean.*metric.value;
    entry["queries"] = result.queries;
    entry["gallery"] = result.gallery;
    entry["queries_without_match"] = result.queries_without_match;
    entry["trials"] = plan.trials;
    for (const auto& metric : kMetrics) {
      auto& list = entry["per_trial"][metric.key] = nlohmann::ordered_json::array();
      for (const Metrics& trial : result.trials) list.push_back(trial.*metric.value);
    }
    json["results"].push_back(std::move(entry));
  }
  return json;
}

double metric(const std::vector<SettingResult>& results, const std::string& mode, const std::string& shots,
              const std::string& key) {
  for (const SettingResult& result : results)
    if (result.setting == Setting{mode, shots})
      for (const auto& metric : kMetrics)
        if (metric.key == key) return result.mean.*metric.value;
  return kNone;
}

}  // namespace mpanet
