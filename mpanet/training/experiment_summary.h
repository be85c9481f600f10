// The results of an experiment's runs, from their logs: a table and summary.json.
#pragma once
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "mpanet/config/config.h"
#include "mpanet/training/experiment.h"

namespace mpanet {

// One line of a result table of one run: a direction and a setting, percent by metric (NaN if undefined).
struct RunScores {
  std::string direction, mode, shots;
  std::map<std::string, double> values;  // rank1, rank5, rank10, rank20, mAP, mINP
};

// An evaluation from a run's log.
struct LoggedEvaluation {
  int epoch = 0;
  std::vector<RunScores> scores;
};

// The evaluation that chose the best model, and the last one. UserError if the log has none.
struct RunResult {
  LoggedEvaluation best, last;
};
RunResult read_run_result(const std::string& log);

class ExperimentSummary {
 public:
  ExperimentSummary(std::string data, size_t planned) : data_(std::move(data)), planned_(planned) {}

  void add(const PlannedRun& run, const TrainConfig& config, const std::string& log);

  // "split-1: after epoch 120, infrared to visible: rank-1 82.80, mAP 80.70; ..."
  std::string last_line() const;
  // One line per run; for each group of several runs their mean and standard deviation (n - 1). All values are those of
  // the best evaluations, which were chosen on the test set.
  std::string table() const;
  // {"data", "planned", "runs": [{"name", "split", "seed", "set", "best": {"epoch", "results"}, "last": ...}],
  // "groups": [{"set", "runs": [names], "best": [{"direction", "mode", "shots", "rank1": {"mean", "deviation"}, ...}],
  // "last": [...]}]}; deviation null for one run.
  void write(const std::string& path) const;

 private:
  struct Run {
    PlannedRun planned;
    int split = 1;
    uint64_t seed = 0;
    RunResult result;
  };
  std::vector<std::string> groups() const;  // in the order of the runs
  std::vector<const Run*> of_group(const std::string& group) const;
  std::string group_rows(const std::string& group, size_t width) const;

  const std::string data_;
  const size_t planned_;
  std::vector<Run> runs_;
};

}  // namespace mpanet
