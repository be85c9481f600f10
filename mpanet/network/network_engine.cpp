#include "mpanet/network/network_engine.h"

#include <algorithm>

#include "mpanet/initial_values.h"
#include "mpanet/network/mpa_net.h"

namespace mpanet::PRECISION {
namespace {

ParameterStore::State state_of(const EngineConfig& config) {
  if (config.train_batch == 0) return ParameterStore::State::None;
  return config.optimizer.kind == OptimizerConfig::Kind::Adam ? ParameterStore::State::Adam
                                                              : ParameterStore::State::Momentum;
}

// A network with its memory: once in a planning context, once for real.
struct Network {
  Network(Context& context, const EngineConfig& config) : net(store, config.model), state(context, sizeof(StepState)) {
    store.allocate(context, state_of(config));
  }
  ParameterStore store;
  MpaNet net;
  Buffer state;
};

// Pictures on the device, the rest of the tensor zero. images is null while planning.
Tensor load_images(Context& context, const ModelConfig& model, int count, const float* images, int given) {
  const Tensor x(context, {count, model.height, model.width, 3});
  const Scratch<float> staging(context, x.count());
  const size_t bytes = static_cast<size_t>(x.count() / count * given) * sizeof(float);
  context.to_device(staging.data(), images, bytes);
  context.zero(staging.data() + bytes / sizeof(float), static_cast<size_t>(x.count()) * sizeof(float) - bytes);
  RUN_ON(context, cast_images(context.stream(), staging.data(), x.data(), x.count()));
  return x;
}

Losses run_training(Context& context, Network& network, const EngineConfig& config, const Batch& batch) {
  const int n = config.train_batch;
  context.set_recording(true);
  network.store.begin_step();
  Losses values;
  {
    const LabelTensor labels(context, {n});
    const FlagTensor infrared(context, {n});
    context.to_device(labels.data(), batch.labels.data(), static_cast<size_t>(n) * sizeof(int32_t));
    context.to_device(infrared.data(), batch.infrared.data(), static_cast<size_t>(n));
    const MpaNet::NamedTerms terms =
        network.net.losses(context, load_images(context, config.model, n, batch.images.data(), n), labels, infrared,
                           network.state.as<StepState>());
    const auto [gradient, write] = terms.back().second.grad_sink();
    RUN_ON(context, set_value(context.stream(), gradient, 1, 1));
    context.tape().backward();
    network.store.finish_gradients(context);
    // All terms in one read: each would be a wait for the device.
    const RealTensor together(context, {static_cast<int64_t>(terms.size())});
    for (size_t i = 0; i < terms.size(); i++)
      RUN_ON(context, accumulate(context.stream(), terms[i].second.data(), together.data() + i, 1, Write::Set));
    const std::vector<real> numbers = together.to_host();
    for (size_t i = 0; i < terms.size(); i++) values.emplace_back(terms[i].first, static_cast<double>(numbers[i]));
  }
  network.store.changed(context);  // the running statistics and the teachers moved
  return values;
}

// The embedding always runs at full batch size, so that a picture's numbers do not depend on its neighbours' count.
RealTensor run_embedding(Context& context, Network& network, const EngineConfig& config, const float* images,
                         int given) {
  context.set_recording(false);
  return network.net.embed(context, load_images(context, config.model, config.embed_batch, images, given));
}

void check_config(const EngineConfig& config) {
  check_image_size(config.model);
  CHECK(config.model.parts >= 0 && config.model.parts <= 8, "parts: expected 0..8, got {}", config.model.parts);
  CHECK(config.model.mam >= 0 && config.model.mam <= 2, "mam: expected 0..2, got {}", config.model.mam);
  CHECK(config.model.classes >= 1, "classes: expected 1 or more, got {}", config.model.classes);
  CHECK(config.train_batch == 0 || config.train_batch >= 2, "train_batch: expected 2 or more, got {}",
        config.train_batch);
}

struct Planned {
  MemoryPlan plan;
  size_t arena = 0;
};

Planned plan_with(const EngineConfig& config, const std::shared_ptr<StreamHandle>& stream) {
  Context context(Backend::cpu, stream, Arena::Mode::Plan);
  Network network(context, config);
  if (config.train_batch > 0) run_training(context, network, config, {});
  if (config.embed_batch > 0) run_embedding(context, network, config, nullptr, 0);
  MemoryPlan plan;
  plan.optimizer = network.store.state_bytes();
  plan.parameters = context.persistent_bytes() - plan.optimizer;
  plan.activations = context.arena().peak();
  return {plan, context.arena().peak()};
}

class NetworkEngine final : public Engine {
 public:
  NetworkEngine(const EngineConfig& config, const std::shared_ptr<StreamHandle>& stream, const Planned& planned)
      : config_(config),
        plan_(planned.plan),
        context_(Backend::cpu, stream, planned.arena),
        network_(context_, config) {
    for (const Parameter& p : network_.store.list()) tensors_.push_back({p.name, p.shape, p.trainable});
  }

  Losses forward_backward(const Batch& batch, int epoch) override {
    CHECK(config_.train_batch > 0, "this engine was made for embeddings only");
    check_batch(batch, config_.train_batch, config_.train_batch);
    CHECK(batch.labels.size() == static_cast<size_t>(batch.count) && batch.infrared.size() == batch.labels.size(),
          "expected {} labels and modalities, got {} and {}", batch.count, batch.labels.size(), batch.infrared.size());
    for (const int32_t label : batch.labels)
      CHECK(label >= 0 && label < config_.model.classes, "expected labels 0..{}, got {}", config_.model.classes - 1,
            label);
    state_.teacher_rate = config_.model.update_rate * std::min(100.0 / (epoch + 1), 1.0);
    send_state();
    return run_training(context_, network_, config_, batch);
  }

