#include "mpanet/network/network_engine.h"

#include <algorithm>
#include <cstring>

#include "core/base/threads.h"
#include "core/download.h"
#include "kernels/cpu/vendor.h"
#include "kernels/cuda/vendor.h"
#include "kernels/embeddings.h"
#include "mpanet/network/device_rows.h"
#include "mpanet/network/element_order.h"
#include "mpanet/network/initial_values.h"
#include "mpanet/network/network.h"
#include "mpanet/network/state_copy.h"

namespace mpanet::PRECISION {
namespace {

void check_config(const EngineConfig& config) {
  check_image_size(config.model);
  MPANET_CHECK(config.model.parts >= 0 && config.model.parts <= 8, "parts: expected 0..8, got {}", config.model.parts);
  MPANET_CHECK(config.model.mam >= 0 && config.model.mam <= 2, "mam: expected 0..2, got {}", config.model.mam);
  MPANET_CHECK(config.model.classes >= 1, "classes: expected 1 or more, got {}", config.model.classes);
  MPANET_CHECK(config.train_batch == 0 || config.model.has_loss(), "expected a loss term, got none");
  MPANET_CHECK(config.train_batch == 0 || config.train_batch >= 2, "train_batch: expected 2 or more, got {}",
               config.train_batch);
  MPANET_CHECK((config.pictures == PictureForm::Held) == (config.held_pictures > 0),
               "held_pictures: expected some for PictureForm::Held and else none, got {}", config.held_pictures);
}

struct Planned {
  MemoryPlan plan;
  size_t arena = 0;
  StepFlops flops;
  MapShape maps;
};

Planned plan_with(const EngineConfig& config, const std::shared_ptr<StreamHandle>& stream) {
  Context context(config.device, stream, Arena::Mode::Plan);
  Network network(context, config);
  StepFlops flops;
  if (config.train_batch > 0) run_training(context, network, config);
  flops.train = context.flops();
  MapShape maps;
  if (config.embed_batch > 0) {
    const MpaNet::Features made = run_embedding(context, network, config);
    if (made.masks) maps = {config.model.parts, made.map_height, made.map_width};
  }
  flops.embed = context.flops() - flops.train;
  MemoryPlan plan;
  plan.optimizer = network.store.state_bytes();
  plan.pictures = network.held.bytes();
  const size_t inputs = (network.upload ? network.upload->bytes() : 0) + network.pictures.bytes();
  plan.parameters = context.persistent_bytes() - plan.optimizer - inputs - plan.pictures;
  plan.activations = context.arena().peak() + inputs;
  plan.snapshot = snapshot_bytes(network.store);
  return {plan, context.arena().peak(), flops, maps};
}

class NetworkEngine final : public Engine {
 public:
  NetworkEngine(const EngineConfig& config, const std::shared_ptr<StreamHandle>& stream, const Planned& planned)
      : config_(config),
        plan_(planned.plan),
        flops_(planned.flops),
        maps_(planned.maps),
        context_(config.device, stream, planned.arena),
        network_(context_, config),
        results_(context_, network_.record.bytes()) {
    for (const Parameter& p : network_.store.list()) tensors_.push_back({p.name, p.shape, p.trainable});
    reset_state();
  }

  void upload(const Batch& batch) override {
    const int n = config_.train_batch;
    MPANET_CHECK(n > 0, "this engine was made for embeddings only");
    check_batch(batch, n, n, config_.pictures);
    MPANET_CHECK(batch.labels.size() == static_cast<size_t>(n) && batch.infrared.size() == batch.labels.size(),
                 "expected {} labels and modalities, got {} and {}", n, batch.labels.size(), batch.infrared.size());
    for (const int32_t label : batch.labels)
      MPANET_CHECK(label >= 0 && label < config_.model.classes, "expected labels 0..{}, got {}",
                   config_.model.classes - 1, label);
    labels_ = batch.labels;
    infrared_ = batch.infrared;
    cuts_ = batch.cuts;
    upload_images(context_, network_, batch);
  }

  void step(double learning_rate, int epoch) override {
    begin_step(learning_rate, epoch);
    launch_step();
    results_.start(network_.record.as<void>());
  }

  void forward_backward(const Batch& batch, int epoch) override {
    upload(batch);
    begin_step(0, epoch);
    terms_ = run_training(context_, network_, config_);
    results_.start(network_.record.as<void>());
  }

  bool update(double learning_rate) override {
    context_.to_device(&network_.rates()->learning_rate, &learning_rate, sizeof learning_rate);
    run_update(context_, network_, config_.optimizer);
    results_.start(network_.record.as<void>());
    return result(0).updated;
  }

