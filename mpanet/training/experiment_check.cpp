#include "mpanet/training/experiment_check.h"

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <tuple>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "data/loading/sampler.h"
#include "mpanet/files/checkpoint.h"
#include "mpanet/files/weights.h"
#include "mpanet/network/vendors.h"
#include "mpanet/training/experiment_summary.h"
#include "mpanet/training/provenance.h"
#include "mpanet/training/run_folder.h"
#include "mpanet/training/run_start.h"
#include "mpanet/training/train_plan.h"

namespace mpanet {
namespace {

namespace fs = std::filesystem;

// A data set and its evaluation, which several runs have in common.
struct SharedData {
  Dataset data;
  std::vector<EvaluationPlan> evaluated;
  uint64_t fingerprint = 0;
};

// UserError with the run's name in front.
template <class Call>
auto named(const PlannedRun& run, Call call) {
  try {
    return call();
  } catch (const UserError& error) {
    throw UserError(run.name + ": " + error.what());
  }
}

// The checkpoint of a run that goes on.
std::optional<Checkpoint> checkpoint_of(const TrainOptions& one) {
  std::error_code error;
  const std::string last = one.out + "/last.safetensors";
  return one.resume && fs::exists(last, error) ? std::optional<Checkpoint>(last) : std::nullopt;
}

// UserError if a run began with other weights than --init gives. Files are compared by their content.
void check_initial_weights(const std::string& run, const InitialWeights& begun, const InitialWeights& given) {
  const bool pipe = begun.sha256.empty() && !begun.path.empty();
  if (begun.sha256 == given.sha256 && !pipe) return;
  const auto words = [](const InitialWeights& weights) {
    return weights.path.empty() && weights.sha256.empty() ? "random ones"
           : weights.path.empty()                         ? fmt::format("those with the SHA-256 {}", weights.sha256)
                                                          : fmt::format("those of {}", weights.path);
  };
  fail("{}: expected the initial weights that this run began with, {}, got {}; choose their --init or another --out",
       run, words(begun), words(given));
}

class Checker {
 public:
  Checker(const TrainOptions& options, const ExperimentOptions& experiment)
      : options_(options), experiment_(experiment) {}

  CheckedRun check(const PlannedRun& run) {
    CheckedRun checked{run, given_config(options_of(options_, experiment_, run)), 0, ""};
    TrainConfig& config = checked.config;
    check_config(config, run.name);
    if (!experiment_.splits.empty() && config.dataset != DatasetKind::RegDb)
      fail("--splits: expected the data set regdb, which has splits, got {}", name_of(config.dataset));
    if (config.eval_interval == 0)
      fail("{}: eval_interval: expected at least 1, as results are compared, got 0", run.name);
    const SharedData& shared = shared_data(config);
    checked.fingerprint = shared.fingerprint;
    checked.protocol = shared.evaluated.front().protocol;
    config.model.classes = shared.data.classes;
    const TrainOptions one = options_of(options_, experiment_, run);
    const std::optional<Checkpoint> checkpoint = checkpoint_of(one);
    TrainConfig chosen = config;
    if (checkpoint && checkpoint->config()) keep_precision(*checkpoint->config(), chosen);
    chosen.precision = choose_precision(chosen.precision, options_.device);
    const auto [same, added] = names_.emplace(config_line(chosen), run.name);
    if (!added)
      fail("{} and {} have the same configuration: an option beside --sweep, or auto, makes them equal", same->second,
           run.name);
    named(run, [&] {
      IdentitySampler(shared.data.train, config.p_size, config.k_size, config.seed);
      open_pack(chosen, shared.data, shared.evaluated);
      check_memory(chosen, workload_of(options_.device, shared.data, shared.evaluated), free_);
    });
    check_folder(one, checked, chosen, checkpoint);
    if (!checkpoint) check_initial(chosen);
    return checked;
  }

 private:
  const SharedData& shared_data(const TrainConfig& config) {
    const auto key = std::tuple(config.dataset, config.split, config.rerank);
    if (const auto found = shared_.find(key); found != shared_.end()) return found->second;
    SharedData shared;
    shared.data = read_dataset(config.dataset, options_.data, Split::Both, config.split);
    check_pictures(shared.data, shared.data.train);
    shared.evaluated = plan_between_epochs(config, shared.data, options_.data, options_.trials, options_.protocol);
    shared.fingerprint = data_fingerprint(shared.data.train);
    return shared_.emplace(key, std::move(shared)).first->second;
  }

  // Reads all that a run that goes on reads from its folder.
  static void check_folder(const TrainOptions& one, const CheckedRun& run, const TrainConfig& chosen,
                           const std::optional<Checkpoint>& checkpoint) {
    if (!one.resume) return RunFolder::check_can_be_made(one.out);
    if (is_complete(one.out, run)) return static_cast<void>(read_run_result(one.out + "/log.jsonl"));
    RunFolder::check_can_be_opened(one.out);
    read_inputs(one.out + "/inputs.json");
    choose_vendors(one.conv, one.gemm, one.device, one.out + "/vendors.json", chosen.precision);
    if (!checkpoint) return;
    read_provenance(one.out + "/provenance.json");
    effective_config(one, checkpoint);
    if (checkpoint->progression()->data != run.fingerprint)
      fail("{}: expected the training images that this run began with, got another list; choose another --out",
           checkpoint->path());
  }

