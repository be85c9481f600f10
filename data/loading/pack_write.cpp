#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/inputs.h"
#include "core/base/interrupt.h"
#include "core/base/processor_time.h"
#include "core/base/progress.h"
#include "core/base/temporary.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "data/loading/pack.h"
#include "data/pictures/resize.h"

namespace mpanet {
namespace {

PackList list_files(const std::string& root, std::vector<std::string> paths, int height, int width) {
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  PackList list{height, width, {}};
  for (const std::string& path : paths) {
    auto file = look_at(root, path);
    if (!file) fail("{}/{}: cannot open: {}", root, path, std::strerror(errno));
    list.files.push_back(std::move(*file));
  }
  return list;
}

// The file OUT.partial, which may go on from an earlier stop. It is locked while it is open.
class PartialPack {
 public:
  PartialPack(const std::string& out, const PackList& list)
      : out_(out), path_(out + ".partial"), list_(list), head_(pack_head(list)), done_(list.files.size()) {
    open();
    if (goes_on())
      find_done();
    else
      begin();
  }

  bool done(size_t picture) const { return done_[picture]; }
  const std::string& path() const { return path_; }

  // Thread-safe for different pictures. The checksum is written last, and tells that the picture is there.
  void put(size_t picture, std::span<const uint8_t> pixels) {
    const uint64_t sum = pack_checksum(pixels);
    write(pixels.data(), pixels.size(), pixel_offset(head_.size(), list_, picture));
    write(&sum, sizeof(sum), sum_offset(head_.size(), picture));
  }

