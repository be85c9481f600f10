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
#include <vector>

#include "core/base/file.h"
#include "core/base/folder.h"

namespace mpanet {

class RunFolder {
 public:
  // Makes a new folder (and its parents). UserError when anything stands there already, saying so if another program
  // trains in it, or when it cannot be made. Without keep() the destructor removes the run's files, then the folders
  // that were made here and are empty.
  static RunFolder create(const std::string& path);
  // An existing folder. UserError when it is none, cannot be written, or another program trains in it. Removes what a
  // killed program left half-written of the run's files.
  static RunFolder open(const std::string& path);
  // The errors of create() that can be known beforehand. Changes nothing.
  static void check_can_be_made(const std::string& path);

  RunFolder(RunFolder&&) noexcept = default;
  RunFolder& operator=(RunFolder&&) = delete;
  void keep() { made_.keep(); }

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
  // What a run writes, the lock aside.
  std::vector<std::string> files() const {
    return {last(), best(), log(), config(), vendors(), provenance(), inputs(), initial()};
  }
  std::string lock_file() const { return path_ + "/lock"; }
  void lock();

  std::string path_;
  Descriptor lock_;
  MadeFiles made_;  // destroyed before the lock is given up
};

// log.jsonl. Every line is an object with "kind" (step, epoch, evaluation) and "step".
class RunLog {
 public:
  // Appends to the file, after dropping the lines that came after the checkpoint now gone on from: those of later steps
  // than `step`, evaluations of `step` itself if `evaluation_due`, and a last line that is not whole.
  RunLog(const std::string& path, int64_t step, bool evaluation_due);
  void append(const nlohmann::ordered_json& line);  // UserError when it fails

 private:
  AppendFile file_;
};

}  // namespace mpanet
