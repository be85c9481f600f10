// Zip archives as torch.save() writes them (APPNOTE 6.3): entries stored or deflated, zip64. Reading trusts no size and
// no offset before it was checked against the file.
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
  uint32_t crc = 0;     // 0: unknown, as files are that PyTorch wrote without checksums
  bool deflated = false;
};

// The entries in the order of the file's directory. UserError, one line with the path: no end of the archive
// (truncated), entries that overlap, reach beyond the file or are encrypted, a name given twice.
std::vector<ZipEntry> read_zip(const InputFile& file);

// The content. UserError when it is longer or shorter than the directory says, or its checksum differs.
std::vector<uint8_t> inflate_entry(const InputFile& file, const ZipEntry& entry);
// Of a stored entry: reads it through once. UserError when its checksum differs.
void check_entry(const InputFile& file, const ZipEntry& entry);

// Whether this build has zlib; without it read_zip() and inflate_entry() refuse every file.
bool zip_supported();

// CRC-32 of the content of an entry.
uint32_t zip_crc(const void* data, size_t bytes, uint32_t before = 0);

}  // namespace mpanet
