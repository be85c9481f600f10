// A picture's file, read from its beginning to its end through a buffer of fixed size: a long file costs no more memory
// than a short one.
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
  // UserError for what cannot be read, an empty file, or one larger than kMaxImageFileBytes.
  void open(const std::string& path);
  void close() { file_.reset(); }

  const std::string& path() const { return file_->path(); }
  size_t size() const { return static_cast<size_t>(file_->size()); }
  // The first bytes of the file, before anything else is read.
  std::span<const uint8_t> begin();
  // What is in the buffer, which is filled again when it was used up; empty at the end of the file. The decoders' C
  // libraries call this, through which no exception may pass: an error looks like the end, and check() throws it.
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
  size_t used_ = 0, filled_ = 0;  // of the buffer
  uint64_t offset_ = 0;           // of the buffer's end in the file
};

}  // namespace mpanet
