#include "data/loading/pack.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/text.h"

namespace mpanet {
namespace {

constexpr std::string_view kMagic = "MPAPACK1";
constexpr uint64_t kPage = 4096;
constexpr int kLargest = 8192;  // height and width
static_assert(std::endian::native == std::endian::little);

template <class T>
void append(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// Reads the head of a pack front to back. `whole` turns false where the file ends too early.
struct Cursor {
  std::span<const uint8_t> bytes;
  size_t at = 0;
  bool whole = true;

  template <class T>
  T take() {
    T value{};
    if (const uint8_t* from = take_bytes(sizeof(T))) std::memcpy(&value, from, sizeof(T));
    return value;
  }
  const uint8_t* take_bytes(size_t count) {
    whole = whole && count <= bytes.size() - at;
    if (!whole) return nullptr;
    at += count;
    return bytes.data() + at - count;
  }
};

// The list of a pack, and `head`: where the list ends. Checks everything except the pictures.
PackList read_list(const std::string& path, std::span<const uint8_t> bytes, uint64_t& head) {
  const auto damaged = [&](const char* what) { fail("{}: not a complete pack: {}", path, what); };
  Cursor cursor{bytes};
  if (bytes.size() < kMagic.size() || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0)
    damaged("it does not begin with MPAPACK1");
  cursor.take_bytes(kMagic.size());
  PackList list;
  const auto height = cursor.take<uint32_t>(), width = cursor.take<uint32_t>();
  const auto count = cursor.take<uint64_t>(), pixels = cursor.take<uint64_t>();
  if (height < 1 || height > kLargest || width < 1 || width > kLargest) damaged("the size of its pictures is wrong");
  list.height = static_cast<int>(height), list.width = static_cast<int>(width);
  if (count > bytes.size() / list.picture_bytes()) damaged("it is shorter than its pictures");
  for (uint64_t i = 0; i < count && cursor.whole; i++) {
    PackedFile file;
    file.size = cursor.take<uint64_t>();
    file.time = cursor.take<int64_t>();
    const auto length = cursor.take<uint32_t>();
    if (const uint8_t* name = cursor.take_bytes(length)) file.path.assign(name, name + length);
    list.files.push_back(std::move(file));
  }
  const size_t listed = cursor.at;
  const auto sum = cursor.take<uint64_t>();
  if (!cursor.whole) damaged("its list ends too early");
  if (sum != pack_checksum(bytes.first(listed))) damaged("its list is damaged");
  head = cursor.at;
  if (pixels != pixel_offset(head, list, 0) || bytes.size() != pixel_offset(head, list, list.files.size()))
    damaged("its length is wrong");
  return list;
}

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat about {};
  if (!file || fstat(file.get(), &about) != 0) fail("{}: cannot open: {}", path, std::strerror(errno));
  if (!S_ISREG(about.st_mode)) fail("{}: expected a file", path);
  const auto size = static_cast<size_t>(about.st_size);
  if (size == 0) return;
  void* mapped = mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
  if (mapped == MAP_FAILED) fail("{}: cannot be mapped into memory: {}", path, std::strerror(errno));
  bytes_ = {static_cast<const uint8_t*>(mapped), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<uint8_t*>(bytes_.data()), bytes_.size());
}

Pack::Pack(const std::string& path, const std::string& root, int height, int width)
    : path_(path), root_(root), file_(path) {
  uint64_t head = 0;
  list_ = read_list(path, file_.bytes(), head);
  if (list_.height != height || list_.width != width)
    fail("{}: expected pictures of {}x{}, got {}x{}", path, height, width, list_.height, list_.width);
  for (const PackedFile& packed : list_.files) {
    const std::string picture = root + "/" + packed.path;
    const auto now = look_at(root, packed.path);
    if (!now) fail("{}: stale: {} is no longer there; make it anew with mpanet-data pack", path, picture);
    if (*now != packed) fail("{}: stale: {} was changed after it; make it anew with mpanet-data pack", path, picture);
  }
  sums_ = file_.bytes().data() + sum_offset(head, 0);
  pixels_ = file_.bytes().data() + pixel_offset(head, list_, 0);
  for (size_t i = 0; i < list_.files.size(); i++) position_.emplace(root + "/" + list_.files[i].path, i);
  checked_ = std::make_unique<std::atomic<bool>[]>(list_.files.size());
}

void Pack::require(const std::vector<ImageRecord>& images) const {
  size_t missing = 0;
  std::string first;
  for (const ImageRecord& image : images)
    if (!position_.contains(root_ + "/" + image.path) && (missing++ == 0 || image.path < first)) first = image.path;
  if (missing > 0)
    fail("{}: stale: it lacks {}, {}{}; make it anew with mpanet-data pack", path_,
         counted(missing, "picture of the data set", "pictures of the data set"), missing == 1 ? "" : "the first is ",
         first);
}

const uint8_t* Pack::find(const std::string& path) const {
  const auto found = position_.find(path);
  if (found == position_.end()) return nullptr;
  const size_t i = found->second;
  const uint8_t* pixels = pixels_ + i * list_.picture_bytes();
  if (!checked_[i].load(std::memory_order_relaxed)) {
    uint64_t sum = 0;
    std::memcpy(&sum, sums_ + i * sizeof(sum), sizeof(sum));
    if (sum != pack_checksum({pixels, list_.picture_bytes()}))
      fail("{}: the pixels of {} are damaged; make it anew with mpanet-data pack", path_, list_.files[i].path);
    checked_[i].store(true, std::memory_order_relaxed);
  }
  return pixels;
}

std::string pack_path(const std::string& root, int height, int width) {
  return fmt::format("{}/mpanet-{}x{}.pack", root, height, width);
}

std::optional<PackedFile> look_at(const std::string& root, const std::string& path) {
  struct stat about {};
  if (stat((root + "/" + path).c_str(), &about) != 0) return std::nullopt;
  return PackedFile{path, static_cast<uint64_t>(about.st_size),
                    about.st_mtim.tv_sec * int64_t{1000000000} + about.st_mtim.tv_nsec};
}

std::string pack_head(const PackList& list) {
  std::string names;
  for (const PackedFile& file : list.files) {
    append(names, file.size);
    append(names, file.time);
    append(names, static_cast<uint32_t>(file.path.size()));
    names += file.path;
  }
  std::string head(kMagic);
  append(head, static_cast<uint32_t>(list.height));
  append(head, static_cast<uint32_t>(list.width));
  append(head, static_cast<uint64_t>(list.files.size()));
  append(head, pixel_offset(head.size() + sizeof(uint64_t) + names.size() + sizeof(uint64_t), list, 0));
  head += names;
  append(head, pack_checksum({reinterpret_cast<const uint8_t*>(head.data()), head.size()}));
  return head;
}

uint64_t sum_offset(uint64_t head, size_t picture) { return head + picture * sizeof(uint64_t); }

uint64_t pixel_offset(uint64_t head, const PackList& list, size_t picture) {
  const uint64_t end = sum_offset(head, list.files.size());
  return (end + kPage - 1) / kPage * kPage + picture * list.picture_bytes();
}

// FNV-1a over words of eight bytes, in four lanes that the processor works on at the same time. Each step is a
// bijection of the word, so that a change of one word always shows.
uint64_t pack_checksum(std::span<const uint8_t> bytes) {
  constexpr uint64_t kPrime = 0x100000001B3;
  constexpr size_t kLanes = 4, kWord = sizeof(uint64_t);
  uint64_t lanes[kLanes] = {0xCBF29CE484222325, 1, 2, 3};
  const uint8_t* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= kLanes * kWord; left -= kLanes * kWord)
    for (uint64_t& lane : lanes) {
      uint64_t word = 0;
      std::memcpy(&word, at, kWord);
      at += kWord;
      lane = (lane ^ word) * kPrime;
      lane ^= lane >> 29;  // a product alone never carries a high bit down
    }
  for (; left > 0; left--, at++) lanes[0] = (lanes[0] ^ *at) * kPrime;
  uint64_t sum = bytes.size();
  for (const uint64_t lane : lanes) sum = (sum ^ lane) * kPrime;
  return sum == 0 ? 1 : sum;
}

}  // namespace mpanet