  using EngineTrain::result;
  StepResult result(int age) const override {
    const auto* record = static_cast<const char*>(results_.wait(age));
    StepState state;
    std::memcpy(&state, record, sizeof state);
    std::vector<real> values(terms_.size());
    if (!values.empty()) std::memcpy(values.data(), record + sizeof state, values.size() * sizeof(real));
    StepResult result{{}, state.updated != 0, progress_of(state)};
    for (size_t i = 0; i < terms_.size(); i++) result.losses.emplace_back(terms_[i], static_cast<double>(values[i]));
    return result;
  }

  OptimizerProgress optimizer_progress() const override { return progress_of(state()); }
  void set_optimizer_progress(const OptimizerProgress& progress) override {
    StepState now = state();
    now.step = progress.steps;
    now.loss_scale = kScalesLoss && progress.loss_scale != 0 ? progress.loss_scale : kFirstLossScale;
    now.steady = progress.steady;
    set_state(now);
  }

  void embed(const Batch& batch, float* out) override { embed_into(batch, out); }
  void embed(const Batch& batch, double* out) override { embed_into(batch, out); }
  void embed(const Batch& batch, float* out, float* maps) override {
    MPANET_CHECK(maps_.parts > 0, "this network has no pattern maps");
    embed_into(batch, out, maps);
  }
  std::shared_ptr<DeviceRows> make_rows(size_t count) override {
    const size_t bytes = count * static_cast<size_t>(feature_size()) * sizeof(float);
    if (context_.backend() == Backend::cpu || count == 0) return nullptr;
    if (context_.backend() == Backend::cuda && bytes > context_.memory_use().free) return nullptr;
    return std::make_shared<DeviceRows>(config_.device, count, feature_size());
  }
  void embed(const Batch& batch, DeviceRows& rows, size_t first, bool mean) override {
    const auto count = static_cast<size_t>(batch.count);
    MPANET_CHECK(rows.device() == config_.device && rows.dimension() == feature_size() && first <= rows.count() &&
                     count <= rows.count() - first,
                 "expected {} rows of {} numbers from row {}, got {} of {}", count, feature_size(), first, rows.count(),
                 rows.dimension());
    const MpaNet::Features made = launch_embedding(batch);
    RUN_ON(context_, keep_embeddings(context_.stream(), made.f.data(), static_cast<int64_t>(count) * feature_size(),
                                     mean, rows.row(first)));
  }
  void finish() override { context_.synchronize(); }
  MapShape map_shape() const override { return maps_; }
  int feature_size() const override { return network_.net.feature_size(); }

  PictureForm form() const override { return config_.pictures; }

  void hold(int index, const uint8_t* pixels) override {
    MPANET_CHECK(index >= 0 && index < config_.held_pictures, "expected a picture of 0..{}, got {}",
                 config_.held_pictures - 1, index);
    const size_t bytes = network_.held.bytes() / static_cast<size_t>(config_.held_pictures);
    context_.to_device(network_.held.as<uint8_t>() + static_cast<size_t>(index) * bytes, pixels, bytes);
  }

  std::shared_ptr<uint8_t> host_memory(size_t bytes) override {
    for (const HostBuffer& buffer : host_memory_)
      if (buffer.memory().use_count() == 1 && buffer.bytes() >= bytes) return shared(buffer);
    return shared(host_memory_.emplace_back(context_, bytes));
  }

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }

  void read(const std::string& name, Slot slot, double* out) const override {
    const auto [memory, p] = locate(name, slot);
    std::vector<real> values(static_cast<size_t>(p->count));
    context_.to_host(values.data(), memory, values.size() * sizeof(real));
    const double factor = factor_of(slot);
    for_each_element(*p, [&](int64_t outside, int64_t inside) {
      out[outside] = static_cast<double>(values[static_cast<size_t>(inside)]) / factor;
    });
  }

  void write(const std::string& name, Slot slot, const double* in) override {
    write_slot(name, slot, in);
    if (slot == Slot::Value) network_.store.changed(context_);
  }

  int real_bytes() const override { return sizeof(real); }

  std::unique_ptr<StateSnapshot> snapshot() const override { return take_snapshot(context_, network_.store, tensors_); }

  void initialize(uint64_t seed) override {
    for (const Parameter& p : network_.store.list()) {
      write_slot(p.name, Slot::Value, initial_values(p.name, p.shape, seed).data());
      const std::vector<double> zeros(static_cast<size_t>(p.count));
      if (network_.store.first(p) != nullptr) write_slot(p.name, Slot::First, zeros.data());
      if (network_.store.second(p) != nullptr) write_slot(p.name, Slot::Second, zeros.data());
    }
    network_.store.changed(context_);
    reset_state();
  }

