// The engine as the programs see it: a network with its losses and optimiser, in one precision on one device, behind
// four interfaces that know neither. make_engine() picks the compiled precision. Not thread-safe.
//
//   EngineTrain    training steps
//   EngineEmbed    pictures to features
//   EngineState    every number that a checkpoint holds
//   EngineMeasure  memory, times, and the halves of a step
//
// A function takes the one that it needs: embed_images() an EngineEmbed, load_weights() an EngineState.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/device.h"
#include "data/loading/batch.h"
#include "kernels/types.h"
#include "kernels/vendors.h"
#include "mpanet/network/model_config.h"

namespace mpanet {

// What activations are stored in; sums, statistics, losses and parameters are float, with f64 double.
enum class Precision { f32, f64, bf16, f16 };
// "f32", ...; the second: UserError naming `where` when the text is none of them.
std::string name_of(Precision precision);
Precision parse_precision(const std::string& text, const std::string& where);

struct OptimizerConfig {
  enum class Kind { Adam, Sgd } kind = Kind::Adam;
  double weight_decay = 5e-4;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  // Adam
  double momentum = 0.9;                          // SGD
};

struct EngineConfig {
  ModelConfig model;
  OptimizerConfig optimizer;
  Precision precision = Precision::f32;
  Device device;
  int train_batch = 0;       // largest training batch; 0: never trains (no gradients, no optimiser state)
  int embed_batch = 0;       // largest embedding batch; 0: never embeds
  Vendors vendors = {};      // with a GPU: whose convolutions and matrix products
  bool record_steps = true;  // with a GPU: a training step is recorded once and replayed; false: launched each time
};

// Loss terms of one step in the order of the reference: p-reg, tri, cen, cc, ce, ce-v, ce-i, KL, total; terms that the
// configuration has not are absent. A term that this batch cannot form (docs/method.md, section 2) is 0.
using Losses = std::vector<std::pair<std::string, double>>;

struct StepResult {
  Losses losses;
  bool updated = true;  // false: f16's gradients left its range, and nothing changed but the loss scale
};

class EngineTrain {
 public:
  virtual ~EngineTrain() = default;
  // Sends the next step's batch on its way to the device, beside what that does now.
  virtual void upload(const Batch& batch) = 0;
  // One step of the uploaded batch: forward, losses, backward, update. Running statistics and teachers move too
  // (teacher rate r = update_rate * min(100 / (epoch + 1), 1), epoch from 1). Does not wait for the device.
  virtual void step(double learning_rate, int epoch) = 0;
  void step(const Batch& batch, double learning_rate, int epoch) {
    upload(batch);
    step(learning_rate, epoch);
  }
  // Of the last step; waits until it is done. The gradients stay readable (Slot::Gradient) until the next one.
  virtual StepResult result() const = 0;
};

class EngineEmbed {
 public:
  virtual ~EngineEmbed() = default;
  // Test-time embeddings (BN neck in eval mode) of batch.count <= embed_batch pictures: out is (count, feature_size()).
  virtual void embed(const Batch& batch, float* out) = 0;
  // The same in double (f64 engines lose nothing).
  virtual void embed(const Batch& batch, double* out) = 0;
  virtual int feature_size() const = 0;
};

// One tensor of the state, under the authors' checkpoint name. Shape and order of elements are PyTorch's
// (convolution weights (out, in, kh, kw)).
struct TensorInfo {
  std::string name;
  std::vector<int64_t> shape;
  bool trainable = false;  // has a gradient and optimiser state
  int64_t count() const {
    int64_t n = 1;
    for (int64_t d : shape) n *= d;
    return n;
  }
};

// What can be read and written of a tensor. First and Second are the optimiser's state: Adam's moments; SGD's momentum
// is First. They exist for trainable tensors only.
enum class Slot { Value, Gradient, First, Second };

// What the optimiser counts beside its moments.
struct OptimizerProgress {
  int64_t steps = 0;      // updates since the start of training: Adam's bias correction
  double loss_scale = 0;  // f16: what the loss is multiplied by during the backward pass, 0: as at the start; else 1
  int steady = 0;         // updates since it changed
  bool operator==(const OptimizerProgress&) const = default;
};

class EngineState {
 public:
  virtual ~EngineState() = default;
  // Every parameter and buffer, in the authors' state_dict order without num_batches_tracked.
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  // Elements of one slot in PyTorch's order, converted; real_bytes() tells what is stored (4 or 8).
  virtual void read(const std::string& name, Slot slot, double* out) const = 0;
  virtual void write(const std::string& name, Slot slot, const double* in) = 0;
  virtual int real_bytes() const = 0;
  virtual const OptimizerProgress& optimizer_progress() const = 0;
  virtual void set_optimizer_progress(const OptimizerProgress& progress) = 0;
  // Initial values (docs/method.md, section 1) from a seed; teachers equal the live classifiers, moments are zero.
  virtual void initialize(uint64_t seed) = 0;
};

// Bytes that a training step and an embedding need, known before the first one runs.
struct MemoryPlan {
  size_t parameters = 0;   // parameters, their gradients, buffers (running statistics, teachers)
  size_t optimizer = 0;    // Adam's two moments, SGD's momentum
  size_t activations = 0;  // the arena: activations, their gradients, workspaces; the larger of training and embedding
  size_t total() const { return parameters + optimizer + activations; }
};

struct StepFlops {
  double train = 0, embed = 0;
};

// Seconds and floating-point operations of one kind of op.
struct OpTime {
  std::string op;
  double seconds = 0, flops = 0;
  int64_t calls = 0;
};

class EngineMeasure {
 public:
  virtual ~EngineMeasure() = default;
  virtual const MemoryPlan& plan() const = 0;
  // With a GPU: what the engine has of its memory now and had at most; else 0.
  virtual MemoryUse memory_use() const = 0;
  // With a GPU: as configured, with what Auto took.
  virtual Vendors vendors() const = 0;
  // Floating-point operations of a training step's and an embedding's convolutions and matrix products.
  virtual StepFlops flops() const = 0;
  // Training steps that were replayed from a recording.
  virtual int64_t replays() const = 0;
  // Notes this moment of the device's work; take_laps() waits for the last one and returns the seconds between them.
  virtual void mark() = 0;
  virtual std::vector<double> take_laps() = 0;
  // By kind of op since the last call; empty unless set_profiling(true).
  virtual void set_profiling(bool on) = 0;
  virtual std::vector<OpTime> take_profile() = 0;
  // A step's two halves, for tests and benchmarks that look in between. The first leaves the gradients, which may be
  // written over; the second takes them. False: as StepResult::updated.
  virtual void forward_backward(const Batch& batch, int epoch) = 0;
  virtual bool update(double learning_rate) = 0;
};

class Engine : public EngineTrain, public EngineEmbed, public EngineState, public EngineMeasure {};

// Allocates everything that plan_memory() says. UserError when the sizes cannot be taken by the network.
std::unique_ptr<Engine> make_engine(const EngineConfig& config);
// The same plan without allocating it.
MemoryPlan plan_memory(const EngineConfig& config);
// UserError (naming image height and width) unless the backbone leaves at least two positions for height x width.
void check_image_size(const ModelConfig& model);

}  // namespace mpanet
