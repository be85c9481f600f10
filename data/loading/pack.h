// A pack: all pictures of a data set, decoded and resized once, in one file that is mapped into memory. A training that
// reads it neither decodes nor resizes, and gives the same bits, because both are deterministic and come first.
//
//   "MPAPACK1"                                              8 bytes; all numbers are little-endian
//   uint32 height, width; uint64 count, offset of pixels
//   count times: uint64 size and int64 time (nanoseconds) of the picture's file, uint32 length of its path, the path
//   uint64 checksum of all bytes before
//   count times: uint64 checksum of a picture's pixels; 0: not packed yet
//   zeros up to a multiple of 4096
//   count times: height x width x 3 bytes, RGB
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/sets/dataset.h"

namespace mpanet {

// What a pack was made of. Two equal lists give equal packs.
struct PackedFile {
  std::string path;  // relative to the data set's root
  uint64_t size = 0;
  int64_t time = 0;  // of the last change, in nanoseconds
  bool operator==(const PackedFile&) const = default;
};
struct PackList {
  int height = 0, width = 0;
  std::vector<PackedFile> files;
  bool operator==(const PackList&) const = default;
  size_t picture_bytes() const { return static_cast<size_t>(height) * static_cast<size_t>(width) * 3; }
};

// A file's bytes in memory. Not to be changed by another program meanwhile: reading beyond a shortened file's end
// stops the program.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);  // UserError unless it is a regular file
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const uint8_t> bytes() const { return bytes_; }

 private:
  std::span<const uint8_t> bytes_;
};

// The pictures of a pack. Thread-safe.
class Pack {
 public:
  // UserError for a file that is no complete pack, for other than `height` and `width`, and for a pack that is stale:
  // one of its pictures below `root` was changed or removed since.
  Pack(const std::string& path, const std::string& root, int height, int width);

  // UserError if the pack lacks one of the images: it was made before they were there.
  void require(const std::vector<ImageRecord>& images) const;

  // The pixels of the picture at `path` (the root, '/', the path in the data set), or null if it is not in the pack.
  // UserError if they are damaged, which the first call for a picture finds.
  const uint8_t* find(const std::string& path) const;

  size_t count() const { return list_.files.size(); }

 private:
  std::string path_, root_;
  MappedFile file_;
  PackList list_;
  const uint8_t *sums_ = nullptr, *pixels_ = nullptr;
  std::unordered_map<std::string, size_t> position_;  // in list_.files, by path
  std::unique_ptr<std::atomic<bool>[]> checked_;
};

// The name of the pack beside a data set: ROOT/mpanet-384x128.pack.
std::string pack_path(const std::string& root, int height, int width);

struct PackReport {
  size_t pictures = 0, kept = 0;  // in the pack; those that an older or unfinished pack had already
  uint64_t bytes = 0;             // of the file
  double saved = 0;               // processor seconds that decoding and resizing a picture took; 0: none was
};

// Packs the pictures `paths` (relative to `root`), and replaces an older pack. It is written beside `out` as
// OUT.partial and renamed when complete. After a stop or an error OUT.partial stays, and the next call with an equal
// list goes on there. A complete pack with an equal list and right checksums is left as it is.
//
// Throws Interrupted after a signal (interrupt.h). UserError for a picture that cannot be decoded, a full disk, another
// program that writes the same pack, and an `out` or OUT.partial that is there and no pack.
PackReport write_pack(const std::string& root, std::vector<std::string> paths, int height, int width,
                      const std::string& out, int threads);

// Of pack.cpp, for the writer. The file of a picture as it is now; nullopt, and errno, if it is not there.
std::optional<PackedFile> look_at(const std::string& root, const std::string& path);
// The first bytes of a pack, up to the checksums of the pictures.
std::string pack_head(const PackList& list);
// Offsets of a picture's checksum and pixels in a pack whose head has `head` bytes.
uint64_t sum_offset(uint64_t head, size_t picture);
uint64_t pixel_offset(uint64_t head, const PackList& list, size_t picture);
// Never 0.
uint64_t pack_checksum(std::span<const uint8_t> bytes);

}  // namespace mpanet