  Device device() const override { return context_.device(); }
  const MemoryPlan& plan() const override { return plan_; }
  MemoryUse memory_use() const override { return context_.memory_use(); }
  Vendors vendors() const override {
    if (context_.backend() == Backend::cpu) return mpanet::cpu::vendors_of(context_.stream());
    return context_.backend() == Backend::cuda ? mpanet::cuda::vendors_of(context_.stream()) : config_.vendors;
  }
  StepFlops flops() const override { return flops_; }
  int64_t replays() const override { return replays_; }
  int64_t recordings() const override { return recordings_; }
  void mark() override { context_.mark(); }
  std::vector<double> take_laps() override { return context_.take_laps(); }
  void set_profiling(bool on) override { context_.set_profiling(on); }
  std::vector<OpTime> take_profile() override {
    std::vector<OpTime> times;
    for (const auto& [op, s] : context_.take_profile()) times.push_back({op, s.seconds, s.flops, s.calls});
    return times;
  }

 private:
  static std::shared_ptr<uint8_t> shared(const HostBuffer& buffer) {
    return std::static_pointer_cast<uint8_t>(buffer.memory());
  }

  void check_batch(const Batch& batch, int least, int most, PictureForm form) const {
    const ModelConfig& m = config_.model;
    MPANET_CHECK(batch.count >= least && batch.count <= most, "expected {}..{} pictures, got {}", least, most,
                 batch.count);
    MPANET_CHECK(batch.height == m.height && batch.width == m.width, "expected pictures of {}x{}, got {}x{}", m.height,
                 m.width, batch.height, batch.width);
    MPANET_CHECK(batch.form == form, "expected pictures in form {}, got {}", static_cast<int>(form),
                 static_cast<int>(batch.form));
    const size_t values =
        size_t{3} * static_cast<size_t>(batch.count) * static_cast<size_t>(m.height) * static_cast<size_t>(m.width);
    if (form == PictureForm::Floats) {
      MPANET_CHECK(batch.images.size() == values, "expected {} pictures' values, got {}", batch.count,
                   batch.images.size());
      return;
    }
    MPANET_CHECK(form == PictureForm::Held || (batch.pixels && batch.pixel_bytes >= values),
                 "expected {} bytes of pixels, got {}", values, batch.pixel_bytes);
    MPANET_CHECK(batch.cuts.size() == static_cast<size_t>(batch.count), "expected {} cuts, got {}", batch.count,
                 batch.cuts.size());
    const int pictures = form == PictureForm::Held ? config_.held_pictures : batch.count;
    for (const PictureCut& cut : batch.cuts) check_cut(cut, pictures);
  }

  void check_cut(const PictureCut& cut, int pictures) const {
    const auto inside = [](int begin, int count, int size) {
      return begin >= 0 && count >= 0 && begin <= size && count <= size - begin;
    };
    MPANET_CHECK(cut.picture >= 0 && cut.picture < pictures, "expected a picture of 0..{}, got {}", pictures - 1,
                 cut.picture);
    MPANET_CHECK(inside(cut.erase_top, cut.erase_height, config_.model.height) &&
                     inside(cut.erase_left, cut.erase_width, config_.model.width),
                 "expected a rectangle in {}x{}, got {}x{} at {}, {}", config_.model.height, config_.model.width,
                 cut.erase_height, cut.erase_width, cut.erase_top, cut.erase_left);
  }

  // The part of a step that depends on the host: the numbers of the uploaded batch, and its pictures.
  void begin_step(double learning_rate, int epoch) {
    check_team();
    MPANET_CHECK(!labels_.empty(), "expected a batch that was uploaded");
    const StepRates rates{learning_rate, config_.model.update_rate * std::min(100.0 / (epoch + 1), 1.0)};
    send_input(context_, network_, rates, labels_, infrared_, cuts_);
    labels_.clear();
    take_images(context_, network_, config_, config_.pictures, config_.train_batch, config_.train_batch);
  }

  // Launches the kernels one by one in the first step. On a GPU the second step is recorded, and later ones replay it.
  void launch_step() {
    const auto run = [&] {
      terms_ = run_training(context_, network_, config_);
      run_update(context_, network_, config_.optimizer);
    };
    if (!config_.record_steps || !context_.can_capture() || context_.profiling() || !std::exchange(warm_, true))
      return run();
    // A recorded step holds addresses of buffers, so it is recorded again when one was made. Every number that changes
    // from step to step is in device memory.
    if (!step_ || recorded_for_ != context_.buffers_made()) {
      step_ = context_.capture(run);
      recorded_for_ = context_.buffers_made();
      recordings_++;
    }
    context_.replay(step_);
    replays_++;
    network_.store.moved();
  }

  StepState state() const {
    StepState state;
    context_.to_host(&state, network_.state(), sizeof state);
    return state;
  }
  void set_state(const StepState& state) { context_.to_device(network_.state(), &state, sizeof state); }
  void reset_state() { set_state({.loss_scale = kFirstLossScale}); }
  static OptimizerProgress progress_of(const StepState& state) { return {state.step, state.loss_scale, state.steady}; }

