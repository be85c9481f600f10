// Zip archives as torch.save() writes them (APPNOTE 6.3): entries stored or deflated, zip64. Sizes and
// offsets are checked against the file before they are used.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/file.h"

namespace mpanet {

struct ZipEntry {
  std::string name;
  uint64_t begin = 0;   // first byte of the data in the file
  uint64_t packed = 0;  // bytes in the file
  uint64_t size = 0;    // bytes of the content; equal to `packed` unless deflated
  uint32_t crc = 0;     // of the content
  bool has_crc = true;  // false: the archive was written without checksums, all are 0
  bool deflated = false;
};

// The entries in the order of the file's directory. UserError, one line with the path: no end of the archive
// (truncated), entries that overlap, reach beyond the file or are encrypted, a name given twice.
std::vector<ZipEntry> read_zip(const InputFile& file);

// The content. UserError if its length or checksum differs from the directory's.
std::vector<uint8_t> inflate_entry(const InputFile& file, const ZipEntry& entry);
// Reads a stored entry once. UserError if its checksum differs.
void check_entry(const InputFile& file, const ZipEntry& entry);

// Whether this build has zlib; without it read_zip() and inflate_entry() throw UserError.
bool zip_supported();

// CRC-32 of an entry's content; `before`: the CRC-32 of the preceding bytes.
uint32_t zip_crc(const void* data, size_t bytes, uint32_t before = 0);

}  // namespace mpanet
