#include "core/base/file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <thread>

#include "core/base/error.h"
#include "core/base/inputs.h"
#include "core/base/path_end.h"
#include "core/base/temporary.h"

namespace mpanet {
namespace {

using Clock = std::chrono::steady_clock;

// How long to wait for the other end of a named pipe. A program started at the same time needs a moment to open it.
constexpr std::chrono::seconds kPipeTimeout{1};
constexpr std::chrono::milliseconds kPipePause{10};
constexpr size_t kPipeChunk = 1 << 16;

std::string reason_text(int reason) { return std::strerror(reason); }

void wait_for(int descriptor, short events) {
  pollfd poll{descriptor, events, 0};
  ::poll(&poll, 1, -1);
}

// 0 or errno.
int write_all(int descriptor, const void* data, size_t bytes) {
  const char* p = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t put = ::write(descriptor, p, bytes);
    if (put < 0 && errno == EAGAIN) wait_for(descriptor, POLLOUT);  // the parent process set O_NONBLOCK
    if (put < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (put < 0) return errno;
    p += put;
    bytes -= static_cast<size_t>(put);
  }
  return 0;
}

// 0 or errno. fsync() is not supported for pipes and some network file systems; that is no error.
int sync_all(int descriptor) {
  constexpr int kTries = 100;  // after 100 EINTR give up syncing; the data are written
  for (int i = 0; i < kTries; i++) {
    if (fsync(descriptor) == 0) return 0;
    if (errno == EINVAL || errno == ENOTSUP || errno == ENOSYS) return 0;
    if (errno != EINTR) return errno;
  }
  return 0;
}

// A rename is durable after a power failure only when its folder was synced.
void sync_folder_of(const std::string& path) {
  const Descriptor folder(open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder) fsync(folder.get());
}

}  // namespace

int Descriptor::close() {
  if (number_ < 0) return 0;
  const bool closed = ::close(std::exchange(number_, -1)) == 0 || errno == EINTR;  // on EINTR Linux has closed it
  return closed ? 0 : errno;
}

namespace {

bool is_pipe(mode_t mode) { return S_ISFIFO(mode) || S_ISSOCK(mode); }

// Waits a moment for a writer of a named pipe. Without one a read returns 0, as at the end of the data.
bool await_writer(Clock::time_point since, const std::string& path) {
  if (Clock::now() - since > kPipeTimeout) fail("{}: nobody writes to this pipe", path);
  std::this_thread::sleep_for(kPipePause);
  return true;
}

// Reads the pipe to its end into a file in memory.
Descriptor read_pipe(const std::string& path, int pipe, bool own, uint64_t longest) {
  Descriptor memory(memfd_create("mpanet pipe", MFD_CLOEXEC));
  if (!memory) fail("{}: cannot read the pipe into memory: {}", path, reason_text(errno));
  std::vector<char> chunk(kPipeChunk);
  uint64_t done = 0;
  const auto start = Clock::now();
  while (true) {
    const ssize_t got = ::read(pipe, chunk.data(), chunk.size());
    if (got < 0 && errno == EAGAIN) wait_for(pipe, POLLIN);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) fail("{}: cannot read: {}", path, reason_text(errno));
    if (got == 0 && done == 0 && !own && await_writer(start, path)) continue;
    if (got == 0) return memory;
    done += static_cast<uint64_t>(got);
    if (done > longest) fail("{}: expected at most {} bytes from a pipe, got more", path, longest);
    const int error = write_all(memory.get(), chunk.data(), static_cast<size_t>(got));
    if (error) fail("{}: cannot read the pipe into memory: {}", path, reason_text(error));
  }
}

// A duplicate of the program's own descriptor if the path leads to one. Opening the path would fail for a socket, and
// would block for a pipe whose writer is this program.
Descriptor own_descriptor(const std::string& path) {
  try {
    const PathEnd end = follow_path(path);
    if (end.kind == PathEnd::Kind::Descriptor) return Descriptor(fcntl(end.descriptor, F_DUPFD_CLOEXEC, 0));
  } catch (const std::system_error&) {
  }
  return Descriptor();
}

}  // namespace

