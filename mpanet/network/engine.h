// The engine: a network with its losses and optimiser. Precision and device are chosen in make_engine() and do not show
// in the five interfaces. Not thread-safe.
//
//   EngineTrain    training steps
//   EngineEmbed    pictures to features
//   EngineState    every number that a checkpoint holds
//   EnginePictures memory for pictures
//   EngineMeasure  memory, times, and the two halves of a step
//
// A function takes only the interface that it needs: embed_images() an EngineEmbed, load_weights() an EngineState.
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
#include "mpanet/network/precision.h"

namespace mpanet {

class DeviceRows;

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
  int train_batch = 0;       // pictures of a training batch, from 2; 0: never trains (no gradients, no optimiser state)
  int embed_batch = 0;       // largest embedding batch; 0: never embeds
  Vendors vendors = {};      // which library computes convolutions and, on a GPU, matrix products
  bool record_steps = true;  // GPU: record a training step once and replay it; false: launch its kernels every time
  // The form of training batches. Batches to embed are Floats if this is Floats, else Bytes.
  PictureForm pictures = PictureForm::Floats;
  std::vector<float> picture_values = {};  // Bytes, Held: the table of data/loading/augment.h, (3, kPictureCodes)
  int held_pictures = 0;                   // Held: pictures in the set that the device holds
};

// Loss terms of one step in the authors' order: p-reg, tri, cen, cc, ce, ce-v, ce-i, KL, total. Terms that the
// configuration lacks are absent. A term that the batch does not define (docs/method.md, section 2) is 0.
using Losses = std::vector<std::pair<std::string, double>>;

// The optimiser's state besides the moments.
struct OptimizerProgress {
  int64_t steps = 0;      // updates since the start of training, for Adam's bias correction
  double loss_scale = 0;  // f16: factor of the loss in the backward pass, 0: the initial one; else 1
  int steady = 0;         // updates since the loss scale changed
  bool operator==(const OptimizerProgress&) const = default;
};

struct StepResult {
  Losses losses;
  bool updated = true;         // false: gradients overflowed f16, and only the loss scale changed
  OptimizerProgress progress;  // after the step
};

class EngineTrain {
 public:
  virtual ~EngineTrain() = default;
  // Starts copying the next step's batch to the device. The copy overlaps the step that the device computes now. With
  // pictures in Bytes the batch's pixels must not change before the next upload(), or the result of its step.
  virtual void upload(const Batch& batch) = 0;
  // One step on the uploaded batch: teachers, forward, losses, backward, update of parameters and running statistics.
  // The teachers' rate is update_rate * min(100 / (epoch + 1), 1), epoch from 1. Does not wait for the device.
  virtual void step(double learning_rate, int epoch) = 0;
  void step(const Batch& batch, double learning_rate, int epoch) {
    upload(batch);
    step(learning_rate, epoch);
  }
  // Waits for the last step and returns its result. Its gradients can be read (Slot::Gradient) until the next step.
  StepResult result() const { return result(0); }
  // age 1: the result of the step before the last one, without waiting for the last one.
  virtual StepResult result(int age) const = 0;
};

// The pattern maps of a picture: `parts` maps of height x width numbers. No maps: 0.
struct MapShape {
  int parts = 0, height = 0, width = 0;
};

class EngineEmbed {
 public:
  virtual ~EngineEmbed() = default;
  // Embeddings, the BN neck's output in eval mode, of batch.count in 1..embed_batch pictures. out: (count,
  // feature_size()).
  virtual void embed(const Batch& batch, float* out) = 0;
  // The same in double, without rounding under --precision f64.
  virtual void embed(const Batch& batch, double* out) = 0;
  // The same, with the pattern maps that the embeddings were pooled by: maps (count, map_shape()), 0..1 (paper section
  // 3.3). CheckError for a network without pattern maps.
  virtual void embed(const Batch& batch, float* out, float* maps) = 0;
  // Memory of the device for the embeddings of `count` pictures. Null on the cpu, whose memory is the host's, and when
  // a GPU's free memory is too small.
  virtual std::shared_ptr<DeviceRows> make_rows(size_t count) = 0;
  // Embeddings into rows first .. first + batch.count - 1; with `mean` the mean of the embeddings and of what is there.
  // Does not wait for the device. With pictures in Bytes the batch's pixels must not change before the next embed() or
  // finish().
  virtual void embed(const Batch& batch, DeviceRows& rows, size_t first, bool mean) = 0;
  virtual void finish() = 0;  // waits for all embeddings
  virtual MapShape map_shape() const = 0;
  virtual int feature_size() const = 0;
};

// A tensor of the network, with its name in the authors' checkpoints. Shape and order of elements are PyTorch's:
// convolution weights are (out, in, kh, kw).
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

// The arrays of a tensor. First and Second are the optimiser's state: Adam's two moments; SGD's momentum is First. Only
// trainable tensors have Gradient, First and Second.
enum class Slot { Value, Gradient, First, Second };