  // Loads the weights of --init into the run's network, once for each network.
  void check_initial(const TrainConfig& config) {
    if (options_.init.empty()) return;
    EngineConfig network;
    network.model = config.model;
    network.precision = *config.precision;
    network.embed_batch = 1;
    TrainConfig model_alone;
    model_alone.model = config.model;
    model_alone.precision = config.precision;
    if (!initialised_.insert(config_line(model_alone)).second) return;
    load_weights(options_.init, *make_engine(network));
  }

  const TrainOptions& options_;
  const ExperimentOptions& experiment_;
  const FreeMemory free_ = find_free_memory(options_.device);
  std::map<std::tuple<DatasetKind, int, bool>, SharedData> shared_;
  std::map<std::string, std::string> names_;  // of the runs, by configuration
  std::set<std::string> initialised_;         // networks that --init fits
};

// The protocol of the evaluations that the experiment's runs have; empty: there are none. UserError if one run's are by
// another than those of the others, or one began with other initial weights than --init gives.
std::string check_begun(const TrainOptions& options, const ExperimentOptions& experiment,
                        const std::vector<PlannedRun>& runs) {
  const InitialWeights given = initial_weights(options.init);
  std::string protocol, first;
  for (const PlannedRun& run : runs) {
    const TrainOptions one = options_of(options, experiment, run);
    const std::optional<Checkpoint> checkpoint = checkpoint_of(one);
    if (!checkpoint) continue;
    const RunInputs inputs = read_inputs(one.out + "/inputs.json");
    if (inputs.initial) check_initial_weights(one.out, *inputs.initial, given);
    const std::string own = protocol_so_far(inputs, checkpoint);
    if (own.empty()) continue;
    if (protocol.empty()) protocol = own, first = one.out;
    if (own != protocol)
      fail("{}: expected evaluations by the protocol {}, as those of {}, got {}; choose another --out", one.out,
           protocol, first, own);
  }
  return protocol;
}

// Every run reads these files.
void check_read_again(const char* option, const std::string& path) {
  std::error_code error;
  if (!path.empty() && fs::exists(path, error) && !fs::is_regular_file(path, error))
    fail("{}: expected a file, which each run reads again, got {}", option, quote(path));
}

void check_out(const std::string& out) {
  std::error_code error;
  if (RunFolder::is_run(out))
    fail("{}: expected a folder for the folders of several runs, got a single run's; choose another --out", out);
  const std::string summary = out + "/summary.json";
  if (fs::symlink_status(summary, error).type() != fs::file_type::not_found) {
    const auto content = fs::is_regular_file(summary, error) ? try_parse_json(read_text(summary)) : std::nullopt;
    for (const char* key : {"planned", "best_is", "runs", "groups"})
      if (!content || !content->is_object() || !content->contains(key))
        fail(
            "{}: expected the summary of an experiment, which this one replaces, got another file; choose another "
            "--out",
            summary);
  }
  if (fs::exists(out, error)) OutputFile(summary, OutputFile::Open::Later);
}

}  // namespace

TrainOptions options_of(const TrainOptions& options, const ExperimentOptions& experiment, const PlannedRun& run) {
  TrainOptions one = options;
  one.out = (fs::path(options.out) / run.name).string();
  one.settings.insert(one.settings.end(), run.settings.begin(), run.settings.end());
  one.go_on = experiment.command;
  std::error_code error;
  one.resume = fs::exists(one.out, error);
  return one;
}

std::vector<CheckedRun> check_experiment(const TrainOptions& given, const ExperimentOptions& experiment,
                                         const std::vector<PlannedRun>& runs) {
  TrainOptions options = given;
  check_read_again("--config", options.config);
  check_read_again("--init", options.init);
  check_read_again("--trials", options.trials);
  choose_vendors(options.conv, options.gemm, options.device);
  check_out(options.out);
  options.protocol = check_begun(options, experiment, runs);
  Checker checker(options, experiment);
  std::vector<CheckedRun> checked;
  for (const PlannedRun& run : runs) checked.push_back(checker.check(run));
  return checked;
}

bool is_complete(const std::string& folder, const CheckedRun& run) {
  const std::string last = folder + "/last.safetensors";
  std::error_code error;
  if (!fs::exists(last, error)) return false;
  const Checkpoint checkpoint(last);
  if (!checkpoint.config() || !checkpoint.progression()) return false;
  const Progression& progression = *checkpoint.progression();
  TrainConfig wanted = run.config;
  keep_precision(*checkpoint.config(), wanted);
  if (!fixed_differences(*checkpoint.config(), wanted).empty() || !is_finished(progression, wanted)) return false;
  if (progression.data != run.fingerprint)
    fail("{}: expected the images that this run was trained on, got another list; choose another --out", last);
  if (progression.epoch > run.config.num_epoch + 1)
    fail("{}: num_epoch: expected at least the {} that are trained, got {}; choose another --out", last,
         progression.epoch - 1, run.config.num_epoch);
  return true;
}

}  // namespace mpanet
