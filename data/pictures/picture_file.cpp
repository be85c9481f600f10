#include "data/pictures/picture_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/error.h"
#include "data/pictures/image.h"

namespace mpanet {
namespace {

constexpr size_t kBufferBytes = 64 << 10;

}  // namespace

void PictureFile::open(const std::string& path) {
  close();
  path_ = path;
  error_ = 0;
  used_ = filled_ = 0;
  // Without O_NONBLOCK a named pipe would wait for a writer for ever.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) fail("{}: cannot open: {}", path, std::strerror(errno));
  struct stat info;
  if (fstat(descriptor_, &info) != 0) fail("{}: cannot read: {}", path, std::strerror(errno));
  if (S_ISDIR(info.st_mode)) fail("{}: expected a picture, got a folder", path);
  if (!S_ISREG(info.st_mode)) fail("{}: expected a picture, got something that is not a file", path);
  if (info.st_size == 0) fail("{}: expected a picture, got an empty file", path);
  if (info.st_size > kMaxImageFileBytes)
    fail("{}: expected a picture of at most {} MiB, got {} MiB", path, kMaxImageFileBytes >> 20, info.st_size >> 20);
  size_ = static_cast<size_t>(info.st_size);
  buffer_.resize(kBufferBytes);
}

void PictureFile::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

void PictureFile::fill() {
  used_ = filled_ = 0;
  while (error_ == 0) {
    const ssize_t got = ::read(descriptor_, buffer_.data(), buffer_.size());
    if (got >= 0) {
      filled_ = static_cast<size_t>(got);
      return;
    }
    if (errno != EINTR) error_ = errno;
  }
}

std::span<const uint8_t> PictureFile::begin() {
  if (filled_ == 0) fill();
  check();
  return {buffer_.data(), filled_};
}

std::span<const uint8_t> PictureFile::next() {
  if (used_ == filled_) fill();
  const std::span<const uint8_t> piece(buffer_.data() + used_, filled_ - used_);
  used_ = filled_;
  return piece;
}

size_t PictureFile::read(uint8_t* to, size_t bytes) {
  size_t done = 0;
  while (done < bytes) {
    if (used_ == filled_) fill();
    const size_t count = std::min(bytes - done, filled_ - used_);
    if (count == 0) break;
    std::memcpy(to + done, buffer_.data() + used_, count);
    used_ += count;
    done += count;
  }
  return done;
}

void PictureFile::check() const {
  if (error_ != 0) fail("{}: cannot read: {}", path_, std::strerror(error_));
}

}  // namespace mpanet