// A copy of an engine's values and optimiser state in the host's memory, from which another thread can write a
// checkpoint while the engine goes on. Must not outlive the engine.
class StateSnapshot {
 public:
  virtual ~StateSnapshot() = default;
  // Replaces the copy by one of the present state. To be called by the engine's thread while no other one reads. A GPU
  // copies in the stream's order, so this does not wait, and later steps do not change the copy.
  virtual void take() = 0;
  // All elements of one slot in PyTorch's order, real_bytes() each, as the engine stores them. Waits for the copy.
  // CheckError for an unknown name, for a slot that the tensor lacks, and for gradients. To be called by any thread.
  virtual void read(const std::string& name, Slot slot, void* out) const = 0;
  virtual const std::vector<TensorInfo>& tensors() const = 0;  // the engine's
  virtual int real_bytes() const = 0;                          // the engine's: 4 is float, 8 is double
};

class EngineState {
 public:
  virtual ~EngineState() = default;
  // Every parameter and buffer in the order of the authors' state_dict, without num_batches_tracked.
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  // All elements of one slot in PyTorch's order, converted to or from double. CheckError for an unknown name and for a
  // slot that the tensor lacks. real_bytes(): bytes of a stored element, 4 or 8.
  virtual void read(const std::string& name, Slot slot, double* out) const = 0;
  virtual void write(const std::string& name, Slot slot, const double* in) = 0;
  virtual int real_bytes() const = 0;
  // A snapshot of the present state.
  virtual std::unique_ptr<StateSnapshot> snapshot() const = 0;
  virtual OptimizerProgress optimizer_progress() const = 0;  // waits for the last step
  virtual void set_optimizer_progress(const OptimizerProgress& progress) = 0;
  // Random initial values from a seed (docs/method.md, section 1). Teachers equal the live classifiers, moments are 0.
  virtual void initialize(uint64_t seed) = 0;
};

class EnginePictures {
 public:
  virtual ~EnginePictures() = default;
  virtual PictureForm form() const = 0;  // EngineConfig::pictures
  // PictureForm::Held: copies a picture (height, width, 3) to the device's set, at 0..held_pictures - 1.
  virtual void hold(int index, const uint8_t* pixels) = 0;
  // Memory of at least this size for Batch::pixels, from which the device copies while it computes. Memory that nobody
  // has any more is given again. Must not outlive the engine.
  virtual std::shared_ptr<uint8_t> host_memory(size_t bytes) = 0;
};

// Bytes of memory, known before the first step.
struct MemoryPlan {
  // Parameters, their gradients, buffers (running statistics, teachers), and copies of weights that embedding keeps.
  size_t parameters = 0;
  size_t optimizer = 0;    // Adam's two moments, SGD's momentum
  size_t activations = 0;  // the arena: activations, their gradients, workspaces; maximum of training and embedding
  size_t pictures = 0;     // the set that the device holds
  size_t total() const { return parameters + optimizer + activations + pictures; }
  size_t snapshot = 0;  // of a StateSnapshot, which is made on demand in the host's memory; not in total()
};

struct StepFlops {
  double train = 0, embed = 0;
};

// Seconds and floating-point operations of one op, summed over its calls.
struct OpTime {
  std::string op;
  double seconds = 0, flops = 0;
  int64_t calls = 0;
};

class EngineMeasure {
 public:
  virtual ~EngineMeasure() = default;
  virtual const MemoryPlan& plan() const = 0;
  virtual Device device() const = 0;
  // GPU: bytes of its memory that the engine holds now, and their maximum so far. CPU: 0.
  virtual MemoryUse memory_use() const = 0;
  // The configured libraries, with the choices by shape.
  virtual Vendors vendors() const = 0;
  // Floating-point operations of a training step's and an embedding's convolutions and matrix products.
  virtual StepFlops flops() const = 0;
  // Numbers of training steps that replayed a recording, and of recordings.
  virtual int64_t replays() const = 0;
  virtual int64_t recordings() const = 0;
  // mark() records a time in the device's stream. take_laps() waits for the last mark, returns the seconds between
  // consecutive marks and forgets them.
  virtual void mark() = 0;
  virtual std::vector<double> take_laps() = 0;
  // Times by op since the last take_profile(). Empty without set_profiling(true).
  virtual void set_profiling(bool on) = 0;
  virtual std::vector<OpTime> take_profile() = 0;
  // The two halves of a step, for tests and benchmarks. forward_backward() computes the gradients, which a test may
  // overwrite. update() applies them and returns StepResult::updated.
  virtual void forward_backward(const Batch& batch, int epoch) = 0;
  virtual bool update(double learning_rate) = 0;
};

class Engine : public EngineTrain,
               public EngineEmbed,
               public EngineState,
               public EnginePictures,
               public EngineMeasure {};

// Allocates the memory that plan_memory() returns. UserError when the network cannot process the configured sizes.
std::unique_ptr<Engine> make_engine(const EngineConfig& config);
// MemoryPlan of the engine that make_engine() would make. Allocates nothing on the device.
MemoryPlan plan_memory(const EngineConfig& config);
// UserError unless the backbone's output has at least two positions for model.height x model.width (pixels).
void check_image_size(const ModelConfig& model);

}  // namespace mpanet