InputFile::InputFile(const std::string& path, uint64_t longest_pipe)
    : path_(path),
      // Without O_NONBLOCK opening a named pipe without a writer would block.
      descriptor_(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) {
  const int reason = errno;
  struct stat info {};
  bool own = false;
  if (!descriptor_ || fstat(descriptor_.get(), &info) != 0 || !S_ISREG(info.st_mode))
    if (Descriptor found = own_descriptor(path); found) descriptor_ = std::move(found), own = true;
  if (!descriptor_) fail("{}: cannot open: {}", path, reason_text(reason));
  if (fstat(descriptor_.get(), &info) != 0) fail("{}: cannot read: {}", path, reason_text(errno));
  if (S_ISDIR(info.st_mode)) fail("{}: expected a file, got a folder", path);
  if (isatty(descriptor_.get())) fail("{}: expected a file or a pipe, got a terminal", path);
  if (!S_ISREG(info.st_mode) && !is_pipe(info.st_mode)) fail("{}: expected a file or a pipe, got a device", path);
  if (is_pipe(info.st_mode)) {
    if (S_ISFIFO(info.st_mode) && (fcntl(descriptor_.get(), F_GETFL) & O_ACCMODE) != O_RDONLY)
      fail("{}: expected a pipe to read from, got one that this program has open for writing", path);
    descriptor_ = read_pipe(path, descriptor_.get(), own, longest_pipe);
    if (fstat(descriptor_.get(), &info) != 0) fail("{}: cannot read: {}", path, reason_text(errno));
  }
  size_ = static_cast<uint64_t>(info.st_size);
}

