#include "mpanet/training/train_report.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/base/output.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "mpanet/evaluation/evaluate.h"

namespace mpanet {
namespace {

using nlohmann::ordered_json;
constexpr int64_t kEstimateAfter = 3;  // steps

std::string terms_text(const Losses& terms, double divisor) {
  std::vector<std::string> words;
  for (const auto& [name, value] : terms) words.push_back(fmt::format("{} {:.4f}", name, value / divisor));
  return join(words, " ");
}

size_t terminal_width() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

}  // namespace

TrainReport::TrainReport(const TrainConfig& config, const std::string& log_path, const Progression& progression,
                         bool evaluation_due, int64_t last_step)
    : config_(config),
      log_(log_path, progression.step, evaluation_due),
      last_step_(last_step),
      terminal_(isatty(STDOUT_FILENO) == 1) {}

void TrainReport::say(const std::string& line) {
  mpanet::say(stdout, fmt::format("{}{}\n", drawn_ ? "\n" : "", line));
  drawn_ = false;
}

double TrainReport::seconds_left(const Progression& progression, size_t batches) const {
  const double epochs_after = std::max(0, config_.num_epoch - progression.epoch);
  double steps = static_cast<double>(batches) * (epochs_after + 1) - progression.batch;
  if (last_step_ >= 0) steps = std::min(steps, static_cast<double>(last_step_ - progression.step));
  return steps * timed_seconds_ / static_cast<double>(std::max<int64_t>(1, steps_ - 1));
}

void TrainReport::estimate(size_t batches) {
  const double epoch = timed_seconds_ / static_cast<double>(steps_ - 1) * static_cast<double>(batches);
  say(fmt::format(
      "at the speed of these steps an epoch of {} batches takes {} here, the {} epochs of the whole run {}, "
      "evaluation not counted",
      batches, format_duration(epoch), config_.num_epoch, format_duration(epoch * config_.num_epoch)));
}

void TrainReport::step(const Progression& progression, size_t batches, const Losses& losses, double seconds) {
  steps_++;
  if (steps_ > 1) timed_seconds_ += seconds;
  period_steps_++, period_seconds_ += seconds;
  const bool due = progression.step % config_.log_period == 0;
  if (due || terminal_ || steps_ == 1) {
    const double speed = static_cast<double>(period_steps_ * config_.p_size * config_.k_size) / period_seconds_;
    const std::string left =
        steps_ > 1 ? fmt::format(", {} left", format_duration(seconds_left(progression, batches))) : std::string();
    const std::string line =
        fmt::format("epoch {}/{}, step {} ({}/{}), {:.1f} images/s{}: {}", progression.epoch, config_.num_epoch,
                    progression.step, progression.batch, batches, speed, left, terms_text(losses, 1));
    // A redrawn line must not wrap.
    if (terminal_)
      mpanet::say(stdout, "\r\033[K" + line.substr(0, terminal_width() - 1));
    else
      mpanet::say(stdout, line + "\n");
    drawn_ = terminal_;
    if (due) {
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
  }
  if (steps_ == kEstimateAfter) estimate(batches);
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
  say(fmt::format("epoch {}/{} done, {} batches at lr {:.3g}, means: {}", progression.epoch, config_.num_epoch,
                  progression.batch, config_.learning_rate(progression.epoch),
                  terms_text(progression.loss_sums, progression.batch)));
}

void TrainReport::evaluation(const Progression& progression, const EvaluationPlan& plan,
                             const std::vector<SettingResult>& results, bool best) {
  ordered_json all = results_json(plan, results, "BN neck output")["results"];
  for (auto& result : all) result.erase("per_trial");
  log_.append({{"kind", "evaluation"},
               {"step", progression.step},
               {"epoch", progression.epoch},
               {"best", best},
               {"best_is", "the highest all-search single-shot rank-1 so far, chosen on the test set"},
               {"results", all}});
  say(fmt::format("evaluation after epoch {}: all-search single-shot rank-1 {:.2f} %, mAP {:.2f} %{}",
                  progression.epoch, metric(results, "all", "single", "rank1"), metric(results, "all", "single", "mAP"),
                  best ? "; the best so far (chosen on the test set, as the authors do)" : ""));
}

}  // namespace mpanet
