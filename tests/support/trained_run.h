// A run whose distances can be calibrated, for tests of what needs that.
#pragma once
#include <filesystem>

#include "mpanet/evaluation/calibration.h"
#include "tests/support/train_program.h"

// A run, and its data set with the identities that it was trained on as test identities: their pairs' distances have a
// curve that falls clearly (slopes of -0.97 to -3.2 with five seeds and two draws), whatever the rounding.
class Trained : public TemporaryFolder {
 public:
  static constexpr int kIdentities = 6;

  Trained() {
    Process synth({PROGRAMS "/mpanet-data", "synth", "--out", data(), "--ids", std::to_string(kIdentities),
                   "--test-ids", "2", "--images", "2"});
    REQUIRE_MESSAGE(synth.wait() == 0, synth.err());
    check_works({PROGRAMS "/mpanet-train", "--config", write_config(*this), "--data", data(), "--out", run(),
                 "--threads", "1", "--set", "image_size=64,32", "p_size=6", "num_epoch=25", "lr=0.003",
                 "eval_interval=25", "checkpoint_every=0"});
    std::filesystem::remove(run() + "/last.safetensors");
    const auto list = [&](const char* name) { return data() + "/exp/" + name; };
    const std::string others = mpanet::read_text(list("test_id.txt"));  // two
    std::string trained_on = mpanet::read_text(list("train_id.txt"));
    trained_on.back() = ',';
    mpanet::write_file(list("test_id.txt"), trained_on + mpanet::read_text(list("val_id.txt")));
    mpanet::write_file(list("train_id.txt"), others.substr(0, others.find(',')) + "\n");
    mpanet::write_file(list("val_id.txt"), others.substr(others.find(',') + 1));
  }
  std::string data() const { return path() + "/data"; }
  std::string run() const { return path() + "/run"; }
  std::string checkpoint() const { return run() + "/best.safetensors"; }
  std::string calibration() const { return mpanet::calibration_path(checkpoint()); }
  std::string network() const { return "--checkpoint '" + checkpoint() + "' --data '" + data() + "'"; }
};
