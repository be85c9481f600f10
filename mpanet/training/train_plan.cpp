#include "mpanet/training/train_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/context.h"
#include "data/sets/matfile.h"
#include "mpanet/evaluation/protocol.h"
#include "mpanet/evaluation/ranking.h"
#include "mpanet/evaluation/rerank.h"
#include "mpanet/training/free_memory.h"

namespace mpanet {
namespace {

// Memory that stays free beside a training set or embeddings on the device: for the program itself, which the plan does
// not count.
constexpr size_t kSpare = size_t{256} << 20;

}  // namespace

EngineConfig engine_config(const TrainConfig& config, const Workload& workload) {
  MPANET_CHECK(config.precision, "precision: expected one that was chosen, got auto");
  EngineConfig engine;
  engine.model = config.model;
  engine.optimizer = config.optimizer;
  engine.precision = *config.precision;
  engine.device = workload.device;
  engine.train_batch = config.p_size * config.k_size;
  engine.embed_batch = config.eval_interval > 0 ? config.embed_batch : 0;
  engine.pictures = workload.pictures;
  engine.vendors = workload.vendors;
  if (workload.pictures == PictureForm::Held) engine.held_pictures = static_cast<int>(workload.train_images);
  if (workload.pictures != PictureForm::Floats)
    engine.picture_values = picture_values(PixelTable(), config.augment().pad_value);
  return engine;
}

LoaderConfig train_loader_config(const TrainConfig& config, PictureForm form) {
  LoaderConfig loader;
  loader.form = form;
  loader.height = config.model.height;
  loader.width = config.model.width;
  loader.threads = config.loader_threads;
  loader.queue = config.loader_queue;
  loader.train = true;
  loader.augment = config.augment();
  loader.seed = config.seed;
  return loader;
}

std::vector<std::vector<Sample>> loader_batches(const Dataset& data, const std::vector<std::vector<int>>& batches) {
  std::vector<std::vector<Sample>> samples(batches.size());
  uint32_t position = 0;
  for (size_t b = 0; b < batches.size(); b++)
    for (int i : batches[b]) {
      const ImageRecord& image = data.train[static_cast<size_t>(i)];
      samples[b].push_back({data.root + "/" + image.path, image.label, image.infrared, position++, i});
    }
  return samples;
}

namespace {

// Of SYSU-MM01's layout. The rank-1 of one protocol cannot be compared with that of the other, so a run keeps the one
// of its evaluations before, `protocol` (empty: none).
std::string sysu_or_agw(const std::string& root, const std::string& trials, const std::string& protocol,
                        std::vector<std::string>& notes) {
  const bool found = !trials.empty() || has_trial_file(root);
  if (protocol == "agw" && !trials.empty())
    fail(
        "--trials: expected none, as the evaluations before were by the protocol agw, which needs none; leave it out "
        "(mpanet-eval evaluates by the trial file) or choose another --out");
  if (protocol == "sysu" && !found)
    fail(
        "{}: expected a trial file in it, as the evaluations before were by the protocol sysu, got none; name it with "
        "--trials",
        root);
  if (protocol == "agw" && found)
    notes.emplace_back("evaluations are by the protocol agw, as those before; the trial file is not used");
  else if (!found)
    notes.emplace_back("there is no trial file, so evaluations are by the protocol agw, which needs none");
  return found && protocol != "agw" ? "sysu" : "agw";
}

}  // namespace

std::vector<EvaluationPlan> plan_between_epochs(const TrainConfig& config, Dataset& data, const std::string& root,
                                                const std::string& trials, const std::string& protocol) {
  ProtocolOptions options;
  options.protocol =
      config.dataset == DatasetKind::Sysu ? sysu_or_agw(root, trials, protocol, data.notes) : name_of(config.dataset);
  options.root = root;
  options.trial_file = trials;
  if (config.dataset == DatasetKind::RegDb) options.split = config.split;
  PlannedEvaluation planned = plan_evaluations(options);
  std::vector<EvaluationPlan>& plans = planned.plans;
  for (const std::string& line : planned.notes) data.notes.push_back(line);
  for (EvaluationPlan& plan : plans) {
    plan.rerank = config.rerank;
    if (plan.rerank) check_rerank(plan);
  }
  check_pictures(data, images_of(plans));
  return std::move(planned.plans);
}

std::shared_ptr<const Pack> open_pack(const TrainConfig& config, const Dataset& data,
                                      const std::vector<EvaluationPlan>& evaluated) {
  if (config.pack.empty()) return nullptr;
  auto pack = std::make_shared<const Pack>(config.pack, data.root, config.model.height, config.model.width);
  pack->require(data.train);
  pack->require(images_of(evaluated));
  return pack;
}

std::shared_ptr<ImageCache> make_cache(const TrainConfig& config) {
  return config.cache_mib > 0 ? std::make_shared<ImageCache>(static_cast<size_t>(config.cache_mib) << 20) : nullptr;
}

uint64_t data_fingerprint(const std::vector<ImageRecord>& images) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const ImageRecord& image : images)
    for (const unsigned char byte : fmt::format("{} {} {}\n", image.path, image.label, image.infrared))
      hash = (hash ^ byte) * 0x100000001B3;
  return hash;
}

