#include "mpanet/training/trainer.h"

#include <cmath>
#include <utility>

#include "core/base/error.h"
#include "core/base/interrupt.h"
#include "mpanet/evaluation/evaluate.h"
#include "mpanet/evaluation/results.h"
#include "mpanet/training/train_plan.h"

namespace mpanet {

Trainer::Trainer(const TrainConfig& config, const Dataset& data, const Sampler& sampler,
                 const std::vector<EvaluationPlan>& evaluated, Engine& engine, RunFolder& folder,
                 Progression progression, bool resumed, std::optional<int64_t> max_steps, bool reads_late,
                 std::shared_ptr<const Pack> pack, std::shared_ptr<ImageCache> cache)
    : config_(config),
      data_(data),
      sampler_(sampler),
      evaluated_(evaluated),
      engine_(engine),
      folder_(folder),
      p_(std::move(progression)),
      max_steps_(max_steps),
      reads_late_(reads_late),
      cache_(std::move(cache)),
      pack_(std::move(pack)),
      report_(config, folder.log(), p_, epoch_is_complete(), max_steps.value_or(-1)),
      writer_(engine, config, folder, resumed ? p_.step : -1) {}

// Writes last.safetensors unless it has this state. A thread does it, and the next step may begin.
void Trainer::start_save(CheckpointWriter::Files files) {
  finish_steps();
  if (saved_) return;
  writer_.start(p_, files);
  checkpoints_++;
  saved_ = true;
  save_clock_ = std::chrono::steady_clock::now();
}

void Trainer::save() {
  start_save();
  writer_.finish(p_.step);
}

bool Trainer::checkpoint_is_due() const {
  if (config_.checkpoint_every > 0 && launched_steps() % config_.checkpoint_every == 0) return true;
  return config_.checkpoint_seconds > 0 &&
         std::chrono::steady_clock::now() - save_clock_ >= std::chrono::seconds(config_.checkpoint_seconds);
}

bool Trainer::epoch_is_complete() const {
  return p_.batch > 0 && static_cast<size_t>(p_.batch) == sampler_.epoch(static_cast<uint32_t>(p_.epoch)).size();
}

void Trainer::run() {
  try {
    train();
  } catch (const Interrupted&) {
    writer_.finish(p_.step);
    throw;
  }
  writer_.finish(p_.step);
}

void Trainer::train() {
  while (p_.epoch <= config_.num_epoch) {
    const auto batches = sampler_.epoch(static_cast<uint32_t>(p_.epoch));
    if (static_cast<size_t>(p_.batch) > batches.size())
      fail("{}: {} batches of epoch {} are done, but it has {}", folder_.last(), p_.batch, p_.epoch, batches.size());
    if (static_cast<size_t>(p_.batch) < batches.size() && !run_batches(batches)) return;
    finish_epoch();
  }
}

// Trains the rest of the epoch. False: stopped at max_steps.
bool Trainer::run_batches(const std::vector<std::vector<int>>& batches) {
  LoaderConfig loader_config = train_loader_config(config_, engine_.form());
  loader_config.allocate = [&](size_t bytes) { return engine_.host_memory(bytes); };
  loader_config.epoch = static_cast<uint32_t>(p_.epoch);
  loader_config.cache = cache_;
  loader_config.pack = pack_;
  if (at_max_steps()) return start_save(), false;
  Loader loader(loader_config, loader_batches(data_, batches), static_cast<size_t>(p_.batch));
  Batches loaded;
  load(loader, loaded);
  batches_ = batches.size();
  while (launched_batches() < batches_) {
    writer_.check(p_.step);
    stop_if_interrupted();
    if (at_max_steps()) return start_save(), false;
    run_step(loader, loaded);
    if (launched_batches() < batches_ && checkpoint_is_due()) start_save();
  }
  finish_steps();
  report_.epoch(p_);
  return true;
}

void Trainer::load(Loader& loader, Batches& batches) {
  if (engine_.form() == PictureForm::Bytes) std::swap(batches[0], batches[1]);
  MPANET_CHECK(loader.next(batches[0]), "the loader has fewer batches than the epoch");
  engine_.upload(batches[0]);
}

// Launches a step, and uploads the next batch while the device computes.
void Trainer::run_step(Loader& loader, Batches& batches) {
  if (launched_ == 0) clock_ = std::chrono::steady_clock::now();
  engine_.step(config_.learning_rate(p_.epoch), p_.epoch);
  launched_++;
  if (launched_batches() < batches_) load(loader, batches);
  if (launched_ > (reads_late_ ? 1 : 0)) read_step();
}

// Nothing is saved before: a checkpoint has no weights of a step whose losses were not checked.
void Trainer::finish_steps() {
  while (launched_ > 0) read_step();
}

// Waits for the oldest step whose numbers were not read, and checks, counts and reports it.
void Trainer::read_step() {
  const auto [losses, updated, progress] = engine_.result(launched_ - 1);
  for (const auto& [name, value] : losses)
    if (!std::isfinite(value))
      fail("step {} (epoch {}): the loss {} is {}; {}; a lower lr may help", p_.step + 1, p_.epoch, name, value,
           writer_.held());
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
// evaluation says that it is due, so a run killed during it evaluates after resuming. It is written meanwhile.
void Trainer::finish_epoch() {
  bool best = false;
  if (!evaluated_.empty() && config_.evaluates_after(p_.epoch)) {
    start_save();
    stop_if_interrupted();
    best = evaluate();
  }
  p_.epoch++, p_.batch = 0;
  p_.loss_sums.clear();
  saved_ = false;
  start_save(best ? CheckpointWriter::Files::BestAndLast : CheckpointWriter::Files::Last);
}

// True: this is the best evaluation so far, and the model is to be written.
bool Trainer::evaluate() {
  EmbedOptions options;
  options.height = config_.model.height;
  options.width = config_.model.width;
  options.batch = config_.embed_batch;
  options.threads = config_.loader_threads;
  options.cache = cache_;
  options.pack = pack_;
  send_pictures_to(engine_, options);
  options.on_host = false;
  options.after_batch = throw_if_interrupted;
  const std::vector<ImageRecord> images = images_of(evaluated_);
  const Embeddings embeddings = embed_images(engine_, images, data_.root, options);
  const std::vector<std::vector<SettingResult>> results = rank_plans(evaluated_, images, embeddings, engine_.device());
  std::vector<Evaluation> evaluations;
  for (size_t i = 0; i < results.size(); i++) evaluations.push_back({evaluated_[i], results[i]});
  const double rank1 = selection_rank1(evaluations);  // NaN without any match, which is never the best
  const bool best = rank1 > p_.best_rank1;
  if (best) {
    p_.best_rank1 = rank1;
    p_.best_epoch = p_.epoch;
  }
  report_.evaluation(p_, evaluations, best);
  return best;
}

void Trainer::stop_if_interrupted() {
  if (!interrupted()) return;
  start_save();
  throw Interrupted{};
}

}  // namespace mpanet
