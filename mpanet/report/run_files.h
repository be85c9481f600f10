// What a run folder (training/run_folder.h) says about its training.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "mpanet/config/config.h"
#include "mpanet/training/resume.h"

namespace mpanet {

// Points over epochs; the middle of epoch 1 is 0.5. NaN where the log has null.
using CurvePoints = std::vector<std::pair<double, double>>;

struct RunCurves {
  // By the log's names of loss terms, the total first: the mean of every epoch, and the logged steps.
  std::vector<std::pair<std::string, CurvePoints>> epochs, steps;
  CurvePoints learning_rate, rank1, mAP;  // of the log's evaluations: their first setting, percent
  std::vector<size_t> best;               // evaluations that wrote best.safetensors
  double images_per_second = 0;           // median over the logged steps; NaN without one
  int64_t last_step = 0;
};

// UserError, one line with the line's number, for a line that is no such object. A last line without its end is left
// out, as after a kill.
RunCurves read_curves(const std::string& log);

struct RunRecord {
  std::string path, name;  // as given; the folder's own name
  std::string checkpoint;  // best.safetensors, or last.safetensors without it
  TrainConfig config;
  nlohmann::ordered_json config_json, provenance;  // config.json; provenance.json, null without it
  RunInputs inputs;
  RunCurves curves;
};
// UserError for a folder that is no run, for one with several runs in it, and for files in it that cannot be read.
// `embeds`: whether a checkpoint is needed.
RunRecord read_run(const std::string& path, bool embeds);

// The files of the run: those that read_run() and the evaluation read, and those that resuming needs or goes on with.
std::vector<std::string> run_files(const std::string& path);

// Keys with their values as text: "data.threads" and "2", in the order of the file; lists in one line, null as a dash.
std::vector<std::pair<std::string, std::string>> flattened(const nlohmann::ordered_json& json);

// Whether two runs differ in seed or split and in nothing else, so that their results are repetitions: an equal
// configuration besides, and as many epochs.
bool repeats(const RunRecord& a, const RunRecord& b);

}  // namespace mpanet
