#include "mpanet/training/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"

namespace mpanet {
namespace fs = std::filesystem;

RunFolder::RunFolder(std::string path) : path_(std::move(path)) {
  while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
}

RunFolder::RunFolder(RunFolder&& other) noexcept
    : path_(other.path_), remove_(std::exchange(other.remove_, "")), lock_(std::exchange(other.lock_, -1)) {}

RunFolder::~RunFolder() {
  std::error_code ignored;
  if (!remove_.empty()) fs::remove_all(remove_, ignored);
  if (lock_ >= 0) close(lock_);
}

void RunFolder::lock() {
  const std::string path = path_ + "/lock";
  lock_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0) fail("{}: cannot write: {}", path_, std::strerror(errno));
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) fail("{}: the run folder is in use: another program trains in it", path_);
}

void RunFolder::check_absent(const std::string& path) {
  std::error_code error;
  if (fs::symlink_status(path, error).type() == fs::file_type::not_found) return;
  if (fs::exists(path + "/lock", error)) {
    RunFolder folder(path);
    folder.lock();
  }
  fail("{}: the run folder exists already; give another one, or --resume to go on with its run", path);
}

RunFolder RunFolder::create(const std::string& path) {
  check_absent(path);
  RunFolder folder(path);
  std::error_code error;
  fs::path top = fs::absolute(folder.path_);
  while (top.has_parent_path() && top.parent_path() != top && !fs::exists(top.parent_path(), error))
    top = top.parent_path();
  folder.remove_ = top.string();
  fs::create_directories(folder.path_, error);
  if (error) {
    if (!fs::is_directory(top, error)) folder.remove_.clear();
    fail("{}: cannot make the run folder: {}", path, error ? error.message() : std::strerror(errno));
  }
  folder.lock();
  return folder;
}

RunFolder RunFolder::open(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) fail("{}: expected a run folder, got something else", path);
  const bool made_by_run = fs::exists(path + "/lock", error) || fs::exists(path + "/last.safetensors", error);
  if (!made_by_run && !fs::is_empty(path)) fail("{}: expected a run folder, got a folder that no run made", path);
  RunFolder folder(path);
  folder.lock();
  for (const auto& entry : fs::directory_iterator(path))
    if (entry.path().filename().string().find(".tmp.") != std::string::npos) fs::remove(entry.path(), error);
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

RunLog::RunLog(const std::string& path, int64_t step, bool evaluation_due) : path_(path) {
  std::error_code error;
  if (fs::exists(path, error)) {
    const std::string text = read_text(path);
    std::string kept;
    for (size_t start = 0, end; (end = text.find('\n', start)) != text.npos; start = end + 1)
      if (const std::string line = text.substr(start, end - start); is_kept(line, step, evaluation_due))
        kept += line + "\n";
    write_file(path, kept);
  }
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail("{}: cannot write: {}", path, std::strerror(errno));
}

RunLog::~RunLog() {
  if (descriptor_ >= 0) close(descriptor_);
}

void RunLog::append(const nlohmann::ordered_json& line) {
  const std::string text = line.dump() + "\n";
  const ssize_t written = write(descriptor_, text.data(), text.size());
  if (written == static_cast<ssize_t>(text.size())) return;
  fail("{}: cannot write: {}", path_, std::strerror(written < 0 ? errno : ENOSPC));
}

}  // namespace mpanet
