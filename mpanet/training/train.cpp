#include "mpanet/training/train.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/interrupt.h"
#include "core/base/json.h"
#include "core/base/output.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "data/loading/sampler.h"
#include "mpanet/evaluation/evaluate.h"
#include "mpanet/evaluation/ranking.h"
#include "mpanet/evaluation/rerank.h"
#include "mpanet/evaluation/results.h"
#include "mpanet/files/checkpoint.h"
#include "mpanet/files/weights.h"
#include "mpanet/network/vendors.h"
#include "mpanet/training/provenance.h"
#include "mpanet/training/resume.h"
#include "mpanet/training/run_folder.h"
#include "mpanet/training/train_plan.h"
#include "mpanet/training/train_report.h"

namespace mpanet {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

[[noreturn]] void fail_changed(const TrainOptions& options, const Checkpoint& checkpoint, const TrainConfig& wanted,
                               const std::string& keys) {
  const ModelConfig &before = checkpoint.config()->model, &now = wanted.model;
  const std::string file = RunFolder::config_of(options.out);
  std::error_code error;
  std::string advice;
  if (before.depth != now.depth || before.parts != now.parts)
    advice = "its weights do not fit the other network";
  else if (fs::exists(file, error))
    advice = "a new run from its weights: " + new_run_command(options, file, wanted, checkpoint.path());
  fail("{}: the run began with another {}, which cannot change when it goes on{}{}", checkpoint.path(), keys,
       advice.empty() ? "" : "; ", advice);
}

TrainConfig changed_config(TrainConfig config, const TrainOptions& options) {
  for (const std::string& setting : options.settings) set_config(config, setting);
  for (const auto& [key, text] : options.keys) set_config_key(config, key, text);
  return config;
}

// The configuration from the file or the checkpoint, changed by --set.
TrainConfig effective_config(const TrainOptions& options, const std::optional<Checkpoint>& checkpoint) {
  if (checkpoint && !checkpoint->progression())
    fail("{}: expected a checkpoint that training can go on from, got a model alone", checkpoint->path());
  if (options.config.empty() && !checkpoint)
    fail("--config is needed: {}", options.resume ? "there is no checkpoint to go on from" : "see --help");
  std::vector<std::string> remarks;
  const TrainConfig config =
      options.config.empty() ? changed_config(*checkpoint->config(), options) : given_config(options, &remarks);
  for (const std::string& remark : remarks) note("mpanet-train: " + remark);
  check_config(config, options.config.empty() ? checkpoint->path() : options.config);
  if (!checkpoint) return config;
  const auto changed = fixed_differences(*checkpoint->config(), config);
  if (!changed.empty()) fail_changed(options, *checkpoint, config, join(changed));
  return config;
}

// The run's provenance.json; empty, with a warning, when it cannot be read.
ordered_json earlier_provenance(const std::string& path) {
  try {
    ordered_json before = parse_ordered_json(read_text(path), path);
    if (before.is_object()) return before;
    fail("{}: expected an object, got {}", path, shown(before));
  } catch (const UserError& e) {
    note(fmt::format("mpanet-train: warning: {}; it is written anew", e.what()));
    return {};
  }
}

// Writes provenance.json: the provenance at the run's start, and a list with one at each resume. Warns of differences
// that can change the run's bits.
void record_provenance(const RunFolder& folder, const ordered_json& now, int64_t step, bool resumed) {
  std::error_code error;
  ordered_json all = now;
  if (resumed && fs::exists(folder.provenance(), error)) {
    const ordered_json before = earlier_provenance(folder.provenance());
    if (before.is_object()) {
      all = before;
      const bool again = before.contains("resumed") && before["resumed"].is_array() && !before["resumed"].empty();
      const auto differences = provenance_differences(again ? before["resumed"].back() : before, now);
      if (!differences.empty())
        note(fmt::format("mpanet-train: warning: {}; the run may go on with other bits than in one go",
                         join(differences, "; ")));
      ordered_json entry = now;
      entry["step"] = step;
      if (!all["resumed"].is_array()) all["resumed"] = ordered_json::array();
      all["resumed"].push_back(entry);
    }
  }
  write_file(folder.provenance(), all.dump(2) + "\n");
}

// The loop over epochs and batches. train() owns the objects that it refers to.
class Trainer {
 public:
  Trainer(const TrainConfig& config, const Dataset& data, const Sampler& sampler,
          const std::vector<EvaluationPlan>& evaluated, Engine& engine, RunFolder& folder, Progression progression,
          bool resumed, std::optional<int64_t> max_steps, bool reads_late)
      : config_(config),
        data_(data),
        sampler_(sampler),
        evaluated_(evaluated),
        engine_(engine),
        folder_(folder),
        p_(std::move(progression)),
        max_steps_(max_steps),
        reads_late_(reads_late),
        held_step_(resumed ? p_.step : -1),
        cache_(config.cache_mib > 0 ? std::make_shared<ImageCache>(static_cast<size_t>(config.cache_mib) << 20)
                                    : nullptr),
        report_(config, folder.log(), p_, epoch_is_complete(), max_steps.value_or(-1)) {}

