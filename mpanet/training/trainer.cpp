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
                 std::shared_ptr<const Pack> pack)
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
      pack_(std::move(pack)),
      report_(config, folder.log(), p_, epoch_is_complete(), max_steps.value_or(-1)) {}

// The step in last.safetensors, as text for messages.
std::string Trainer::held() const {
  return held_step_ < 0 ? fmt::format("there is no {} yet", folder_.last())
                        : fmt::format("{} still holds step {}", folder_.last(), held_step_);
}

template <class Save>
void Trainer::refusing_not_finite(Save save) {
  try {
    save();
  } catch (const NotFinite& e) {
    fail("step {} (epoch {}): {}; {}; a lower lr may help", p_.step, p_.epoch, e.what(), held());
  }
}

void Trainer::save() {
  finish_steps();
  if (saved_) return;
  refusing_not_finite([&] { save_training(folder_.last(), engine_, config_, p_); });
  saved_ = true;
  held_step_ = p_.step;
}

bool Trainer::epoch_is_complete() const {
  return p_.batch > 0 && static_cast<size_t>(p_.batch) == sampler_.epoch(static_cast<uint32_t>(p_.epoch)).size();
}

void Trainer::run() {
  while (p_.epoch <= config_.num_epoch) {
    const auto batches = sampler_.epoch(static_cast<uint32_t>(p_.epoch));
    if (static_cast<size_t>(p_.batch) > batches.size())
      fail("{}: {} batches of epoch {} are done, but it has {}", folder_.last(), p_.batch, p_.epoch, batches.size());
    if (static_cast<size_t>(p_.batch) < batches.size() && !run_batches(batches)) return;
    finish_epoch();
  }
}

// Trains the rest of the epoch. False: stopped at max_steps, and saved.
bool Trainer::run_batches(const std::vector<std::vector<int>>& batches) {
  LoaderConfig loader_config = train_loader_config(config_, engine_.form());
  loader_config.allocate = [&](size_t bytes) { return engine_.host_memory(bytes); };
  loader_config.epoch = static_cast<uint32_t>(p_.epoch);
  loader_config.cache = cache_;
  loader_config.pack = pack_;
  if (at_max_steps()) return save(), false;
  Loader loader(loader_config, loader_batches(data_, batches), static_cast<size_t>(p_.batch));
  Batches loaded;
  load(loader, loaded);
  batches_ = batches.size();
  while (launched_batches() < batches_) {
    stop_if_interrupted();
    if (at_max_steps()) return save(), false;
    run_step(loader, loaded);
    const bool last = launched_batches() == batches_;
    if (!last && config_.checkpoint_every > 0 && launched_steps() % config_.checkpoint_every == 0) save();
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
void Trainer::finish_epoch() {
  if (!evaluated_.empty() && config_.evaluates_after(p_.epoch)) {
    save();
    stop_if_interrupted();
    evaluate();
  }
  p_.epoch++, p_.batch = 0;
  p_.loss_sums.clear();
  saved_ = false;
  save();
}

void Trainer::evaluate() {
  EmbedOptions options;
  options.height = config_.model.height;
  options.width = config_.model.width;
  options.batch = config_.embed_batch;
  options.threads = config_.loader_threads;
  options.cache = cache_;
  options.pack = pack_;
  if (engine_.form() != PictureForm::Floats) options.form = PictureForm::Bytes;
  options.allocate = [&](size_t bytes) { return engine_.host_memory(bytes); };
  options.after_batch = [] {
    if (interrupted()) throw Interrupted{};
  };
  const std::vector<ImageRecord> images = images_of(evaluated_);
  const Embeddings embeddings = embed_images(engine_, images, data_.root, options);
  const std::vector<std::vector<SettingResult>> results = rank_plans(evaluated_, images, embeddings);
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

void Trainer::stop_if_interrupted() {
  if (!interrupted()) return;
  save();
  throw Interrupted{};
}

}  // namespace mpanet
