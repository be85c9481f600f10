#include "mpanet/training/checkpoint_writer.h"

#include <utility>

#include "core/base/error.h"
#include "core/base/output.h"
#include "core/base/text.h"
#include "core/base/threads.h"

namespace mpanet {

CheckpointWriter::CheckpointWriter(const EngineState& engine, const TrainConfig& config, const RunFolder& folder,
                                   int64_t held_step)
    : engine_(engine), config_(config), folder_(folder), held_step_(held_step) {}

CheckpointWriter::~CheckpointWriter() {
  try {
    finish(written_step_);
  } catch (const std::exception& error) {
    note(fmt::format("mpanet-train: {}", error.what()));
  }
}

void CheckpointWriter::start(const Progression& progression, Files files) {
  finish(progression.step);
  if (snapshot_)
    snapshot_->take();
  else
    snapshot_ = engine_.snapshot();
  written_step_ = progression.step, written_epoch_ = progression.epoch;
  done_ = false;
  thread_ = start_thread([this, progression, files] { write(progression, files); });
}

// Runs in the thread.
void CheckpointWriter::write(const Progression& progression, Files files) {
  try {
    if (files == Files::BestAndLast) save_model(folder_.best(), *snapshot_, config_, progression.step);
    save_training(folder_.last(), *snapshot_, config_, progression);
  } catch (...) {
    error_ = std::current_exception();
  }
  done_ = true;
}

void CheckpointWriter::join() {
  if (!thread_.joinable()) return;
  thread_.join();
  if (!error_) held_step_ = written_step_;
}

std::string CheckpointWriter::held() {
  join();
  std::string text = held_step_ < 0 ? fmt::format("there is no {} yet", folder_.last())
                                    : fmt::format("{} still holds step {}", folder_.last(), held_step_);
  if (!error_) return text;
  try {
    std::rethrow_exception(std::exchange(error_, nullptr));
  } catch (const std::exception& e) {
    return fmt::format("{} (not step {}: {})", text, written_step_, e.what());
  }
}

void CheckpointWriter::finish(int64_t step) {
  join();
  if (!error_) return;
  try {
    std::rethrow_exception(std::exchange(error_, nullptr));
  } catch (const NotFinite& e) {
    fail("step {} (epoch {}): {}; {}; a lower lr may help", written_step_, written_epoch_, e.what(), held());
  } catch (const UserError& e) {
    const int64_t lost = step - held_step_;
    fail("{}; {}{}", e.what(), held(),
         held_step_ >= 0 && lost > 0 ? "; lost: " + counted(static_cast<size_t>(lost), "step") : "");
  }
}

void CheckpointWriter::check(int64_t step) {
  if (thread_.joinable() && done_) finish(step);
}

}  // namespace mpanet