  void update(double learning_rate) override {
    const OptimizerConfig& o = config_.optimizer;
    state_.learning_rate = learning_rate;
    state_.step++;
    send_state();
    const StepState* state = network_.state.as<StepState>();
    if (o.kind == OptimizerConfig::Kind::Adam)
      network_.store.adam(context_, state, {o.beta1, o.beta2, o.eps, o.weight_decay});
    else
      network_.store.sgd(context_, state, {o.momentum, o.weight_decay});
  }

  int64_t optimizer_steps() const override { return state_.step; }
  void set_optimizer_steps(int64_t steps) override { state_.step = steps; }

  void embed(const Batch& batch, float* out) override { embed_into(batch, out); }
  void embed(const Batch& batch, double* out) override { embed_into(batch, out); }
  int feature_size() const override { return network_.net.feature_size(); }

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }

  void read(const std::string& name, Slot slot, double* out) const override {
    const auto [memory, p] = locate(name, slot);
    std::vector<real> values(static_cast<size_t>(p->count));
    context_.to_host(values.data(), memory, values.size() * sizeof(real));
    for_each_element(*p, [&](int64_t outside, int64_t inside) {
      out[outside] = static_cast<double>(values[static_cast<size_t>(inside)]);
    });
  }

  void write(const std::string& name, Slot slot, const double* in) override {
    const auto [memory, p] = locate(name, slot);
    std::vector<real> values(static_cast<size_t>(p->count));
    for_each_element(*p, [&](int64_t outside, int64_t inside) {
      values[static_cast<size_t>(inside)] = static_cast<real>(in[outside]);
    });
    context_.to_device(memory, values.data(), values.size() * sizeof(real));
    if (slot == Slot::Value) network_.store.changed(context_);
  }

  int real_bytes() const override { return sizeof(real); }

  void initialize(uint64_t seed) override {
    for (const Parameter& p : network_.store.list()) {
      write(p.name, Slot::Value, initial_values(p.name, p.shape, seed).data());
      const std::vector<double> zeros(static_cast<size_t>(p.count));
      if (network_.store.first(p) != nullptr) write(p.name, Slot::First, zeros.data());
      if (network_.store.second(p) != nullptr) write(p.name, Slot::Second, zeros.data());
    }
    state_ = {};
  }

  const MemoryPlan& plan() const override { return plan_; }
  void set_profiling(bool on) override { context_.set_profiling(on); }
  std::vector<OpTime> take_profile() override {
    std::vector<OpTime> times;
    for (const auto& [op, s] : context_.take_profile()) times.push_back({op, s.seconds, s.flops, s.calls});
    return times;
  }

 private:
  void check_batch(const Batch& batch, int least, int most) const {
    const ModelConfig& m = config_.model;
    CHECK(batch.count >= least && batch.count <= most, "expected {}..{} pictures, got {}", least, most, batch.count);
    CHECK(batch.height == m.height && batch.width == m.width, "expected pictures of {}x{}, got {}x{}", m.height,
          m.width, batch.height, batch.width);
    CHECK(batch.images.size() == size_t{3} * static_cast<size_t>(batch.count) * static_cast<size_t>(m.height) *
                                     static_cast<size_t>(m.width),
          "expected {} pictures' values, got {}", batch.count, batch.images.size());
  }

  void send_state() { context_.to_device(network_.state.as<void>(), &state_, sizeof state_); }

  template <class T>
  void embed_into(const Batch& batch, T* out) {
    check_batch(batch, 1, config_.embed_batch);
    const std::vector<real> g = run_embedding(context_, network_, config_, batch.images.data(), batch.count).to_host();
    std::copy_n(g.begin(), batch.count * feature_size(), out);
  }

  std::pair<real*, const Parameter*> locate(const std::string& name, Slot slot) const {
    const Parameter* p = network_.store.find(name);
    CHECK(p != nullptr, "no tensor is called {}", name);
    real* memory = p->value;
    if (slot == Slot::Gradient) memory = p->gradient;
    if (slot == Slot::First) memory = network_.store.first(*p);
    if (slot == Slot::Second) memory = network_.store.second(*p);
    CHECK(memory != nullptr, "{} has no such slot", name);
    return {memory, p};
  }

  // Calls body(index in PyTorch's order, index in memory): OIHW against OHWI.
  template <class Body>
  static void for_each_element(const Parameter& p, const Body& body) {
    if (p.shape.size() != 4) {
      for (int64_t i = 0; i < p.count; i++) body(i, i);
      return;
    }
    const int64_t c = p.shape[1], area = p.shape[2] * p.shape[3];
    for (int64_t k = 0; k < p.shape[0]; k++)
      for (int64_t j = 0; j < c; j++)
        for (int64_t a = 0; a < area; a++) body((k * c + j) * area + a, (k * area + a) * c + j);
  }

  EngineConfig config_;
  MemoryPlan plan_;
  mutable Context context_;
  mutable Network network_;
  StepState state_;
  std::vector<TensorInfo> tensors_;
};

}  // namespace

MemoryPlan plan_memory(const EngineConfig& config) {
  check_config(config);
  return plan_with(config, std::make_shared<StreamHandle>(Backend::cpu)).plan;
}

std::unique_ptr<Engine> make_engine(const EngineConfig& config) {
  check_config(config);
  const auto stream = std::make_shared<StreamHandle>(Backend::cpu);
  return std::make_unique<NetworkEngine>(config, stream, plan_with(config, stream));
}

}  // namespace mpanet::PRECISION
