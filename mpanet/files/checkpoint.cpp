#include "mpanet/files/checkpoint.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <set>

#include "core/base/error.h"
#include "core/base/json_fields.h"
#include "core/base/quote.h"

namespace mpanet {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kConfigKey = "mpanet.config";
constexpr const char* kFirst = "optimizer.first.";
constexpr const char* kSecond = "optimizer.second.";
constexpr const char* kRunningMean = "running_mean";
constexpr const char* kBatchesTracked = "num_batches_tracked";

Dtype dtype_of(const StateSnapshot& state) { return state.real_bytes() == 8 ? Dtype::F64 : Dtype::F32; }

template <class Real>
void check_finite(const std::vector<uint8_t>& elements, const std::string& name) {
  for (size_t at = 0; at < elements.size(); at += sizeof(Real)) {
    Real value;
    std::memcpy(&value, elements.data() + at, sizeof value);
    if (!std::isfinite(value)) throw NotFinite(fmt::format("tensor {} holds {}", name, value));
  }
}

// One slot of a tensor, which the file calls `name`.
TensorSource source_of(const StateSnapshot& state, const TensorInfo& tensor, Slot slot, const std::string& name) {
  const auto elements = [&state, tensor, slot, name] {
    std::vector<uint8_t> bytes(static_cast<size_t>(tensor.count()) * static_cast<size_t>(state.real_bytes()));
    state.read(tensor.name, slot, bytes.data());
    state.real_bytes() == 8 ? check_finite<double>(bytes, name) : check_finite<float>(bytes, name);
    return bytes;
  };
  return {.name = name, .dtype = dtype_of(state), .shape = tensor.shape, .raw = elements};
}

// The model's tensors. num_batches_tracked is PyTorch's count of training forwards: one a step, so it equals `steps`.
std::vector<TensorSource> model_tensors(const StateSnapshot& state, int64_t steps) {
  std::vector<TensorSource> sources;
  for (const TensorInfo& tensor : state.tensors()) {
    const std::string& name = tensor.name;
    sources.push_back(source_of(state, tensor, Slot::Value, name));
    if (!name.ends_with(kRunningMean)) continue;
    const std::string norm = name.substr(0, name.size() - std::string_view(kRunningMean).size());
    sources.push_back(
        {norm + kBatchesTracked, Dtype::I64, {}, [steps](double* out) { *out = static_cast<double>(steps); }});
  }
  return sources;
}

// The optimiser's state of a trainable tensor: prefix of the name in the file, and the engine's slot.
std::vector<std::pair<const char*, Slot>> optimizer_slots(const TrainConfig& config) {
  if (config.optimizer.kind == OptimizerConfig::Kind::Sgd) return {{kFirst, Slot::First}};
  return {{kFirst, Slot::First}, {kSecond, Slot::Second}};
}

std::string progress_text(const Progression& p) {
  return json{{"epoch", p.epoch},
              {"batch", p.batch},
              {"step", p.step},
              {"data", p.data},
              {"loss_sums", p.loss_sums},
              {"best_rank1", p.best_rank1},
              {"best_epoch", p.best_epoch},
              {"optimizer",
               {{"steps", p.optimizer.steps}, {"loss_scale", p.optimizer.loss_scale}, {"steady", p.optimizer.steady}}}}
      .dump();
}

// Sums by name of the loss term: [["ce", 1.5], ...].
Losses parse_loss_sums(const JsonFields& fields) {
  Losses sums;
  for (const ordered_json& sum : fields.list("loss_sums")) {
    if (!sum.is_array() || sum.size() != 2 || !sum[0].is_string() || !sum[1].is_number())
      fields.refuse("loss_sums", "pairs of a name and a number", &sum);
    sums.emplace_back(sum[0].get<std::string>(), sum[1].get<double>());
  }
  return sums;
}

Progression parse_progress(const std::string& text, const std::string& source) {
  const ordered_json value = parse_ordered_json(text, source);
  const JsonFields fields(value, source);
  Progression p;
  p.epoch = fields.whole<int>("epoch", 1);
  p.batch = fields.whole<int>("batch", 0);
  p.step = fields.whole<int64_t>("step", 0);
  p.data = fields.whole<uint64_t>("data");
  p.loss_sums = parse_loss_sums(fields);
  p.best_rank1 = fields.number("best_rank1", -1, 100);
  p.best_epoch = fields.whole<int>("best_epoch", 0);
  p.optimizer.steps = p.step;  // for checkpoints older than loss scaling, which have no "optimizer"
  if (fields.has("optimizer")) {
    const JsonFields optimizer = fields.object("optimizer");
    p.optimizer.steps = optimizer.whole<int64_t>("steps", 0);
    p.optimizer.loss_scale = optimizer.number("loss_scale");
    p.optimizer.steady = optimizer.whole<decltype(p.optimizer.steady)>("steady", 0);
  }
  return p;
}

void check_shape(const TensorFile& file, const StateDict& state, const std::string& name,
                 const std::vector<int64_t>& shape) {
  const auto* entry = state.find(file, name);
  if (!entry) fail("{}: tensor {} is missing", file.path(), state.name_in_file(name));
  if (entry->shape != shape)
    fail("{}: tensor {}: expected shape {}, got {}", file.path(), state.name_in_file(name), shape_text(shape),
         shape_text(entry->shape));
}

void check_no_others(const TensorFile& file, const EngineState& engine) {
  std::set<std::string> known;
  for (const TensorInfo& tensor : engine.tensors()) known.insert(tensor.name);
  for (const auto& [name, entry] : file.tensors())
    if (!known.contains(name) && !is_left(name)) fail("{}: tensor {} is not of this network", file.path(), quote(name));
}

}  // namespace

