#include "mpanet/files/zip_archive.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <set>
#include <string_view>

#include "core/base/error.h"
#include "core/base/quote.h"

#if defined(MPANET_HAS_ZLIB)
#  include <zlib.h>
#endif

namespace mpanet {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little endian");

constexpr uint32_t kEndMark = 0x06054b50, kEnd64Mark = 0x06064b50, kLocator64Mark = 0x07064b50;
constexpr uint32_t kDirectoryMark = 0x02014b50, kLocalMark = 0x04034b50;
constexpr size_t kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20, kDirectoryBytes = 46, kLocalBytes = 30;
constexpr size_t kLongestComment = 65535;
constexpr uint16_t kZip64Field = 1;
constexpr uint32_t kSeeZip64 = 0xffffffff;
constexpr uint64_t kBestDeflate = 1032;  // bytes of content per deflated byte, at most
constexpr size_t kChunk = 1 << 18;

template <class T>
T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

std::vector<uint8_t> read_range(const InputFile& file, uint64_t begin, size_t bytes) {
  std::vector<uint8_t> data(bytes);
  if (file.read(data.data(), bytes, begin) < bytes) fail("{}: truncated while it was read", file.path());
  return data;
}

// The location of the directory.
struct Directory {
  uint64_t begin = 0, bytes = 0, entries = 0;
  uint64_t limit = 0;  // the first byte after it
};

// In zip64 the locator is directly before the end record and has the offset of the zip64 end record.
void take_zip64(const InputFile& file, uint64_t end, Directory& directory) {
  if (end < kLocator64Bytes) return;
  const auto locator = read_range(file, end - kLocator64Bytes, kLocator64Bytes);
  if (load<uint32_t>(locator.data()) != kLocator64Mark) return;
  const auto at = load<uint64_t>(locator.data() + 8);
  if (at > end - kLocator64Bytes || end - kLocator64Bytes - at < kEnd64Bytes)
    fail("{}: damaged zip archive: its zip64 end record would be at byte {}", file.path(), at);
  const auto record = read_range(file, at, kEnd64Bytes);
  if (load<uint32_t>(record.data()) != kEnd64Mark)
    fail("{}: damaged zip archive: no zip64 end record at byte {}", file.path(), at);
  directory = {load<uint64_t>(record.data() + 48), load<uint64_t>(record.data() + 40),
               load<uint64_t>(record.data() + 32), at};
}

Directory find_directory(const InputFile& file) {
  const uint64_t size = file.size();
  const size_t tail_bytes = static_cast<size_t>(std::min<uint64_t>(size, kEndBytes + kLongestComment));
  const auto tail = read_range(file, size - tail_bytes, tail_bytes);
  for (size_t at = tail_bytes < kEndBytes ? 0 : tail_bytes - kEndBytes + 1; at-- > 0;) {
    const uint8_t* record = tail.data() + at;
    if (load<uint32_t>(record) != kEndMark || load<uint16_t>(record + 20) != tail_bytes - at - kEndBytes) continue;
    const uint64_t end = size - tail_bytes + at;
    Directory directory = {load<uint32_t>(record + 16), load<uint32_t>(record + 12), load<uint16_t>(record + 10), end};
    if (load<uint32_t>(record + 4) != 0) fail("{}: expected one file, got part of a split zip archive", file.path());
    take_zip64(file, end, directory);
    if (directory.begin > directory.limit || directory.bytes > directory.limit - directory.begin)
      fail("{}: damaged zip archive: a directory of {} bytes at byte {} does not lie before byte {}", file.path(),
           directory.bytes, directory.begin, directory.limit);
    if (directory.entries > directory.bytes / kDirectoryBytes)
      fail("{}: damaged zip archive: a directory of {} bytes cannot hold {} entries", file.path(), directory.bytes,
           directory.entries);
    return directory;
  }
  fail("{}: expected a zip archive of torch.save(), but its end is missing (truncated?)", file.path());
}

// Replaces values that the record marks as 64-bit by those of the extra field. False if some are missing.
bool take_zip64_values(const uint8_t* extra, size_t bytes, std::initializer_list<uint64_t*> values) {
  while (bytes >= 4) {
    const auto id = load<uint16_t>(extra), length = load<uint16_t>(extra + 2);
    if (length > bytes - 4) return false;
    if (id == kZip64Field) {
      size_t at = 0;
      for (uint64_t* value : values) {
        if (*value != kSeeZip64) continue;
        if (at + 8 > length) return false;
        *value = load<uint64_t>(extra + 4 + at);
        at += 8;
      }
      return true;
    }
    extra += 4 + length;
    bytes -= 4 + length;
  }
  return std::all_of(values.begin(), values.end(), [](const uint64_t* value) { return *value != kSeeZip64; });
}

// One record of the directory; Sets `local` to the offset of the entry's own header.
ZipEntry parse_entry(const InputFile& file, const uint8_t* record, size_t bytes, uint64_t& local, size_t& used) {
  const auto damaged = [&](const char* what) { fail("{}: damaged zip archive: {}", file.path(), what); };
  if (bytes < kDirectoryBytes || load<uint32_t>(record) != kDirectoryMark) damaged("its directory ends early");
  const size_t name = load<uint16_t>(record + 28), extra = load<uint16_t>(record + 30),
               comment = load<uint16_t>(record + 32);
  used = kDirectoryBytes + name + extra + comment;
  if (used > bytes) damaged("its directory ends early");
  ZipEntry entry;
  entry.name.assign(reinterpret_cast<const char*>(record) + kDirectoryBytes, name);
  const auto flags = load<uint16_t>(record + 8), method = load<uint16_t>(record + 10);
  entry.crc = load<uint32_t>(record + 16);
  entry.packed = load<uint32_t>(record + 20);
  entry.size = load<uint32_t>(record + 24);
  local = load<uint32_t>(record + 42);
  if (!take_zip64_values(record + kDirectoryBytes + name, extra, {&entry.size, &entry.packed, &local}))
    damaged("a zip64 field is missing");
  const auto refuse = [&](const std::string& what) {
    fail("{}: zip entry {}: {}", file.path(), quote(entry.name), what);
  };
  if (flags & 1) refuse("expected plain data, got encrypted ones");
  if (method != 0 && method != 8) refuse(fmt::format("expected stored or deflated data, got method {}", method));
  entry.deflated = method == 8;
  if (!entry.deflated && entry.size != entry.packed)
    refuse(fmt::format("stored, but {} bytes become {}", entry.packed, entry.size));
  if (entry.deflated && entry.size / kBestDeflate > entry.packed + 1)
    refuse(fmt::format("{} bytes cannot be inflated to {}", entry.packed, entry.size));
  return entry;
}

// Finds the entry's data after its own header. Returns the offset of their end.
uint64_t find_data(const InputFile& file, ZipEntry& entry, uint64_t local, uint64_t limit) {
  const auto refuse = [&](const std::string& what) {
    fail("{}: zip entry {}: {}", file.path(), quote(entry.name), what);
  };
  if (local > limit || limit - local < kLocalBytes) refuse(fmt::format("its header would be at byte {}", local));
  const auto header = read_range(file, local, kLocalBytes);
  if (load<uint32_t>(header.data()) != kLocalMark) refuse(fmt::format("no header at byte {}", local));
  const size_t name = load<uint16_t>(header.data() + 26), extra = load<uint16_t>(header.data() + 28);
  if (limit - local - kLocalBytes < name + extra) refuse("its header reaches into the directory");
  const auto own_name = read_range(file, local + kLocalBytes, name);
  if (std::string_view(reinterpret_cast<const char*>(own_name.data()), name) != entry.name)
    refuse("its header has another name than the directory");
  entry.begin = local + kLocalBytes + name + extra;
  if (entry.packed > limit - entry.begin)
    refuse(fmt::format("its {} bytes at byte {} reach into the directory", entry.packed, entry.begin));
  return entry.begin + entry.packed;
}

void check_no_overlap(const InputFile& file, std::vector<std::pair<uint64_t, uint64_t>> ranges) {
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); i++)
    if (ranges[i].first < ranges[i - 1].second)
      fail("{}: damaged zip archive: the entry at byte {} lies in the one before", file.path(), ranges[i].first);
}

