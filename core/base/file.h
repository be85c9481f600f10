// Files: whole reads, and writes that are either complete or absent.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mpanet {

// The whole file. UserError with the path and the system's reason when it cannot be read or is a folder.
std::vector<uint8_t> read_bytes(const std::string& path);
std::string read_text(const std::string& path);

// Writes to "PATH.tmp.PID" beside PATH; commit() syncs it, renames it over PATH and syncs the folder. Without commit
// (an exception, a full disk) the destructor removes the temporary file and whatever stood at PATH before stays as it
// was.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(const void* data, size_t bytes);  // UserError with the path and the reason, e.g. a full disk
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();
  const std::string& path() const { return path_; }

 private:
  std::string path_, temporary_;
  int descriptor_ = -1;
};

// AtomicFile, write, commit.
void write_file(const std::string& path, std::string_view content);

}  // namespace mpanet
