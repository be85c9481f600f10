// Files: whole reads, and writes that are either complete or absent. Every program reads and writes through this file,
// so that pipes, devices, links and /dev/stdout mean the same everywhere.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mpanet {

// An open file, closed at the end of its life.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }
  int close();  // 0 or errno

 private:
  int number_;
};

// A pipe is read to its end into memory. A longer one is refused.
constexpr uint64_t kLongestPipe = uint64_t{64} << 20;

// A file opened for reading at any offset. A pipe is read to its end here; /dev/stdin and /dev/fd/N are the program's
// own descriptors. UserError: what cannot be opened, a folder, a terminal or another device, a longer pipe, and a named
// pipe that nobody opens for writing within a second.
class InputFile {
 public:
  explicit InputFile(const std::string& path, uint64_t longest_pipe = kLongestPipe);
  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  // Reads up to `bytes` bytes from `offset` on; fewer only where the file ends.
  size_t read(void* to, size_t bytes, uint64_t offset) const;

 private:
  std::string path_;
  Descriptor descriptor_;
  uint64_t size_ = 0;
};

// The whole file.
std::vector<uint8_t> read_bytes(const std::string& path);
std::string read_text(const std::string& path);

// A file that is written from its beginning to its end. What stands at the path decides how:
//
//   nothing, or a regular file    Bytes go to a temporary file beside it. commit() syncs that one and renames it over
//                                 the path. Without commit() (an exception, a full disk) the older file stays. The
//                                 new file has the older one's mode, or what the umask says.
//   a link                        The same for the file that it leads to.
//   a pipe, a device              It is opened and written. Nobody reading from the pipe is an error.
//   /dev/stdout, /dev/fd/N        Bytes go through the program's own descriptor.
//
// UserError with the path and the reason, e.g. a full disk.
class OutputFile {
 public:
  // With Later a program finds out before long work whether it will be able to write: pipes and devices are opened, a
  // temporary file is made and taken away again until the first write().
  enum class Open { Now, Later };
  explicit OutputFile(const std::string& path, Open when = Open::Now);
  ~OutputFile();
  OutputFile(OutputFile&&) = delete;
  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();
  const std::string& path() const { return path_; }

  // commit() of both: after an error both older files are there as they were. `list` names what `data` holds; if the
  // program is killed meanwhile there is no list, and never the list of other data.
  static void commit_together(OutputFile& list, OutputFile& data);

 private:
  void open_temporary();
  void remove_temporary();
  void complete();

  std::string path_;
  std::string target_;     // the file to replace, without links; empty for everything else
  std::string temporary_;  // while it exists
  Descriptor descriptor_;
};

// For an option such as --json: nothing without a path, else an output that is opened before long work.
std::unique_ptr<OutputFile> output_for_later(const std::string& path);

// Writes and commits.
void write_file(OutputFile& file, std::string_view content);
void write_file(const std::string& path, std::string_view content);

// A file that grows by whole lines. Links, pipes, devices and descriptors as above.
class AppendFile {
 public:
  explicit AppendFile(const std::string& path);
  void append(std::string_view line);  // UserError when not all of it could be written

 private:
  std::string path_;
  Descriptor descriptor_;
};

}  // namespace mpanet