void check_crc(const InputFile& file, const ZipEntry& entry, uint32_t crc) {
  if (entry.has_crc && crc != entry.crc)
    fail("{}: zip entry {}: damaged, its checksum is {:08x} and not {:08x}", file.path(), quote(entry.name), crc,
         entry.crc);
}

}  // namespace

std::vector<ZipEntry> read_zip(const InputFile& file) {
  if (!zip_supported())
    fail("{}: this build has no zlib, which PyTorch's files need (build with -DMPANET_ZLIB=ON)", file.path());
  const Directory directory = find_directory(file);
  const auto records = read_range(file, directory.begin, static_cast<size_t>(directory.bytes));
  std::vector<ZipEntry> entries;
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  std::set<std::string> names;
  size_t at = 0;
  for (uint64_t i = 0; i < directory.entries; i++) {
    uint64_t local = 0;
    size_t used = 0;
    ZipEntry entry = parse_entry(file, records.data() + at, records.size() - at, local, used);
    at += used;
    if (!names.insert(entry.name).second)
      fail("{}: damaged zip archive: {} is there twice", file.path(), quote(entry.name));
    ranges.emplace_back(local, find_data(file, entry, local, directory.begin));
    entries.push_back(std::move(entry));
  }
  check_no_overlap(file, std::move(ranges));
  // PyTorch can omit the checksums (torch.serialization.set_crc32_options()). Then all are 0.
  const bool has_crc =
      std::any_of(entries.begin(), entries.end(), [](const ZipEntry& entry) { return entry.crc != 0; });
  for (ZipEntry& entry : entries) entry.has_crc = has_crc;
  return entries;
}

