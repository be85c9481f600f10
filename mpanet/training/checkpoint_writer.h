// Writes a run's checkpoints while the training goes on: a snapshot of the engine is taken between two steps, and a
// thread writes it.
#pragma once
#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <thread>

#include "mpanet/config/config.h"
#include "mpanet/files/checkpoint.h"
#include "mpanet/network/engine.h"
#include "mpanet/training/run_folder.h"

namespace mpanet {

// To be used by the engine's thread.
class CheckpointWriter {
 public:
  // The references must outlive it. `held_step`: the step of last.safetensors, -1 while there is none.
  CheckpointWriter(const EngineState& engine, const TrainConfig& config, const RunFolder& folder, int64_t held_step);
  // Waits for the write. One that failed and was not told yet is told on stderr.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  enum class Files { Last, BestAndLast };
  // Waits for the write before, takes a snapshot of the engine and starts to write it: best.safetensors first, so that
  // last.safetensors never tells of a best model that is not there. Throws as check().
  void start(const Progression& progression, Files files);
  // UserError if the last write has failed: what failed, which step last.safetensors holds, and how many of the steps
  // up to `step` are lost. Does not wait.
  void check(int64_t step);
  // Waits for the write, then check().
  void finish(int64_t step);
  // Which step last.safetensors holds, and why not a later one if its write has failed: text for the message of another
  // error. Waits for the write.
  std::string held();

 private:
  void write(const Progression& progression, Files files);
  void join();

  const EngineState& engine_;
  const TrainConfig& config_;
  const RunFolder& folder_;
  std::unique_ptr<StateSnapshot> snapshot_;  // made by the first start()
  int64_t held_step_;
  // The write that runs, or has ended and was not joined. The thread sets the rest before done_.
  int64_t written_step_ = 0;
  int written_epoch_ = 0;
  std::exception_ptr error_;
  std::atomic<bool> done_ = false;
  std::jthread thread_;
};

}  // namespace mpanet