  void complete() {
    while (fsync(file_.get()) != 0)
      if (errno == EINVAL)  // a file system that cannot sync
        break;
      else if (errno != EINTR)
        fail_to_write(errno);
    if (rename(path_.c_str(), out_.c_str()) != 0) fail_to_write(errno);
    const Descriptor folder(::open(folder_of(out_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder) fsync(folder.get());
  }

 private:
  [[noreturn]] void fail_to_write(int reason) const { fail("{}: cannot write: {}", path_, std::strerror(reason)); }

  void open() {
    file_ = Descriptor(::open(path_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666));
    struct stat about {};
    if (!file_ || fstat(file_.get(), &about) != 0) fail_to_write(errno);
    if (!S_ISREG(about.st_mode) || about.st_nlink != 1 || about.st_uid != geteuid())
      fail("{}: expected nothing or an unfinished pack of this user there", path_);
    // The program that held the lock may have renamed the file to `out` meanwhile.
    struct stat named {};
    if ((flock(file_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) || lstat(path_.c_str(), &named) != 0 ||
        named.st_ino != about.st_ino || named.st_dev != about.st_dev)
      fail("{}: in use: another program is writing this pack", path_);
    size_ = static_cast<uint64_t>(about.st_size);
  }

  size_t read(void* to, size_t bytes, uint64_t offset) const {
    const ssize_t got = pread(file_.get(), to, bytes, static_cast<off_t>(offset));
    return got < 0 ? 0 : static_cast<size_t>(got);
  }

  void write(const void* from, size_t bytes, uint64_t offset) const {
    const char* at = static_cast<const char*>(from);
    while (bytes > 0) {
      const ssize_t wrote = pwrite(file_.get(), at, bytes, static_cast<off_t>(offset));
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) fail_to_write(wrote < 0 ? errno : ENOSPC);
      at += wrote, bytes -= static_cast<size_t>(wrote), offset += static_cast<uint64_t>(wrote);
    }
  }

  // Whether the file begins with this pack's head. UserError if it is no pack of ours at all.
  bool goes_on() const {
    std::string there(head_.size(), '\0');
    there.resize(read(there.data(), there.size(), 0));
    if (there == head_ && size_ == pixel_offset(head_.size(), list_, list_.files.size())) return true;
    if (!there.starts_with(head_.substr(0, 8)) && size_ > 0)
      fail("{}: expected nothing or an unfinished pack there, got another file", path_);
    return false;
  }

  // Takes the whole length at once, so that a full disk is found before the work if the file system can reserve space.
  void begin() const {
    const uint64_t size = pixel_offset(head_.size(), list_, list_.files.size());
    try {
      if (ftruncate(file_.get(), 0) != 0) fail_to_write(errno);
      write(head_.data(), head_.size(), 0);
      const int reserved = posix_fallocate(file_.get(), 0, static_cast<off_t>(size));
      if (reserved != 0 && reserved != EINVAL && reserved != EOPNOTSUPP) fail_to_write(reserved);
      if (reserved != 0 && ftruncate(file_.get(), static_cast<off_t>(size)) != 0) fail_to_write(errno);
    } catch (...) {
      unlink(path_.c_str());  // no picture is in it yet
      throw;
    }
  }

  void find_done() {
    std::vector<uint8_t> pixels(list_.picture_bytes());
    for (size_t i = 0; i < done_.size(); i++) {
      uint64_t sum = 0;
      read(&sum, sizeof(sum), sum_offset(head_.size(), i));
      if (sum == 0) continue;
      const size_t got = read(pixels.data(), pixels.size(), pixel_offset(head_.size(), list_, i));
      done_[i] = got == pixels.size() && sum == pack_checksum(pixels);
    }
  }

  std::string out_, path_;
  const PackList& list_;
  const std::string head_;
  std::vector<bool> done_;
  Descriptor file_;
  uint64_t size_ = 0;
};

// Whether `out` is a complete pack of this list. UserError if it is there and no pack.
bool is_up_to_date(const std::string& out, const PackList& list) {
  struct stat about {};
  if (lstat(out.c_str(), &about) != 0) return false;
  if (!S_ISREG(about.st_mode)) fail("{}: expected nothing or an older pack there", out);
  const std::string head = pack_head(list);
  const MappedFile file(out);
  const auto bytes = file.bytes();
  const auto begins_with = [&](std::string_view text) {
    return bytes.size() >= text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
  };
  if (!begins_with(std::string_view(head).substr(0, 8))) fail("{}: there is another file, which is no pack", out);
  if (!begins_with(head) || bytes.size() != pixel_offset(head.size(), list, list.files.size())) return false;
  for (size_t i = 0; i < list.files.size(); i++) {
    uint64_t sum = 0;
    std::memcpy(&sum, bytes.data() + sum_offset(head.size(), i), sizeof(sum));
    if (sum != pack_checksum(bytes.subspan(pixel_offset(head.size(), list, i), list.picture_bytes()))) return false;
  }
  return true;
}

}  // namespace

PackReport write_pack(const std::string& root, std::vector<std::string> paths, int height, int width,
                      const std::string& out, int threads) {
  const PackList list = list_files(root, std::move(paths), height, width);
  PackReport report;
  report.pictures = list.files.size();
  report.bytes = pixel_offset(pack_head(list).size(), list, list.files.size());
  check_no_input(out, out);
  if (is_up_to_date(out, list)) {
    report.kept = report.pictures;
    return report;
  }
  PartialPack partial(out, list);
  std::vector<size_t> missing;
  for (size_t i = 0; i < list.files.size(); i++)
    if (!partial.done(i)) missing.push_back(i);
  report.kept = report.pictures - missing.size();
  if (threads == 0) threads = usable_processors();

  struct Scratch {
    ImageDecoder decoder;
    Resizer resizer;
    Image decoded, resized;
    double seconds = 0;
  };
  std::vector<Scratch> scratch(static_cast<size_t>(threads));
  std::mutex mutex;  // guards `progress`
  Progress progress("packing, " + counted(threads, "thread"), "images", missing.size());
  parallel_for(threads, missing.size(), [&](size_t i, int thread) {
    throw_if_interrupted();
    Scratch& own = scratch[static_cast<size_t>(thread)];
    const double start = thread_seconds();
    own.decoder.decode(root + "/" + list.files[missing[i]].path, own.decoded);
    own.resizer.resize(own.decoded, height, width, own.resized);
    own.seconds += thread_seconds() - start;
    partial.put(missing[i], own.resized.pixels);
    const std::lock_guard lock(mutex);
    progress.advance();
  });
  for (const Scratch& own : scratch)
    report.saved += own.seconds / static_cast<double>(std::max<size_t>(missing.size(), 1));
  partial.complete();
  return report;
}

}  // namespace mpanet