Workload workload_of(Device device, const Dataset& data, const std::vector<EvaluationPlan>& evaluated) {
  Workload workload = {.device = device, .train_images = data.train.size(), .evaluated = images_of(evaluated).size()};
  for (const EvaluationPlan& plan : evaluated) {
    // The normalised gallery, and if there are several plans the images of one.
    const size_t own = evaluated.size() > 1 ? plan.queries.size() + plan.gallery.size() : 0;
    workload.copied = std::max(workload.copied, plan.gallery.size() + own);
    if (plan.rerank) {
      workload.rerank_bytes = std::max(workload.rerank_bytes, rerank_bytes(plan));
    } else {
      workload.queries = std::max(workload.queries, plan.queries.size());
      workload.gallery = std::max(workload.gallery, plan.gallery.size());
    }
  }
  return workload;
}

TrainMemory plan_train_memory(const TrainConfig& config, const Workload& workload) {
  TrainMemory memory;
  memory.engine = plan_memory(engine_config(config, workload));
  const size_t evaluated = workload.evaluated;
  const size_t picture = static_cast<size_t>(config.model.height) * config.model.width * 3;
  const LoaderConfig training = train_loader_config(config, workload.pictures);
  const size_t cached = (workload.pictures == PictureForm::Held ? 0 : workload.train_images) + evaluated;
  memory.loader = loader_bytes(training, config.p_size * config.k_size) +
                  std::min(static_cast<size_t>(config.cache_mib) << 20, cached * picture);
  if (evaluated == 0) return memory;
  const int dimension = backbone_channels(config.model.depth) * (config.model.parts + 1);
  const size_t row = static_cast<size_t>(dimension) * sizeof(float);
  const bool floats = workload.pictures == PictureForm::Floats;
  LoaderConfig loader = train_loader_config(config, floats ? PictureForm::Floats : PictureForm::Bytes);
  loader.queue = LoaderConfig{}.queue;
  memory.evaluation = loader_bytes(loader, config.embed_batch) + workload.rerank_bytes;
  const bool on_host = !workload.evaluates_there || workload.rerank_bytes > 0;
  if (on_host) memory.evaluation += (evaluated + workload.copied) * row;
  if (!workload.evaluates_there) return memory;
  const auto ranking = device_ranking_bytes(workload.device, workload.queries, workload.gallery, dimension);
  memory.embeddings = evaluated * row + ranking.device;
  memory.evaluation += ranking.host;
  return memory;
}

FreeMemory find_free_memory(Device device) {
  FreeMemory free(free_memory());
  if (device.backend == Backend::cuda) free.gpu = Context(device).memory_use().free;
  return free;
}

PictureChoice choose_pictures(const TrainConfig& config, const Workload& workload, bool packed,
                              const FreeMemory& free) {
  if (workload.device.backend == Backend::cpu) return {};
  const bool gpu = workload.device.backend == Backend::cuda;
  const auto bytes = [](size_t n) { return format_bytes(static_cast<double>(n)); };
  Workload held = workload;
  held.pictures = PictureForm::Held;
  const TrainMemory memory = plan_train_memory(config, held);
  const size_t have = gpu ? free.gpu : free.host, set = memory.engine.pictures;
  const size_t need = (gpu ? memory.engine.total() : memory.total()) + kSpare;
  const bool fits = have == 0 || need <= have;
  const std::string where = name_of(workload.device);
  const std::string all = fmt::format("the training set's {}", counted(workload.train_images, "picture"));
  if (packed && fits)
    return {PictureForm::Held, fmt::format("pictures: {} lie on {} ({}), which augments them", all, where, bytes(set))};
  const std::string sent = fmt::format("pictures: sent to {} as bytes, which it augments; {} ", where, all);
  return {PictureForm::Bytes,
          fits ? fmt::format("{}({}) would fit there if they were packed (mpanet-data pack)", sent, bytes(set))
               : fmt::format("{}take {}, {} with the training, and {} are free", sent, bytes(set), bytes(need),
                             bytes(have))};
}

