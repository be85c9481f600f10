#include "mpanet/training/train_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/output.h"
#include "core/base/progress.h"
#include "core/base/quote.h"
#include "core/base/text.h"

namespace mpanet {
namespace {

using nlohmann::ordered_json;
constexpr int64_t kEstimateAfter = 3;  // steps

std::string term_text(const std::string& name, double value) { return fmt::format("{} {:.4g}", name, value); }

// The terms as text, divided by `divisor`, the total first: show() puts it before the other terms.
std::vector<std::string> terms_text(const Losses& terms, double divisor) {
  std::vector<std::string> words;
  for (const auto& [name, value] : terms) {
    const auto at = name == "total" ? words.begin() : words.end();
    words.insert(at, term_text(name, value / divisor));
  }
  return words;
}

}  // namespace

const char* selection_name(DatasetKind dataset) {
  switch (dataset) {
    case DatasetKind::Sysu:
      return "all-search single-shot rank-1";
    case DatasetKind::RegDb:
    case DatasetKind::Llcm:
      return "rank-1 (mean of both directions)";
    case DatasetKind::Csv:
      return "rank-1";
  }
  MPANET_CHECK(false, "unknown data set kind");
  return "";
}

double selection_rank1(const std::vector<Evaluation>& evaluations) {
  double sum = 0;
  for (const Evaluation& evaluation : evaluations) sum += evaluation.results.front().mean.rank1;
  return sum / static_cast<double>(evaluations.size());
}

TrainReport::TrainReport(const TrainConfig& config, const std::string& log_path, const Progression& progression,
                         bool evaluation_due, int64_t last_step)
    : config_(config), log_(log_path, progression.step, evaluation_due), last_step_(last_step) {}

double TrainReport::seconds_left(const Progression& progression, size_t batches) const {
  const double epochs_after = std::max(0, config_.num_epoch - progression.epoch);
  double steps = static_cast<double>(batches) * (epochs_after + 1) - progression.batch;
  if (last_step_ >= 0) steps = std::min(steps, static_cast<double>(last_step_ - progression.step));
  return steps * timed_seconds_ / static_cast<double>(std::max<int64_t>(1, steps_ - 1));
}

void TrainReport::estimate(size_t batches) {
  const double epoch = timed_seconds_ / static_cast<double>(steps_ - 1) * static_cast<double>(batches);
  say(fmt::format(
      "at the speed of these steps an epoch of {} takes {} here, the {} of the whole run {}, evaluation not "
      "counted",
      counted(batches, "batch", "batches"), format_duration(epoch), counted(config_.num_epoch, "epoch"),
      format_duration(epoch * config_.num_epoch)));
}

void TrainReport::step(const Progression& progression, size_t batches, const Losses& losses, double seconds) {
  steps_++;
  if (steps_ > 1) timed_seconds_ += seconds;
  period_steps_++, period_seconds_ += seconds;
  const bool period_ends = progression.step % config_.log_period == 0;
  const double speed = static_cast<double>(period_steps_ * config_.p_size * config_.k_size) / period_seconds_;
  if (steps_ == 1 || (line_.due() && (line_.terminal() || period_ends))) show(progression, batches, losses, speed);
  if (period_ends) {
    ordered_json terms;
    for (const auto& [name, value] : losses) terms[name] = value;
    log_.append({{"kind", "step"},
                 {"step", progression.step},
                 {"epoch", progression.epoch},
                 {"batch", progression.batch},
                 {"batches", batches},
                 {"lr", config_.learning_rate(progression.epoch)},
                 {"losses", terms},
                 {"images_per_second", speed}});
    period_steps_ = 0, period_seconds_ = 0;
  }
  if (steps_ == kEstimateAfter) estimate(batches);
}

void TrainReport::show(const Progression& progression, size_t batches, const Losses& losses, double speed) {
  const auto batch = static_cast<size_t>(progression.batch);
  std::vector<std::string> parts = {
      fmt::format("epoch {}/{}{}", progression.epoch, config_.num_epoch, line_.bar(batch, batches))};
  if (steps_ > 1) parts.push_back(format_duration(seconds_left(progression, batches)) + " left");
  std::vector<std::string> terms = terms_text(losses, 1);
  parts.push_back(terms.front());
  parts.push_back(fmt::format("lr {:.3g}", config_.learning_rate(progression.epoch)));
  if (progression.best_epoch > 0) parts.push_back(fmt::format("best rank-1 {:.1f} %", progression.best_rank1));
  parts.insert(parts.end(), terms.begin() + 1, terms.end());
  parts.push_back(fmt::format("step {} ({}/{})", progression.step, batch, batches));
  parts.push_back(fmt::format("{:.1f} images/s", speed));
  line_.show(parts);
}

void TrainReport::epoch(const Progression& progression) {
  ordered_json means;
  for (const auto& [name, sum] : progression.loss_sums) means[name] = sum / progression.batch;
  log_.append({{"kind", "epoch"},
               {"step", progression.step},
               {"epoch", progression.epoch},
               {"batches", progression.batch},
               {"lr", config_.learning_rate(progression.epoch)},
               {"losses", means}});
  say(fmt::format("epoch {}/{} done, {} at lr {:.3g}, means: {}", progression.epoch, config_.num_epoch,
                  counted(progression.batch, "batch", "batches"), config_.learning_rate(progression.epoch),
                  join(terms_text(progression.loss_sums, progression.batch))));
}

void TrainReport::evaluation(const Progression& progression, const std::vector<Evaluation>& evaluations, bool best) {
  ordered_json all = results_json(evaluations, {"BN neck output", false, ""})["results"];
  for (auto& result : all)
    for (const char* key : {"per_trial", "per_query"}) result.erase(key);
  const std::string name =
      fmt::format("{}{}", selection_name(config_.dataset), config_.rerank ? " with re-ranking" : "");
  double mean_precision = 0;
  for (const Evaluation& evaluation : evaluations)
    mean_precision += evaluation.results.front().mean.mAP / static_cast<double>(evaluations.size());
  log_.append({{"kind", "evaluation"},
               {"step", progression.step},
               {"epoch", progression.epoch},
               {"best", best},
               {"protocol", evaluations.front().plan.protocol},
               {"best_is", fmt::format("the highest {} so far, chosen on the test set", name)},
               {"results", all}});
  say(fmt::format("evaluation after epoch {}: {} {}, mAP {}{}", progression.epoch, name,
                  percent_words(selection_rank1(evaluations)), percent_words(mean_precision),
                  best ? "; the best so far (chosen on the test set, as the authors do)" : ""));
}

}  // namespace mpanet
