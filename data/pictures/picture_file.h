// A picture's file, read sequentially through a buffer of fixed size, so that memory does not depend on the file's
// length.
#pragma once
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/file.h"

namespace mpanet {

class PictureFile {
 public:
  // UserError for a file that cannot be read, is empty, or is larger than kMaxImageFileBytes.
  void open(const std::string& path);
  void close() { file_.reset(); }

  const std::string& path() const { return file_->path(); }
  size_t size() const { return static_cast<size_t>(file_->size()); }
  // The first bytes of the file. To be called before next() and read().
  std::span<const uint8_t> begin();
  // The unread bytes of the buffer, which is refilled when it is empty; no bytes at the end of the file. It is called
  // from C libraries, through which no exception may pass. So a read error looks like the end, and check() throws it.
  std::span<const uint8_t> next();
  // Copies up to `bytes` bytes; fewer at the end of the file.
  size_t read(uint8_t* to, size_t bytes);
  // UserError when reading failed.
  void check() const;

 private:
  void fill();

  std::optional<InputFile> file_;
  std::exception_ptr error_;
  std::vector<uint8_t> buffer_;
  size_t used_ = 0, filled_ = 0;  // bytes of the buffer
  uint64_t offset_ = 0;           // offset in the file of the buffer's end
};

}  // namespace mpanet
