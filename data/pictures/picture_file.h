// A picture's file, read from its beginning to its end through a buffer of fixed size: a long file costs no more memory
// than a short one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mpanet {

class PictureFile {
 public:
  // UserError for what is no regular file, an empty file, or one larger than kMaxImageFileBytes.
  void open(const std::string& path);
  void close();
  ~PictureFile() { close(); }
  PictureFile() = default;
  PictureFile(const PictureFile&) = delete;
  PictureFile& operator=(const PictureFile&) = delete;

  const std::string& path() const { return path_; }
  size_t size() const { return size_; }
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

  std::string path_;
  int descriptor_ = -1;
  int error_ = 0;
  size_t size_ = 0;
  std::vector<uint8_t> buffer_;
  size_t used_ = 0, filled_ = 0;  // of the buffer
};

}  // namespace mpanet
