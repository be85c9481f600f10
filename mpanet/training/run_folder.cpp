#include "mpanet/training/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/inputs.h"
#include "core/base/json.h"
#include "core/base/temporary.h"
#include "core/base/text.h"
#include "mpanet/training/log_views.h"

namespace mpanet {
namespace fs = std::filesystem;

namespace {

bool is_same_file(int descriptor, const std::string& path) {
  struct stat open {
  }, there{};
  return fstat(descriptor, &open) == 0 && lstat(path.c_str(), &there) == 0 && open.st_dev == there.st_dev &&
         open.st_ino == there.st_ino;
}

// Returns 0, EWOULDBLOCK when another program holds the lock, or the error of a file system that cannot lock.
int try_lock(int descriptor, int kind) {
  while (flock(descriptor, kind | LOCK_NB) != 0)
    if (errno != EINTR) return errno;
  return 0;
}

[[noreturn]] void fail_in_use(const std::string& path) {
  fail("{}: the run folder is in use: another program trains in it", path);
}

// UserError when another program trains in the folder.
void check_not_in_use(const std::string& path) {
  if (RunFolder::in_use(path)) fail_in_use(path);
}

// UserError unless the path, which is there, leads to a folder.
void check_is_folder(const std::string& path) {
  if (!path_exists(path)) fail("{}: expected a run folder, got a link that leads nowhere", path);
  if (!folder_exists(path)) fail("{}: expected a run folder, got something else", path);
  check_folder_can_be_read(path);
}

bool is_there(const std::string& path) {
  std::error_code error;
  return fs::symlink_status(path, error).type() != fs::file_type::not_found;
}

// UserError if the folder has runs in it: it is an experiment's (experiment.h).
void check_no_experiment(const std::string& path) {
  std::error_code error;
  if (RunFolder::is_run(path)) return;
  for (const auto& entry : fs::directory_iterator(path, error))
    if (RunFolder::is_run(entry.path().string()))
      fail(
          "{}: expected a run folder, got the folder of several runs; the command that made it (--splits, --seeds or "
          "--sweep) goes on with all of them, --out {} --resume with one",
          path, shell_quote(entry.path().string()));
}

// UserError unless a run made the folder, or it is empty.
void check_made_by_run(const std::string& path) {
  check_is_folder(path);
  check_no_experiment(path);
  if (!RunFolder::is_run(path) && !fs::is_empty(path))
    fail("{}: expected a run folder, got a folder that no run made", path);
}

}  // namespace

RunFolder::RunFolder(std::string path) : path_(std::move(path)) {
  while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
}

void RunFolder::lock() {
  const std::string path = lock_file();
  constexpr int kTries = 20;
  constexpr std::chrono::milliseconds kPause{10};
  for (int i = 0; i < kTries; i++) {
    lock_ = Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    const bool made = static_cast<bool>(lock_);
    if (!made) lock_ = Descriptor(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    if (!lock_ && errno == ENOENT) continue;  // removed between the two open()
    if (!lock_) fail("{}: cannot write: {}", path_, std::strerror(errno));
    const int reason = try_lock(lock_.get(), LOCK_EX);
    // A different file: the program that held the lock has failed and removed its file.
    if (reason == 0 && is_same_file(lock_.get(), path)) return;
    if (reason != 0 && reason != EWOULDBLOCK) {
      if (made) unlink(path.c_str());
      fail(
          "{}: this file system cannot lock files ({}), which keeps two programs from training in one folder; choose "
          "a run folder on another one",
          path_, std::strerror(reason));
    }
    lock_.close();
    // check_can_be_made() in another program holds the lock for a moment.
    std::this_thread::sleep_for(kPause);
  }
  fail_in_use(path_);
}

void RunFolder::check_can_be_made(const std::string& path) {
  if (!is_there(path)) return check_folder_can_be_made(path);
  check_is_folder(path);
  check_no_experiment(path);
  check_not_in_use(path);
  fail("{}: the run folder exists already; give another one, or --resume to go on with its run", path);
}

bool RunFolder::in_use(const std::string& path) {
  const Descriptor lock(::open((path + "/lock").c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  return lock && try_lock(lock.get(), LOCK_SH) == EWOULDBLOCK;
}

bool RunFolder::is_run(const std::string& path) {
  std::error_code error;
  if (fs::exists(path + "/last.safetensors", error)) return true;
  // An index of mpanet-search has a lock as well.
  return fs::exists(path + "/lock", error) && !fs::exists(path + "/index.sqlite", error);
}

void RunFolder::check_can_be_opened(const std::string& path) {
  check_made_by_run(path);
  check_not_in_use(path);
  OutputFile(path + "/last.safetensors", OutputFile::Open::Later);
}

RunFolder RunFolder::create(const std::string& path) {
  RunFolder folder(path);
  if (!folder.made_.make_folder(folder.path_)) {
    check_not_in_use(path);
    fail("{}: another program has made the run folder meanwhile; start again to see what it holds", path);
  }
  folder.lock();
  folder.made_.add_file(folder.lock_file());
  for (const std::string& file : folder.files()) folder.made_.add_file(file);
  return folder;
}

void RunFolder::check_no_inputs() const {
  for (const std::string& file : files()) check_no_input(file, file);
}

RunFolder RunFolder::open(const std::string& path) {
  check_made_by_run(path);
  RunFolder folder(path);
  folder.lock();
  for (const std::string& file : folder.files()) remove_leftovers(file);
  OutputFile(folder.last(), OutputFile::Open::Later);  // UserError now if the file cannot be written
  return folder;
}

namespace {

bool is_kept(const std::string& line, int64_t step, bool evaluation_due) {
  const auto value = try_parse_json(line);
  if (!value || !value->is_object() || !value->contains("step") || !(*value)["step"].is_number_integer()) return false;
  const int64_t at = (*value)["step"];
  const auto kind = value->find("kind");
  return at < step || (at == step && !(evaluation_due && kind != value->end() && *kind == "evaluation"));
}

}  // namespace

namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Drops the lines that is_kept() does not keep, and returns the others.
std::vector<nlohmann::ordered_json> shorten_log(const std::string& path, int64_t step, bool evaluation_due) {
  std::vector<nlohmann::ordered_json> lines;
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return lines;
  const std::string text = read_text(path, kLongestLog);
  std::string kept;
  for (size_t start = 0, end; (end = text.find('\n', start)) != text.npos; start = end + 1)
    if (const std::string line = text.substr(start, end - start); is_kept(line, step, evaluation_due)) {
      kept += line + "\n";
      lines.emplace_back(*try_parse_json(line));
    }
  write_file(path, kept);
  return lines;
}

// Writes the file and returns its path.
std::string write_table(const std::string& path, const std::vector<nlohmann::ordered_json>& lines) {
  std::string text = csv_head();
  for (const nlohmann::ordered_json& line : lines) text += csv_row(line);
  write_file(path, text);
  return path;
}

// Events keep the times that they have in the older file.
std::string write_events(const std::string& path, const std::vector<nlohmann::ordered_json>& lines) {
  std::error_code error;
  std::map<int64_t, double> times;
  if (fs::is_regular_file(path, error)) times = event_times(read_text(path, kLongestLog));
  const double now = seconds_now();
  std::string file = event_head(times.empty() ? now : times.begin()->second);
  for (const nlohmann::ordered_json& line : lines) {
    const int64_t step = line["step"];
    const auto time = times.find(step);
    file += event_record(time == times.end() ? now : time->second, step, event_scalars(line));
  }
  write_file(path, file);
  return path;
}

}  // namespace

RunLog::RunLog(const std::string& path, int64_t step, bool evaluation_due)
    : RunLog(path, shorten_log(path, step, evaluation_due)) {}

RunLog::RunLog(const std::string& path, const std::vector<nlohmann::ordered_json>& kept)
    : file_(path),
      table_(write_table(folder_of(path) + "/log.csv", kept)),
      events_(write_events(folder_of(path) + "/events.out.tfevents.mpanet", kept)) {}

void RunLog::append(const nlohmann::ordered_json& line) {
  file_.append(line.dump() + "\n");
  table_.append(csv_row(line));
  events_.append(event_record(seconds_now(), line["step"].get<int64_t>(), event_scalars(line)));
}

}  // namespace mpanet