  // Stored value / true value. Gradients are stored as the backward pass writes them, multiplied by the loss scale.
  double factor_of(Slot slot) const { return kScalesLoss && slot == Slot::Gradient ? state().gradient_scale : 1; }

  // Does not wait for the device.
  MpaNet::Features launch_embedding(const Batch& batch) {
    check_team();
    const bool floats = config_.pictures == PictureForm::Floats;
    check_batch(batch, 1, config_.embed_batch, floats ? PictureForm::Floats : PictureForm::Bytes);
    labels_.clear();  // upload_images() overwrites the pictures of an uploaded batch
    upload_images(context_, network_, batch);
    if (!floats)
      context_.to_device(network_.cuts(config_.train_batch), batch.cuts.data(), batch.cuts.size() * sizeof(PictureCut));
    take_images(context_, network_, config_, batch.form, config_.embed_batch, batch.count);
    return run_embedding(context_, network_, config_);
  }

  template <class T>
  void embed_into(const Batch& batch, T* out, float* maps = nullptr) {
    const MpaNet::Features made = launch_embedding(batch);
    const std::vector<real> g = made.f.to_host();
    std::copy_n(g.begin(), batch.count * feature_size(), out);
    if (maps != nullptr) copy_maps(made.masks.to_host(), batch.count, maps);
  }

  // (N, HW, P) -> (count, P, H, W)
  void copy_maps(const std::vector<real>& masks, int count, float* maps) const {
    const size_t parts = static_cast<size_t>(maps_.parts), area = static_cast<size_t>(maps_.height) * maps_.width;
    for (size_t n = 0; n < static_cast<size_t>(count); n++)
      for (size_t p = 0; p < parts; p++)
        for (size_t at = 0; at < area; at++)
          maps[(n * parts + p) * area + at] = static_cast<float>(masks[(n * area + at) * parts + p]);
  }

  // write() without making the working copies of weights again.
  void write_slot(const std::string& name, Slot slot, const double* in) {
    const auto [memory, p] = locate(name, slot);
    std::vector<real> values(static_cast<size_t>(p->count));
    const double factor = factor_of(slot);
    for_each_element(*p, [&](int64_t outside, int64_t inside) {
      values[static_cast<size_t>(inside)] = static_cast<real>(in[outside] * factor);
    });
    context_.to_device(memory, values.data(), values.size() * sizeof(real));
  }

  std::pair<real*, const Parameter*> locate(const std::string& name, Slot slot) const {
    const Parameter* p = network_.store.find(name);
    MPANET_CHECK(p != nullptr, "no tensor is called {}", name);
    real* memory = p->value;
    if (slot == Slot::Gradient) memory = p->gradient;
    if (slot == Slot::First) memory = network_.store.first(*p);
    if (slot == Slot::Second) memory = network_.store.second(*p);
    MPANET_CHECK(memory != nullptr, "{} has no such slot", name);
    return {memory, p};
  }

  EngineConfig config_;
  MemoryPlan plan_;
  StepFlops flops_;
  MapShape maps_;
  mutable Context context_;
  mutable Network network_;
  Download results_;
  std::vector<HostBuffer> host_memory_;
  std::vector<int32_t> labels_;  // of the uploaded batch; empty when no batch is uploaded
  std::vector<uint8_t> infrared_;
  std::vector<PictureCut> cuts_;
  CapturedWork step_;
  uint64_t recorded_for_ = 0;
  bool warm_ = false;
  int64_t replays_ = 0, recordings_ = 0;
  std::vector<std::string> terms_;  // names of the last step's loss terms
  std::vector<TensorInfo> tensors_;
};

// In 16 bits the products of parameters, which are floats, are in TF32 where the device has it.
std::shared_ptr<StreamHandle> make_stream(const EngineConfig& config) {
  const auto stream = std::make_shared<StreamHandle>(config.device);
  const bool half = config.precision == Precision::bf16 || config.precision == Precision::f16;
  stream->set_tf32(config.precision == Precision::tf32 || (half && stream->can_use_tf32()));
  if (config.device.backend == Backend::cpu) mpanet::cpu::set_vendors(stream->get(), config.vendors);
  return stream;
}

}  // namespace

MemoryPlan plan_memory(const EngineConfig& config) {
  check_config(config);
  return plan_with(config, make_stream(config)).plan;
}

std::unique_ptr<Engine> make_engine(const EngineConfig& config) {
  check_config(config);
  const auto stream = make_stream(config);
  if (config.device.backend == Backend::cuda) mpanet::cuda::set_vendors(stream->get(), config.vendors);
  return std::make_unique<NetworkEngine>(config, stream, plan_with(config, stream));
}

}  // namespace mpanet::PRECISION