std::vector<double> read_finite(const TensorFile& file, const std::string& name) {
  std::vector<double> values = file.read(name);
  const auto bad = std::find_if(values.begin(), values.end(), [](double v) { return !std::isfinite(v); });
  if (bad != values.end())
    fail("{}: tensor {}: expected finite values, element {} is {}", file.path(), quote(name), bad - values.begin(),
         *bad);
  const auto negative = std::find_if(values.begin(), values.end(), [](double v) { return v < 0; });
  if (negative != values.end() && name.ends_with("running_var"))
    fail("{}: tensor {}: expected variances from 0, element {} is {}", file.path(), quote(name),
         negative - values.begin(), *negative);
  return values;
}

std::vector<double> read_finite(const TensorFile& file, const std::string& name, int real_bytes) {
  std::vector<double> values = read_finite(file, name);
  if (real_bytes >= 8) return values;
  const auto bad =
      std::find_if(values.begin(), values.end(), [](double v) { return !std::isfinite(static_cast<float>(v)); });
  if (bad != values.end())
    fail("{}: tensor {}: expected values in float32's range, element {} is {}", file.path(), quote(name),
         bad - values.begin(), *bad);
  return values;
}

void save_model(const std::string& path, const StateSnapshot& state, const TrainConfig& config, int64_t steps) {
  write_safetensors(path, model_tensors(state, steps), {{"format", "pt"}, {kConfigKey, config_line(config)}});
}

void save_training(const std::string& path, const StateSnapshot& state, const TrainConfig& config,
                   const Progression& progression) {
  std::vector<TensorSource> sources = model_tensors(state, progression.step);
  for (const TensorInfo& tensor : state.tensors())
    for (const auto& [prefix, slot] : optimizer_slots(config))
      if (tensor.trainable) sources.push_back(source_of(state, tensor, slot, prefix + tensor.name));
  write_safetensors(path, std::move(sources),
                    {{"format", "pt"}, {kConfigKey, config_line(config)}, {kProgressKey, progress_text(progression)}});
}

Checkpoint::Checkpoint(const std::string& path) : file_(path), state_(find_state_dict(file_)) {
  const auto& metadata = file_.metadata();
  if (const auto text = metadata.find(kConfigKey); text != metadata.end()) {
    config_ = parse_config(text->second, fmt::format("{}: {}", path, kConfigKey));
    if (!config_->precision) config_->precision = Precision::f32;  // the default of the versions before auto
    model_ = config_->model;
  } else {
    model_ = infer_model(file_, state_);
  }
  if (const auto text = metadata.find(kProgressKey); config_ && text != metadata.end())
    progression_ = parse_progress(text->second, fmt::format("{}: {}", path, kProgressKey));
}

ModelConfig Checkpoint::embedding_model() const {
  ModelConfig model = model_;
  model.classes = 1;
  model.classification = model.mutual = model.triplet = model.center = false;
  return model;
}

WeightsReport Checkpoint::load_embedding(EngineState& engine) const {
  WeightsReport report = begin_report(state_);
  for (const TensorInfo& tensor : engine.tensors())
    if (!is_classifier(tensor.name)) {
      check_shape(file_, state_, tensor.name, tensor.shape);
      report.taken.push_back(tensor.name);
    }
  const std::set<std::string> taken(report.taken.begin(), report.taken.end());
  for (const auto& [name, in_file] : state_.names) {
    if (taken.contains(name)) continue;
    const bool known = is_left(name) || is_classifier(name);
    report.left.push_back(quote(in_file) + (known ? "" : " (not of this network)"));
    if (!known) report.unknown.push_back(in_file);
  }
  for (const std::string& name : report.taken)
    engine.write(name, Slot::Value, read_finite(file_, state_.names.at(name), engine.real_bytes()).data());
  return report;
}

void Checkpoint::load_training(EngineState& engine) const {
  if (!progression_)
    fail("{}: expected a checkpoint that training can go on from (last.safetensors), got a model alone", path());
  for (const TensorInfo& tensor : engine.tensors()) {
    const auto* entry = file_.find(tensor.name);
    if (is_classifier(tensor.name) && entry && entry->shape.size() == 2 && entry->shape[0] != tensor.shape[0])
      fail("{}: expected {} classes, as the data set has identities for training, got {} ({})", path(), tensor.shape[0],
           entry->shape[0], tensor.name);
    check_shape(file_, state_, tensor.name, tensor.shape);
    if (!tensor.trainable) continue;
    for (const auto& [prefix, slot] : optimizer_slots(*config_))
      check_shape(file_, state_, prefix + tensor.name, tensor.shape);
  }
  check_no_others(file_, engine);
  for (const TensorInfo& tensor : engine.tensors()) {
    engine.write(tensor.name, Slot::Value, read_finite(file_, tensor.name, engine.real_bytes()).data());
    if (!tensor.trainable) continue;
    for (const auto& [prefix, slot] : optimizer_slots(*config_))
      engine.write(tensor.name, slot, read_finite(file_, prefix + tensor.name, engine.real_bytes()).data());
  }
  engine.set_optimizer_progress(progression_->optimizer);
}

}  // namespace mpanet
