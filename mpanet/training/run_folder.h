// A run's folder: who may use it, and what lies in it.
//
//   last.safetensors   checkpoint to go on from       config.json      the effective configuration
//   best.safetensors   model of the best evaluation   provenance.json  what made the run: build, libraries, threads
//   log.jsonl          one JSON object a line         lock             held while a program trains here
//   inputs.json        where the data set lies         initial.txt      tensors that --init gave, and the others
//   vendors.json       whose kernels a GPU ran, where not ours alone
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace mpanet {

class RunFolder {
 public:
  // Makes a new folder (and its parents). UserError when anything stands there already, saying so if another program
  // trains in it, or when it cannot be made. Without keep() the destructor removes all that was made.
  static RunFolder create(const std::string& path);
  // An existing folder. UserError when it is none, cannot be written, or another program trains in it. Removes what a
  // killed program left half-written.
  static RunFolder open(const std::string& path);
  // The errors of create() that can be known beforehand.
  static void check_absent(const std::string& path);

  RunFolder(RunFolder&& other) noexcept;
  RunFolder& operator=(RunFolder&&) = delete;
  ~RunFolder();
  void keep() { remove_.clear(); }

  const std::string& path() const { return path_; }
  std::string last() const { return path_ + "/last.safetensors"; }
  std::string best() const { return path_ + "/best.safetensors"; }
  std::string log() const { return path_ + "/log.jsonl"; }
  std::string config() const { return config_of(path_); }
  static std::string config_of(const std::string& path) { return path + "/config.json"; }
  std::string inputs() const { return path_ + "/inputs.json"; }
  std::string initial() const { return path_ + "/initial.txt"; }
  std::string vendors() const { return path_ + "/vendors.json"; }
  std::string provenance() const { return path_ + "/provenance.json"; }

 private:
  explicit RunFolder(std::string path);
  void lock();

  std::string path_;
  std::string remove_;  // the topmost folder that create() made, until keep()
  int lock_ = -1;
};

// log.jsonl. Every line is an object with "kind" (step, epoch, evaluation) and "step".
class RunLog {
 public:
  // Appends to the file, after dropping the lines that came after the checkpoint now gone on from: those of later steps
  // than `step`, evaluations of `step` itself if `evaluation_due`, and a last line that is not whole.
  RunLog(const std::string& path, int64_t step, bool evaluation_due);
  ~RunLog();
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;
  void append(const nlohmann::ordered_json& line);  // one write; UserError when it fails

 private:
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace mpanet
