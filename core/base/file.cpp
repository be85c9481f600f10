#include "core/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/base/error.h"

namespace mpanet {
namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

template <class Container>
Container read_whole(const std::string& path) {
  Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) fail("{}: cannot open: {}", path, std::strerror(errno));
  struct stat info;
  if (fstat(file.fd, &info) != 0) fail("{}: cannot read: {}", path, std::strerror(errno));
  if (S_ISDIR(info.st_mode)) fail("{}: expected a file, got a folder", path);
  Container content;
  content.resize(static_cast<size_t>(info.st_size));
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t got = read(file.fd, content.data() + done, content.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("{}: cannot read: {}", path, std::strerror(errno));
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  content.resize(done);
  return content;
}

}  // namespace

std::vector<uint8_t> read_bytes(const std::string& path) { return read_whole<std::vector<uint8_t>>(path); }
std::string read_text(const std::string& path) { return read_whole<std::string>(path); }

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  temporary_ = fmt::format("{}.tmp.{}", path_, getpid());
  descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail("{}: cannot write: {}", path_, std::strerror(errno));
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t bytes) {
  const char* p = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t put = ::write(descriptor_, p, bytes);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail("{}: cannot write: {}", path_, std::strerror(errno));
    p += put;
    bytes -= static_cast<size_t>(put);
  }
}

void AtomicFile::commit() {
  if (fsync(descriptor_) != 0) fail("{}: cannot write: {}", path_, std::strerror(errno));
  if (close(descriptor_) != 0) {
    descriptor_ = -1;
    unlink(temporary_.c_str());
    fail("{}: cannot write: {}", path_, std::strerror(errno));
  }
  descriptor_ = -1;
  if (rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int reason = errno;
    unlink(temporary_.c_str());
    fail("{}: cannot write: {}", path_, std::strerror(reason));
  }
  // The rename itself must survive a power cut too.
  const auto folder = std::filesystem::path(path_).parent_path();
  Descriptor parent{open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (parent.fd >= 0) fsync(parent.fd);
}

void write_file(const std::string& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

}  // namespace mpanet