void check_entry(const InputFile& file, const ZipEntry& entry) {
  std::vector<uint8_t> chunk(static_cast<size_t>(std::min<uint64_t>(kChunk, entry.packed)));
  uint32_t crc = 0;
  for (uint64_t done = 0; done < entry.packed; done += chunk.size()) {
    const auto now = static_cast<size_t>(std::min<uint64_t>(chunk.size(), entry.packed - done));
    if (file.read(chunk.data(), now, entry.begin + done) < now) fail("{}: truncated while it was read", file.path());
    crc = zip_crc(chunk.data(), now, crc);
  }
  check_crc(file, entry, crc);
}

#if defined(MPANET_HAS_ZLIB)
bool zip_supported() { return true; }

uint32_t zip_crc(const void* data, size_t bytes, uint32_t before) {
  return static_cast<uint32_t>(crc32_z(before, static_cast<const Bytef*>(data), bytes));
}

std::vector<uint8_t> inflate_entry(const InputFile& file, const ZipEntry& entry) {
  std::vector<uint8_t> content;
  if (!entry.deflated) {
    content = read_range(file, entry.begin, static_cast<size_t>(entry.size));
    check_crc(file, entry, zip_crc(content.data(), content.size()));
    return content;
  }
  const auto refuse = [&](const char* what) { fail("{}: zip entry {}: {}", file.path(), quote(entry.name), what); };
  const auto packed = read_range(file, entry.begin, static_cast<size_t>(entry.packed));
  content.resize(static_cast<size_t>(entry.size));
  struct Stream : z_stream {
    Stream() : z_stream{} {}
    ~Stream() { inflateEnd(this); }
  } stream;
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) refuse("cannot be inflated");  // negative: without zlib's header
  size_t taken = 0, made = 0;
  int status = Z_OK;
  uint8_t spare = 0;  // a byte beyond the directory's size would be an error
  while (status == Z_OK) {
    constexpr size_t kMost = 1u << 30;
    stream.next_in = const_cast<Bytef*>(packed.data() + taken);
    stream.avail_in = static_cast<uInt>(std::min(kMost, packed.size() - taken));
    stream.next_out = made < content.size() ? content.data() + made : &spare;
    stream.avail_out = static_cast<uInt>(made < content.size() ? std::min(kMost, content.size() - made) : 1);
    const size_t in = stream.avail_in, out = stream.avail_out;
    status = ::inflate(&stream, Z_NO_FLUSH);
    taken += in - stream.avail_in;
    made += out - stream.avail_out;
    if (made > content.size()) refuse("damaged, it is longer than the directory says");
    if (status == Z_OK && in == stream.avail_in && out == stream.avail_out) break;  // no progress: the data are damaged
  }
  if (status != Z_STREAM_END || made != content.size()) refuse("damaged deflated data");
  check_crc(file, entry, zip_crc(content.data(), content.size()));
  return content;
}
#else
bool zip_supported() { return false; }
uint32_t zip_crc(const void*, size_t, uint32_t) { return 0; }
std::vector<uint8_t> inflate_entry(const InputFile& file, const ZipEntry&) {
  fail("{}: this build has no zlib, which PyTorch's files need (build with -DMPANET_ZLIB=ON)", file.path());
}
#endif

}  // namespace mpanet
