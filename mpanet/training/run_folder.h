// The folder of a run: its lock and its files.
//
//   last.safetensors   checkpoint to resume from      config.json      the effective configuration
//   best.safetensors   model of the best evaluation   provenance.json  build, libraries, threads (provenance.h)
//   log.jsonl          one JSON object a line         lock             locked while a program trains here
//   inputs.json        path of the data set           initial.txt      tensors taken from --init, and the others
//   vendors.json       libraries of convolutions and a GPU's products, unless all are native (network/vendors.h)
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
  // Makes a new folder (and its parents) and locks it. Its path was checked (check_can_be_made()), so that one that
  // exists means that another program was faster: UserError, which tells whether that program still trains in it.
  // UserError also when the folder cannot be made. Without keep() the destructor removes the run's files, then the
  // folders that create() made, if they are empty.
  static RunFolder create(const std::string& path);
  // Locks an existing folder. UserError when it is no folder, cannot be written, or another program trains in it.
  // Removes temporary files of the run's files that a killed program left.
  static RunFolder open(const std::string& path);
  // Throw the errors of create() and open() that can be found without changing anything. The path is there already:
  // the message tells what it is, and whether another program trains in it.
  static void check_can_be_made(const std::string& path);
  static void check_can_be_opened(const std::string& path);
  // Whether the folder has files of a run.
  static bool is_run(const std::string& path);
  // Whether a program trains in the folder now. False for a folder without a lock.
  static bool in_use(const std::string& path);

  RunFolder(RunFolder&&) noexcept = default;
  RunFolder& operator=(RunFolder&&) = delete;
  void keep() { made_.keep(); }
  // UserError if a file that the run writes is an input of the program (core/base/inputs.h).
  void check_no_inputs() const;

  const std::string& path() const { return path_; }
  std::string last() const { return path_ + "/last.safetensors"; }
  std::string best() const { return path_ + "/best.safetensors"; }
  std::string log() const { return path_ + "/log.jsonl"; }
  std::string table() const { return path_ + "/log.csv"; }
  std::string events() const { return path_ + "/events.out.tfevents.mpanet"; }
  std::string config() const { return config_of(path_); }
  static std::string config_of(const std::string& path) { return path + "/config.json"; }
  std::string inputs() const { return path_ + "/inputs.json"; }
  std::string initial() const { return path_ + "/initial.txt"; }
  std::string vendors() const { return path_ + "/vendors.json"; }
  std::string provenance() const { return path_ + "/provenance.json"; }

 private:
  explicit RunFolder(std::string path);
  // All files that a run writes, without the lock.
  std::vector<std::string> files() const {
    return {last(), best(), log(), table(), events(), config(), vendors(), provenance(), inputs(), initial()};
  }
  std::string lock_file() const { return path_ + "/lock"; }
  void lock();

  std::string path_;
  Descriptor lock_;
  MadeFiles made_;  // declared after lock_: files are removed while the lock is held
};

// log.jsonl: one object a line, each with "kind" (step, epoch, evaluation) and "step". The same lines go to log.csv and
// to TensorBoard's event file beside it (log_views.h).
class RunLog {
 public:
  // Opens the file for appending. First removes the lines written after the checkpoint that is resumed: those with a
  // step above `step`, an evaluation of `step` if `evaluation_due`, and an incomplete last line.
  // Makes the other two files again from the remaining lines.
  RunLog(const std::string& path, int64_t step, bool evaluation_due);
  void append(const nlohmann::ordered_json& line);  // UserError when it fails

 private:
  RunLog(const std::string& path, const std::vector<nlohmann::ordered_json>& kept);
  AppendFile file_, table_, events_;
};

}  // namespace mpanet