EvaluationChoice choose_evaluation(const TrainConfig& config, const Workload& workload, const FreeMemory& free) {
  if (workload.device.backend == Backend::cpu || workload.evaluated == 0) return {};
  const bool gpu = workload.device.backend == Backend::cuda;
  Workload there = workload;
  there.evaluates_there = true;
  const TrainMemory memory = plan_train_memory(config, there);
  const size_t have = gpu ? free.gpu : free.host;
  const size_t need = (gpu ? memory.on_device() : memory.total()) + kSpare;
  if (have == 0 || need <= have) return {true, ""};
  const auto bytes = [](size_t n) { return format_bytes(static_cast<double>(n)); };
  return {false, fmt::format("evaluation: embeddings and their ranking on {} would take {}, {} with the training, and "
                             "{} are free; they are planned in the host's memory",
                             name_of(workload.device), bytes(memory.embeddings), bytes(need), bytes(have))};
}

void hold_training_set(const Dataset& data, const Pack& pack, EnginePictures& engine) {
  Progress progress("the pack to the device", "pictures", data.train.size());
  for (size_t i = 0; i < data.train.size(); i++) {
    engine.hold(static_cast<int>(i), pack.find(data.root + "/" + data.train[i].path));
    progress.advance();
  }
}

std::string memory_text(const TrainMemory& memory, Device device, const FreeMemory& free) {
  const bool gpu = device.backend == Backend::cuda;
  const auto bytes = [](size_t n) { return format_bytes(static_cast<double>(n)); };
  const auto are_free = [&](size_t n) { return n > 0 ? fmt::format(", {} are free", bytes(n)) : std::string(); };
  const auto part = [&](const char* name, size_t n) { return n > 0 ? name + bytes(n) : std::string(); };
  return fmt::format(
      "memory: parameters and gradients {}, optimiser {}, activations {}{}{}{}pictures {}, evaluation {}, checkpoint "
      "{}; {} in all{}\n",
      bytes(memory.engine.parameters), bytes(memory.engine.optimizer), bytes(memory.engine.activations),
      part(", training set ", memory.engine.pictures), gpu ? part(", embeddings ", memory.embeddings) : "",
      gpu ? fmt::format("; {} in all on {}{}\nmemory of the host: ", bytes(memory.on_device()), name_of(device),
                        are_free(free.gpu))
          : std::string(", "),
      bytes(memory.loader), bytes(memory.evaluation + (gpu ? 0 : memory.embeddings)), bytes(memory.engine.snapshot),
      bytes(gpu ? memory.host() : memory.total()), are_free(free.host));
}

namespace {

// Which memory is too small, and how much of it is free; empty when everything fits.
std::string shortage(const TrainMemory& memory, Device device, const FreeMemory& free) {
  const bool gpu = device.backend == Backend::cuda;
  const auto compare = [](size_t need, size_t free_bytes, const std::string& where) {
    return free_bytes > 0 && need > free_bytes
               ? fmt::format("{} of memory{} and {} are free", format_bytes(static_cast<double>(need)), where,
                             format_bytes(static_cast<double>(free_bytes)))
               : std::string();
  };
  if (!gpu) return compare(memory.total(), free.host, "");
  const std::string short_of = compare(memory.on_device(), free.gpu, " on " + name_of(device));
  return short_of.empty() ? compare(memory.host(), free.host, " of the host") : short_of;
}

}  // namespace

std::optional<BatchSize> largest_batch(const TrainConfig& config, const Workload& workload, const FreeMemory& free) {
  // The plan depends only on the number of images p * k, and grows with it.
  const auto fits = [&](int images) {
    TrainConfig smaller = config;
    smaller.p_size = images;
    smaller.k_size = 1;
    return shortage(plan_train_memory(smaller, workload), workload.device, free).empty();
  };
  int most = 1, too_many = config.p_size * config.k_size + 1;  // binary search; a batch has at least two images
  while (too_many - most > 1) {
    const int middle = most + (too_many - most) / 2;
    (fits(middle) ? most : too_many) = middle;
  }
  BatchSize best;
  for (int k = config.k_size; k >= 2; k -= 2) {
    const int p = std::min(config.p_size, most / k);
    if (p * k > best.p * best.k) best = {p, k};
  }
  return best.p > 0 ? std::optional(best) : std::nullopt;
}

void check_memory(const TrainConfig& config, const Workload& workload, const FreeMemory& free) {
  const std::string short_of = shortage(plan_train_memory(config, workload), workload.device, free);
  if (short_of.empty()) return;
  const auto best = largest_batch(config, workload, free);
  fail("p_size {} x k_size {} needs {}; {}", config.p_size, config.k_size, short_of,
       best ? fmt::format("the largest that fits is p_size {} x k_size {}", best->p, best->k)
            : std::string("no batch fits: take a smaller depth or image_size"));
}

}  // namespace mpanet
