#include "tests/ops/op_instance.h"

#include <optional>

#include "tests/support/rows.h"

namespace mpanet::PRECISION {
namespace {

constexpr uint64_t kSeed = 20210620;

// One case in one context.
class Passes {
 public:
  Passes(Context& context, const OpCase& c)
      : context_(context),
        in_(context, kSeed, nullptr, Filling::Repeated),
        recording_(c.recording),
        call_(c.make(in_)) {}

  void forward() {
    forget();
    context_.set_recording(recording_);
    outputs_ = call_();
  }

  void prepare_backward() {
    forward();
    for (Leaf& leaf : in_.leaves()) leaf.begin(nullptr);
    set_gradients(outputs_.activations);
    set_gradients(outputs_.values);
    set_gradients(outputs_.logits);
  }

  void backward() { context_.tape().backward(); }

 private:
  void forget() {
    context_.tape().clear();
    outputs_ = {};
  }

  // Sets every output's gradient to a copy of the output. Outputs are tensors or logits.
  template <class Output>
  void set_gradients(const std::vector<Output>& outputs) {
    for (const Output& y : outputs) {
      if (context_.planning())
        memory_of(y).grad_sink();
      else
        set_gradient(context_, y, values_of(context_, y));
    }
  }

  Context& context_;
  Inputs in_;
  bool recording_;
  Call call_;
  Outputs outputs_;
};

void run_once(Passes& passes, bool recording) {
  passes.forward();
  if (!recording) return;
  passes.prepare_backward();
  passes.backward();
  passes.forward();  // with the leaves' gradients of the last backward pass still allocated
}

class Instance final : public OpInstance {
 public:
  Instance(const OpCase& c, const std::shared_ptr<StreamHandle>& stream)
      : context_(stream->device(), stream, slab_of(c, stream)), passes_(context_, c) {}

  void forward() override { passes_.forward(); }
  void prepare_backward() override { passes_.prepare_backward(); }
  void backward() override { passes_.backward(); }
  size_t bytes() const override { return context_.persistent_bytes() + slab_; }
  Context& context() override { return context_; }

 private:
  size_t slab_of(const OpCase& c, const std::shared_ptr<StreamHandle>& stream) {
    Context plan(stream->device(), stream, Arena::Mode::Plan);
    Passes passes(plan, c);
    run_once(passes, c.recording);
    return slab_ = plan.arena().peak();
  }
  size_t slab_ = 0;
  Context context_;
  Passes passes_;
};

// Runs in a planning context that launches kernels.
class LaunchedInstance final : public OpInstance {
 public:
  LaunchedInstance(const OpCase& c, const std::shared_ptr<StreamHandle>& stream)
      : context_(stream->device(), stream, Arena::Mode::Plan) {
    context_.set_launching(true);
    passes_.emplace(context_, c);
  }
  void forward() override { passes_->forward(); }
  void prepare_backward() override { passes_->prepare_backward(); }
  void backward() override { passes_->backward(); }
  size_t bytes() const override { return 0; }
  Context& context() override { return context_; }

 private:
  Context context_;
  std::optional<Passes> passes_;
};

}  // namespace

std::unique_ptr<OpInstance> make_instance(const NetworkSizes& sizes, size_t index,
                                          const std::shared_ptr<StreamHandle>& stream, InstanceMode mode) {
  const OpCase c = benchmark_cases(sizes).at(index);
  if (mode == InstanceMode::Launch) return std::make_unique<LaunchedInstance>(c, stream);
  return std::make_unique<Instance>(c, stream);
}

}  // namespace mpanet::PRECISION