  // Trains until the last epoch or max_steps. A signal ends it with the exception Interrupted.
  void run() {
    while (p_.epoch <= config_.num_epoch) {
      const auto batches = sampler_.epoch(static_cast<uint32_t>(p_.epoch));
      if (static_cast<size_t>(p_.batch) > batches.size())
        fail("{}: {} batches of epoch {} are done, but it has {}", folder_.last(), p_.batch, p_.epoch, batches.size());
      if (static_cast<size_t>(p_.batch) < batches.size() && !run_batches(batches)) return;
      finish_epoch();
    }
  }
  void say(const std::string& line) { report_.say(line); }
  const TrainConfig& config() const { return config_; }
  const Progression& progression() const { return p_; }
  void save() {
    finish_steps();
    if (saved_) return;
    refusing_not_finite([&] { save_training(folder_.last(), engine_, config_, p_); });
    saved_ = true;
    held_step_ = p_.step;
  }

 private:
  // The step in last.safetensors, as text for messages.
  std::string held() const {
    return held_step_ < 0 ? fmt::format("there is no {} yet", folder_.last())
                          : fmt::format("{} still holds step {}", folder_.last(), held_step_);
  }
  template <class Save>
  void refusing_not_finite(Save save) {
    try {
      save();
    } catch (const NotFinite& e) {
      fail("step {} (epoch {}): {}; {}; a lower lr may help", p_.step, p_.epoch, e.what(), held());
    }
  }

  int64_t launched_steps() const { return p_.step + launched_; }
  size_t launched_batches() const { return static_cast<size_t>(p_.batch + launched_); }
  bool at_max_steps() const { return max_steps_ && launched_steps() >= *max_steps_; }
  bool epoch_is_complete() const {
    return p_.batch > 0 && static_cast<size_t>(p_.batch) == sampler_.epoch(static_cast<uint32_t>(p_.epoch)).size();
  }

  // Trains the rest of the epoch. False: stopped at max_steps, and saved.
  bool run_batches(const std::vector<std::vector<int>>& batches) {
    LoaderConfig loader_config = train_loader_config(config_);
    loader_config.epoch = static_cast<uint32_t>(p_.epoch);
    loader_config.cache = cache_;
    if (at_max_steps()) return save(), false;
    Loader loader(loader_config, loader_batches(data_, batches), static_cast<size_t>(p_.batch));
    Batch batch;
    load(loader, batch);
    batches_ = batches.size();
    while (launched_batches() < batches_) {
      stop_if_interrupted();
      if (at_max_steps()) return save(), false;
      run_step(loader, batch);
      const bool last = launched_batches() == batches_;
      if (!last && config_.checkpoint_every > 0 && launched_steps() % config_.checkpoint_every == 0) save();
    }
    finish_steps();
    report_.epoch(p_);
    return true;
  }

  void load(Loader& loader, Batch& batch) {
    MPANET_CHECK(loader.next(batch), "the loader has fewer batches than the epoch");
    engine_.upload(batch);
  }

  // Launches a step. The next batch is uploaded while the device computes. A GPU then has the next step's work before
  // the host reads this step's numbers.
  void run_step(Loader& loader, Batch& batch) {
    if (launched_ == 0) clock_ = std::chrono::steady_clock::now();
    engine_.step(config_.learning_rate(p_.epoch), p_.epoch);
    launched_++;
    if (launched_batches() < batches_) load(loader, batch);
    if (launched_ > (reads_late_ ? 1 : 0)) read_step();
  }

  // Reads the numbers of every step that was launched. Nothing is saved before: a checkpoint holds no weights of a step
  // whose losses were not checked.
  void finish_steps() {
    while (launched_ > 0) read_step();
  }

  // Waits for the oldest step whose numbers were not read, and checks, counts and reports it.
  void read_step() {
    const auto [losses, updated, progress] = engine_.result(launched_ - 1);
    for (const auto& [name, value] : losses)
      if (!std::isfinite(value))
        fail("step {} (epoch {}): the loss {} is {}; {}; a lower lr may help", p_.step + 1, p_.epoch, name, value,
             held());
    if (!updated)
      report_.say(fmt::format("step {}: gradients beyond f16's range, no update; the loss scale is {} from here",
                              p_.step + 1, progress.loss_scale));
    p_.optimizer = progress;
    p_.step++, p_.batch++, launched_--;
    saved_ = false;
    p_.loss_sums.resize(losses.size());
    for (size_t i = 0; i < losses.size(); i++)
      p_.loss_sums[i] = {losses[i].first, p_.loss_sums[i].second + losses[i].second};
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double> seconds = now - std::exchange(clock_, now);
    report_.step(p_, batches_, losses, seconds.count());
  }

