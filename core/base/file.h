// Reading files, and writing files that are either complete or absent. All programs use these classes, so that pipes,
// devices, links and /dev/stdout are handled the same everywhere.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mpanet {

// Owns a file descriptor.
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

// Bytes of a pipe, which is read to its end into memory. A longer one is a UserError.
constexpr uint64_t kLongestPipe = uint64_t{64} << 20;

// A file opened for reading at any offset. The constructor reads a pipe to its end. /dev/stdin and /dev/fd/N are the
// program's own descriptors. UserError for a path that cannot be opened, a folder, a terminal or another device, a pipe
// of more than `longest_pipe` bytes, and a named pipe that no program opens for writing within a second.
class InputFile {
 public:
  explicit InputFile(const std::string& path, uint64_t longest_pipe = kLongestPipe);
  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  // Reads up to `bytes` bytes from `offset` on and returns their number; fewer only at the end of the file.
  size_t read(void* to, size_t bytes, uint64_t offset) const;

 private:
  std::string path_;
  Descriptor descriptor_;
  uint64_t size_ = 0;
};

// The whole file. UserError for one of more than `longest` bytes, before anything of it is read. kLongestLog is for
// logs, which grow with the steps, and for results, which grow with the queries.
constexpr uint64_t kLongestRead = kLongestPipe, kLongestLog = uint64_t{1} << 30;
std::vector<uint8_t> read_bytes(const std::string& path, uint64_t longest = kLongestRead);
std::string read_text(const std::string& path, uint64_t longest = kLongestRead);

// A file that is written from its beginning to its end. How depends on the path's present content:
//
//   nothing, or a regular file    Bytes go to a temporary file in the same folder. commit() syncs it and renames it to
//                                 the path. Without commit() (an exception, a full disk) the older file stays. The
//                                 new file has the older one's mode, or the umask's.
//   a link                        The same for the file that it leads to.
//   a pipe, a device              It is opened and written. A pipe without a reader is an error.
//   /dev/stdout, /dev/fd/N        Bytes go through the program's own descriptor.
//
// UserError with the path and the reason, e.g. a full disk, or an input of the program (inputs.h).
class OutputFile {
 public:
  // Later is for outputs that are written after long work: errors are found now. Pipes and devices are opened; a
  // temporary file is made and removed again, and made once more by the first write().
  enum class Open { Now, Later };
  explicit OutputFile(const std::string& path, Open when = Open::Now);
  ~OutputFile();
  OutputFile(OutputFile&&) = delete;
  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();
  const std::string& path() const { return path_; }

  // commit() of both. After an error both older files are unchanged. `list` describes the content of `data`: if the
  // program is killed in between there is no list, and never one that describes other data.
  static void commit_together(OutputFile& list, OutputFile& data);

 private:
  void open_temporary();
  void remove_temporary();
  void complete();

  std::string path_;
  std::string target_;     // the file to replace, without links; empty for everything else
  std::string temporary_;  // path of the temporary file; empty when there is none
  Descriptor descriptor_;
};

// For an option such as --json: null for an empty path, else OutputFile(path, Open::Later).
std::unique_ptr<OutputFile> output_for_later(const std::string& path);

// Write `content` and commit.
void write_file(OutputFile& file, std::string_view content);
void write_file(const std::string& path, std::string_view content);

// A file to which whole lines are appended. Links, pipes, devices and descriptors as above.
class AppendFile {
 public:
  explicit AppendFile(const std::string& path);
  void append(std::string_view line);  // UserError unless all of it was written

 private:
  std::string path_;
  Descriptor descriptor_;
};

}  // namespace mpanet
