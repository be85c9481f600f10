#include "core/base/temporary.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "core/base/error.h"

namespace mpanet {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMark = ".tmp.";
constexpr size_t kRandomDigits = 16, kCheckDigits = 8;
constexpr size_t kLongestName = 255;

// FNV-1a, 32 bits.
uint32_t checksum(std::string_view random, std::string_view name) {
  uint32_t hash = 0x811C9DC5;
  for (const std::string_view part : {random, name})
    for (const char c : part) hash = (hash ^ static_cast<uint8_t>(c)) * 0x01000193;
  return hash;
}

std::string temporary_name(std::string_view random, std::string_view name) {
  const std::string end = fmt::format("{}{}{:08x}", kMark, random, checksum(random, name));
  return std::string(name.substr(0, kLongestName - end.size())) + end;
}

}  // namespace

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

std::string name_in_folder(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string temporary_name(const std::string& name) {
  uint64_t random = 0;
  if (getentropy(&random, sizeof random) != 0) fail("{}: no random numbers: {}", name, std::strerror(errno));
  return temporary_name(fmt::format("{:016x}", random), name);
}

bool is_temporary_name(const std::string& text, const std::string& name) {
  constexpr size_t kDigits = kRandomDigits + kCheckDigits;
  if (text.size() < kDigits) return false;
  return text == temporary_name(std::string_view(text).substr(text.size() - kDigits, kRandomDigits), name);
}

std::string temporary_path(const std::string& path) {
  return path.substr(0, path.rfind('/') + 1) + temporary_name(name_in_folder(path));
}

Descriptor create_temporary_file(const std::string& path, mode_t mode) {
  return Descriptor(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
}

void remove_leftovers(const std::string& path) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_of(path), ignored)) {
    const bool ours = is_temporary_name(entry.path().filename().string(), name_in_folder(path));
    if (ours && entry.symlink_status(ignored).type() == fs::file_type::regular) unlink(entry.path().c_str());
  }
}

int try_new_file(const std::string& folder) {
  const std::string path = temporary_path(folder + "/probe");
  if (!create_temporary_file(path, 0600)) return errno;
  unlink(path.c_str());
  return 0;
}

void check_replaceable(const std::string& path, const std::string& target) {
  struct statx info {};
  if (statx(AT_FDCWD, target.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &info) != 0) return;
  if (info.stx_attributes & STATX_ATTR_MOUNT_ROOT)
    fail("{}: cannot write: it is a mount point, which cannot be replaced", path);
  if (info.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND))
    fail("{}: cannot write: it is marked as immutable or append-only (lsattr)", path);
  struct stat folder {};
  const uid_t user = geteuid();
  const bool sticky = stat(folder_of(target).c_str(), &folder) == 0 && (folder.st_mode & S_ISVTX);
  if (sticky && user != 0 && user != info.stx_uid && user != folder.st_uid)
    fail("{}: cannot write: it belongs to another user, and its folder lets only owners replace files", path);
}

}  // namespace mpanet
