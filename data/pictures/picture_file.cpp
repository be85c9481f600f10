#include "data/pictures/picture_file.h"

#include <algorithm>
#include <cstring>

#include "core/base/error.h"
#include "data/pictures/image.h"

namespace mpanet {
namespace {

constexpr size_t kBufferBytes = 64 << 10;

}  // namespace

void PictureFile::open(const std::string& path) {
  file_.emplace(path, kMaxImageFileBytes);
  error_ = nullptr;
  used_ = filled_ = 0;
  offset_ = 0;
  if (file_->size() == 0) fail("{}: expected a picture, got an empty file", path);
  if (file_->size() > kMaxImageFileBytes)
    fail("{}: expected a picture of at most {} MiB, got {} MiB", path, kMaxImageFileBytes >> 20, file_->size() >> 20);
  buffer_.resize(kBufferBytes);
}

void PictureFile::fill() {
  used_ = filled_ = 0;
  try {
    filled_ = file_->read(buffer_.data(), buffer_.size(), offset_);
  } catch (...) {
    error_ = std::current_exception();
  }
  offset_ += filled_;
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
  if (error_) std::rethrow_exception(error_);
}

}  // namespace mpanet