  // Evaluates if an evaluation is due, then saves at the beginning of the next epoch. The checkpoint saved before the
  // evaluation says that it is due, so a run killed during it evaluates after resuming.
  void finish_epoch() {
    if (!evaluated_.empty() && config_.evaluates_after(p_.epoch)) {
      save();
      evaluate();
    }
    p_.epoch++, p_.batch = 0;
    p_.loss_sums.clear();
    saved_ = false;
    save();
  }

  void evaluate() {
    EmbedOptions options;
    options.height = config_.model.height;
    options.width = config_.model.width;
    options.batch = config_.embed_batch;
    options.threads = config_.loader_threads;
    options.cache = cache_;
    options.after_batch = [] {
      if (interrupted()) throw Interrupted{};
    };
    const std::vector<ImageRecord> images = images_of(evaluated_);
    const Embeddings embeddings = embed_images(engine_, images, data_.root, options);
    std::vector<std::vector<SettingResult>> results;
    for (const EvaluationPlan& plan : evaluated_)
      results.push_back(evaluated_.size() == 1 ? rank_embeddings(plan, embeddings)
                                               : rank_embeddings(plan, embeddings_of(plan, images, embeddings)));
    std::vector<Evaluation> evaluations;
    for (size_t i = 0; i < results.size(); i++) evaluations.push_back({evaluated_[i], results[i]});
    const double rank1 = selection_rank1(evaluations);  // NaN without any match, which is never the best
    const bool best = rank1 > p_.best_rank1;
    if (best) {
      refusing_not_finite([&] { save_model(folder_.best(), engine_, config_, p_.step); });
      p_.best_rank1 = rank1;
      p_.best_epoch = p_.epoch;
    }
    report_.evaluation(p_, evaluations, best);
  }

  void stop_if_interrupted() {
    if (!interrupted()) return;
    save();
    throw Interrupted{};
  }

  const TrainConfig& config_;
  const Dataset& data_;
  const Sampler& sampler_;
  const std::vector<EvaluationPlan>& evaluated_;
  Engine& engine_;
  RunFolder& folder_;
  Progression p_;
  std::optional<int64_t> max_steps_;
  // GPUs and their emulation: a step's numbers are read after the next step was launched. A CPU has computed the step
  // when step() returns.
  bool reads_late_;
  int launched_ = 0;                             // steps whose numbers were not read, 0 or 1 between steps
  size_t batches_ = 0;                           // of the epoch
  std::chrono::steady_clock::time_point clock_;  // when the last step was read, or launched after a pause
  bool saved_ = false;                           // last.safetensors holds the current state
  int64_t held_step_;                            // the step of last.safetensors, -1 while there is none
  std::shared_ptr<ImageCache> cache_;
  TrainReport report_;
};

void print_data(const Dataset& data, const IdentitySampler& sampler, const TrainConfig& config) {
  size_t infrared = 0;
  for (const ImageRecord& image : data.train) infrared += image.infrared;
  say(stdout, fmt::format("data: {}, {} visible and {}; {} of {} x {} in epoch 1\n",
                          counted(data.classes, "identity", "identities"), data.train.size() - infrared,
                          counted(infrared, "infrared image"), counted(sampler.epoch(1).size(), "batch", "batches"),
                          config.p_size, config.k_size));
  for (const std::string& line : data.notes) say(stdout, "data: " + printable(line) + "\n");
  if (!sampler.skipped().empty())
    say(stdout, fmt::format("data: skipped {} without {} images of both modalities in any batch\n",
                            counted(sampler.skipped().size(), "identity", "identities"), config.k_size));
}

// Sets the engine's values, from the checkpoint, --init or at random, and returns the run's progression. `initial`
// reports the tensors that --init gave.
Progression start_state(const TrainOptions& options, const std::optional<Checkpoint>& checkpoint,
                        const TrainConfig& config, const Dataset& data, Engine& engine,
                        std::optional<WeightsReport>& initial) {
  const uint64_t fingerprint = data_fingerprint(data.train);
  if (checkpoint) {
    checkpoint->load_training(engine);
    if (checkpoint->progression()->data != fingerprint)
      fail("{}: expected the training images that {} began with, got another list", options.data, checkpoint->path());
    if (!options.init.empty()) say(stdout, "--init is not used: the run goes on from its checkpoint\n");
    return *checkpoint->progression();
  }
  engine.initialize(config.seed);
  if (!options.init.empty()) {
    std::string warning;
    initial = load_weights(options.init, engine, &warning);
    if (!warning.empty()) note("mpanet-train: warning: " + warning);
  }
  Progression progression;
  progression.data = fingerprint;
  return progression;
}

int run_trainer(Trainer& trainer, const TrainOptions& options, const RunFolder& folder) {
  try {
    trainer.run();
  } catch (const Interrupted&) {
    trainer.say(fmt::format("interrupted after step {}, saved; go on with: {}", trainer.progression().step,
                            resume_command(options)));
    return interrupt_exit_code();
  }
  const Progression& p = trainer.progression();
  const bool done = p.batch == 0 && p.best_epoch > 0;
  trainer.say(fmt::format("{} holds step {}", folder.last(), p.step));
  if (done)
    trainer.say(fmt::format("{} is the model after epoch {}: {} {:.2f} %, chosen on the test set", folder.best(),
                            p.best_epoch, selection_name(trainer.config().dataset), p.best_rank1));
  return 0;
}

}  // namespace

