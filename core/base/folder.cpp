#include "core/base/folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/base/error.h"
#include "core/base/temporary.h"

namespace mpanet {
namespace {

bool is_folder(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool is_there(const std::string& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0;
}

std::string without_final_slashes(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

[[noreturn]] void fail_to_make(const std::string& path, int reason) {
  fail("{}: cannot make the folder: {}", path, std::strerror(reason));
}

}  // namespace

// 0 or errno.
int MadeFiles::make(const std::string& path) {
  constexpr int kTries = 100;
  int reason = 0;
  // Repeats when another program that failed has removed the parent that it had made.
  for (int i = 0; i < kTries; i++) {
    if (mkdir(path.c_str(), 0777) == 0) return folders_.push_back(path), 0;
    reason = errno;
    const std::string parent = without_final_slashes(folder_of(path));
    if (reason != ENOENT || parent == path) return reason;
    if (const int error = make(parent); error != 0 && error != EEXIST) return error;
    if (!is_folder(parent) && is_there(parent)) return ENOTDIR;
  }
  return reason;
}

void MadeFiles::make_folders(const std::string& path) {
  const std::string folder = without_final_slashes(path);
  if (is_folder(folder)) return;
  if (const int reason = make(folder); reason != 0 && !(reason == EEXIST && is_folder(folder)))
    fail_to_make(path, reason == EEXIST ? ENOTDIR : reason);
}

bool MadeFiles::make_folder(const std::string& path) {
  const int reason = make(without_final_slashes(path));
  if (reason != 0 && reason != EEXIST) fail_to_make(path, reason);
  return reason == 0;
}

void MadeFiles::keep() {
  files_.clear();
  folders_.clear();
}

void MadeFiles::remove() {
  for (auto file = files_.rbegin(); file != files_.rend(); ++file) unlink(file->c_str());
  for (auto folder = folders_.rbegin(); folder != folders_.rend(); ++folder) rmdir(folder->c_str());
  keep();
}

void check_folder_can_be_made(const std::string& path) {
  std::string existing = without_final_slashes(path);
  std::vector<std::string> missing;
  while (!is_there(existing) && errno == ENOENT && existing != "." && existing != "/") {
    missing.push_back(name_in_folder(existing));
    existing = without_final_slashes(folder_of(existing));
  }
  if (!is_folder(existing)) fail_to_make(path, is_there(existing) ? ENOTDIR : errno);
  // Looking up a name that is too long fails with ENAMETOOLONG.
  for (const std::string& name : missing)
    if (!is_there(existing + "/" + name) && errno != ENOENT) fail_to_make(path, errno);
  const int reason = try_new_file(existing);
  if (reason != 0 && !missing.empty()) fail_to_make(path, reason);
  if (reason != 0) fail("{}: cannot write into the folder: {}", path, std::strerror(reason));
}

bool path_exists(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR) fail("{}: cannot open: {}", path, std::strerror(errno));
  return false;
}

bool folder_exists(const std::string& path) { return path_exists(path) && is_folder(path); }

bool folder_can_be_read(const std::string& path) {
  return faccessat(AT_FDCWD, path.c_str(), R_OK | X_OK, AT_EACCESS) == 0;
}

void check_folder_can_be_read(const std::string& path) {
  if (!folder_can_be_read(path)) fail("{}: cannot read the folder: {}", path, std::strerror(errno));
}

}  // namespace mpanet
