#include "core/base/path_end.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>

namespace mpanet {
namespace {

constexpr int kMostLinks = 40;  // Linux's own limit

[[noreturn]] void throw_errno(int reason) { throw std::system_error(reason, std::generic_category()); }

struct Free {
  void operator()(char* text) const { free(text); }
};

std::string real_folder(const std::string& path) {
  const std::unique_ptr<char, Free> real(realpath(path.c_str(), nullptr));
  if (!real) throw_errno(errno);
  return real.get();
}

std::string link_text(const std::string& path) {
  char text[PATH_MAX];
  const ssize_t length = readlink(path.c_str(), text, sizeof text);
  if (length < 0) throw_errno(errno);
  return std::string(text, static_cast<size_t>(length));
}

// "/proc/PID/fd" and "/proc/PID/task/TID/fd".
bool is_descriptor_folder(const std::string& folder) {
  return folder.starts_with("/proc/") && folder.ends_with("/fd") && isdigit(static_cast<unsigned char>(folder[6]));
}

bool is_own_descriptor_folder(const std::string& folder) {
  const std::string own = "/proc/" + link_text("/proc/self");  // getpid() differs if /proc has another PID namespace
  return folder == own + "/fd" || folder.starts_with(own + "/task/");
}

PathEnd descriptor_end(const std::string& folder, const std::string& name) {
  PathEnd end{PathEnd::Kind::Special, folder + "/" + name};
  int number = -1;
  const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || stop != name.data() + name.size() || number < 0) throw_errno(EBADF);
  if (!is_own_descriptor_folder(folder)) return end;
  end.kind = PathEnd::Kind::Descriptor;
  end.descriptor = number;
  return end;
}

PathEnd::Kind kind_of(mode_t mode) {
  if (S_ISREG(mode)) return PathEnd::Kind::File;
  if (S_ISDIR(mode)) return PathEnd::Kind::Folder;
  return PathEnd::Kind::Special;
}

}  // namespace

PathEnd follow_path(const std::string& path) {
  std::string at = path;
  for (int links = 0; links <= kMostLinks; links++) {
    const size_t slash = at.rfind('/');
    const std::string name = slash == at.npos ? at : at.substr(slash + 1);
    if (name.empty() || name == "." || name == "..") return {PathEnd::Kind::Folder, real_folder(at.empty() ? "." : at)};
    std::string folder = real_folder(slash == at.npos ? "." : at.substr(0, slash + 1));
    if (is_descriptor_folder(folder)) return descriptor_end(folder, name);
    if (folder != "/") folder += '/';
    at = folder + name;
    struct stat info;
    if (lstat(at.c_str(), &info) != 0) {
      if (errno != ENOENT) throw_errno(errno);
      return {PathEnd::Kind::Nothing, at};
    }
    if (!S_ISLNK(info.st_mode)) return {kind_of(info.st_mode), at};
    const std::string text = link_text(at);
    at = text.starts_with('/') ? text : folder + text;
  }
  throw_errno(ELOOP);
}

}  // namespace mpanet