TrainConfig given_config(const TrainOptions& options, std::vector<std::string>* remarks) {
  return changed_config(read_config(options.config, remarks), options);
}

int train(const TrainOptions& given) {
  TrainOptions options = given;
  const ThreadChoice threads = choose_threads(options.threads);
  if (!threads.warning.empty()) note("mpanet-train: warning: " + threads.warning);
  std::optional<RunFolder> folder;
  std::optional<Checkpoint> checkpoint;
  std::error_code error;
  if (options.resume && fs::exists(options.out, error)) {
    folder.emplace(RunFolder::open(options.out));
    if (fs::exists(folder->last(), error)) checkpoint.emplace(folder->last());
  } else {
    RunFolder::check_can_be_made(options.out);
  }
  if (folder)
    take_inputs(options, folder->inputs());
  else if (options.data.empty())
    fail("--data is needed: there is no run in {} to go on with", options.out);
  TrainConfig config = effective_config(options, checkpoint);
  const Vendors vendors = choose_vendors(options.conv, options.gemm, options.device, folder ? folder->vendors() : "");

  const bool evaluates = config.eval_interval > 0;
  Dataset data = read_dataset(config.dataset, options.data, evaluates ? Split::Both : Split::Train, config.split);
  check_pictures(data, data.train);
  config.model.classes = data.classes;
  const IdentitySampler sampler(data.train, config.p_size, config.k_size, config.seed);
  const auto evaluated =
      evaluates ? plan_between_epochs(config, data, options.data, options.trials) : std::vector<EvaluationPlan>();
  say(stdout, threads.text + "\n");
  print_data(data, sampler, config);

  Workload workload = {.device = options.device, .train_images = data.train.size()};
  if (!evaluated.empty()) {
    workload.queries = evaluated.front().queries.size();
    workload.gallery = evaluated.front().gallery.size();
    if (config.rerank) workload.rerank_bytes = rerank_bytes(evaluated.front());
  }
  const FreeMemory free = find_free_memory(options.device);
  say(stdout, memory_text(plan_train_memory(config, workload), options.device, free));
  check_memory(config, workload, free);
  EngineConfig made = engine_config(config, options.device);
  made.vendors = vendors;
  const auto engine = make_engine(made);
  std::optional<WeightsReport> initial;
  const Progression progression = start_state(options, checkpoint, config, data, *engine, initial);

  const InterruptGuard guard;
  if (!folder) folder.emplace(RunFolder::create(options.out));
  const auto provenance = run_provenance(threads.count, config.seed, name_of(config.precision), options.device);
  write_file(folder->config(), config_file_text(config));
  write_inputs(options, folder->inputs());
  write_vendors(folder->vendors(), engine->vendors());
  record_provenance(*folder, provenance, progression.step, checkpoint.has_value());
  if (initial) {
    write_file(folder->initial(), report_text(*initial));
    say(stdout, fmt::format("{}: {}; their names are in {}\n", printable(options.init), report_line(*initial),
                            printable(folder->initial())));
  }
  if (checkpoint)
    say(stdout, fmt::format("going on from {}, step {}\n", printable(folder->last()), progression.step));
  else if (options.resume)
    say(stdout, fmt::format("{} has no checkpoint yet: starting at step 0\n", printable(options.out)));
  Trainer trainer(config, data, sampler, evaluated, *engine, *folder, progression, checkpoint.has_value(),
                  options.max_steps, options.device.backend != Backend::cpu);
  if (!checkpoint) trainer.save();
  folder->keep();
  const int code = run_trainer(trainer, options, *folder);
  if (options.device.backend == Backend::cuda)
    trainer.say(fmt::format("{}: {} of memory at most, {} planned", name_of(options.device),
                            format_bytes(static_cast<double>(engine->memory_use().peak)),
                            format_bytes(static_cast<double>(engine->plan().total()))));
  return code;
}

}  // namespace mpanet