size_t InputFile::read(void* to, size_t bytes, uint64_t offset) const {
  size_t done = 0;
  while (done < bytes) {
    const ssize_t got =
        pread(descriptor_.get(), static_cast<char*>(to) + done, bytes - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("{}: cannot read: {}", path_, reason_text(errno));
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

namespace {

template <class Container>
Container read_whole(const std::string& path, uint64_t longest) {
  const InputFile file(path);
  if (file.size() > longest) fail("{}: expected at most {} bytes, got {}", path, longest, file.size());
  Container content;
  content.resize(file.size());
  size_t done = file.read(content.data(), content.size(), 0);
  while (file.size() == 0) {  // files in /proc have size 0 and content
    content.resize(done + kPipeChunk);
    const size_t got = file.read(content.data() + done, kPipeChunk, done);
    done += got;
    if (got == 0) break;
    if (done > longest) fail("{}: expected at most {} bytes, got more", path, longest);
  }
  content.resize(done);
  return content;
}

}  // namespace

std::vector<uint8_t> read_bytes(const std::string& path, uint64_t longest) {
  return read_whole<std::vector<uint8_t>>(path, longest);
}
std::string read_text(const std::string& path, uint64_t longest) { return read_whole<std::string>(path, longest); }

namespace {

[[noreturn]] void fail_to_write(const std::string& path, int reason) {
  fail("{}: cannot write: {}", path, reason_text(reason));
}

// Follows the links of an output path. UserError for a folder.
PathEnd output_end(const std::string& path) {
  PathEnd end;
  try {
    end = follow_path(path);
  } catch (const std::system_error& e) {
    const int reason = e.code().value();
    if (reason == ENOENT) fail("{}: cannot write: there is no folder {}", path, folder_of(path));
    fail_to_write(path, reason);
  }
  if (end.kind == PathEnd::Kind::Folder) fail("{}: expected a file to write, got a folder", path);
  return end;
}

bool is_replaced(const PathEnd& end) { return end.kind == PathEnd::Kind::Nothing || end.kind == PathEnd::Kind::File; }

// Opens a pipe or a device for writing, or duplicates an open descriptor.
Descriptor open_special(const std::string& path, const PathEnd& end) {
  if (end.kind == PathEnd::Kind::Descriptor) {
    Descriptor own(fcntl(end.descriptor, F_DUPFD_CLOEXEC, 0));
    if (!own) fail_to_write(path, errno);
    if ((fcntl(own.get(), F_GETFL) & O_ACCMODE) == O_RDONLY) fail_to_write(path, EBADF);
    return own;
  }
  // Without O_NONBLOCK opening a named pipe without a reader would block.
  const auto start = Clock::now();
  struct stat info {};
  const bool pipe = stat(end.path.c_str(), &info) == 0 && S_ISFIFO(info.st_mode);
  while (true) {
    Descriptor opened(open(end.path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (opened) {
      fcntl(opened.get(), F_SETFL, fcntl(opened.get(), F_GETFL) & ~O_NONBLOCK);
      return opened;
    }
    if (errno != ENXIO || !pipe) fail_to_write(path, errno);
    if (Clock::now() - start > kPipeTimeout) fail("{}: cannot write: nobody reads from this pipe", path);
    std::this_thread::sleep_for(kPipePause);
  }
}

}  // namespace

OutputFile::OutputFile(const std::string& path, Open when) : path_(path) {
  const PathEnd end = output_end(path);
  if (!is_replaced(end)) {
    descriptor_ = open_special(path, end);
    return;
  }
  target_ = end.path;
  check_no_input(path, target_);
  check_replaceable(path, target_);
  open_temporary();
  if (when == Open::Later) remove_temporary();
}

OutputFile::~OutputFile() { remove_temporary(); }

void OutputFile::open_temporary() {
  struct stat old {};
  const bool exists = lstat(target_.c_str(), &old) == 0 && S_ISREG(old.st_mode);
  const std::string name = temporary_path(target_);
  descriptor_ = create_temporary_file(name, exists ? 0600 : 0666);
  if (!descriptor_) fail_to_write(path_, errno);
  temporary_ = name;
  if (!exists) return;
  // If the owner cannot be kept, the file belongs to this user like a new one.
  if (fchown(descriptor_.get(), old.st_uid, old.st_gid) != 0) errno = 0;
  fchmod(descriptor_.get(), old.st_mode & 07777);
}

void OutputFile::remove_temporary() {
  if (temporary_.empty()) return;
  descriptor_.close();
  unlink(temporary_.c_str());
  temporary_.clear();
}

void OutputFile::write(const void* data, size_t bytes) {
  if (!descriptor_) open_temporary();
  if (target_.empty()) std::fflush(stdout);  // keeps the order of output if this descriptor is stdout
  if (const int error = write_all(descriptor_.get(), data, bytes)) fail_to_write(path_, error);
}

// Writes everything to the disk and closes the descriptor.
void OutputFile::complete() {
  if (!descriptor_) open_temporary();
  if (const int error = sync_all(descriptor_.get())) fail_to_write(path_, error);
  if (const int error = descriptor_.close()) fail_to_write(path_, error);
}

void OutputFile::commit() {
  complete();
  if (target_.empty()) return;
  if (rename(temporary_.c_str(), target_.c_str()) != 0) fail_to_write(path_, errno);
  temporary_.clear();
  sync_folder_of(target_);
}

namespace {

// Renames an older file to a temporary name, and back in the destructor unless it was superseded.
class OlderFile {
 public:
  explicit OlderFile(const std::string& path) : path_(path), aside_(temporary_path(path)) {
    moved_ = rename(path_.c_str(), aside_.c_str()) == 0;
  }
  ~OlderFile() {
    if (moved_ && !superseded_) rename(aside_.c_str(), path_.c_str());
    if (moved_ && superseded_) unlink(aside_.c_str());
  }
  OlderFile(const OlderFile&) = delete;
  OlderFile& operator=(const OlderFile&) = delete;
  void supersede() { superseded_ = true; }

 private:
  std::string path_, aside_;
  bool moved_ = false, superseded_ = false;
};

}  // namespace

void OutputFile::commit_together(OutputFile& list, OutputFile& data) {
  if (list.target_.empty() || data.target_.empty()) return data.commit(), list.commit();
  list.complete(), data.complete();
  // If the file system can lock, two programs that do this at the same time take turns.
  const Descriptor folder(open(folder_of(list.target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder) flock(folder.get(), LOCK_EX);
  OlderFile older_list(list.target_), older_data(data.target_);
  if (rename(data.temporary_.c_str(), data.target_.c_str()) != 0) fail_to_write(data.path_, errno);
  if (rename(list.temporary_.c_str(), list.target_.c_str()) != 0) {
    const int reason = errno;
    rename(data.target_.c_str(), data.temporary_.c_str());
    fail_to_write(list.path_, reason);
  }
  list.temporary_.clear(), data.temporary_.clear();
  older_list.supersede(), older_data.supersede();
  sync_folder_of(list.target_);
}

std::unique_ptr<OutputFile> output_for_later(const std::string& path) {
  return path.empty() ? nullptr : std::make_unique<OutputFile>(path, OutputFile::Open::Later);
}

void write_file(OutputFile& file, std::string_view content) {
  file.write(content);
  file.commit();
}

void write_file(const std::string& path, std::string_view content) {
  OutputFile file(path);
  write_file(file, content);
}

AppendFile::AppendFile(const std::string& path) : path_(path) {
  const PathEnd end = output_end(path);
  if (!is_replaced(end)) {
    descriptor_ = open_special(path, end);
    return;
  }
  check_no_input(path, end.path);
  descriptor_ = Descriptor(open(end.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!descriptor_) fail_to_write(path, errno);
}

void AppendFile::append(std::string_view line) {
  if (const int error = write_all(descriptor_.get(), line.data(), line.size())) fail_to_write(path_, error);
}

}  // namespace mpanet
