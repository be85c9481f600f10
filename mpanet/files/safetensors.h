// safetensors files: eight bytes of header length, a JSON header, the tensors' bytes (little endian). Reading checks
// the whole header. Writing is atomic, and converts one tensor at a time, so the model is never in memory twice.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/file.h"

namespace mpanet {

enum class Dtype { F64, F32, F16, BF16, I64 };
size_t dtype_bytes(Dtype dtype);
std::string_view dtype_name(Dtype dtype);

// "(64, 3, 7, 7)"; "()" for a scalar.
std::string shape_text(const std::vector<int64_t>& shape);

class TensorFile {
 public:
  struct Entry {
    Dtype dtype = Dtype::F32;
    std::vector<int64_t> shape;
    uint64_t begin = 0, end = 0;  // bytes in the file
    size_t count() const { return static_cast<size_t>(end - begin) / dtype_bytes(dtype); }
  };

  // Reads and checks the header. UserError, one line with the path: another kind of file, a truncated file, a header
  // longer than the file, invalid JSON, a name given twice, an unknown element type, a size that contradicts the shape,
  // data that overlap, leave gaps or exceed the file.
  explicit TensorFile(const std::string& path);

  const std::string& path() const { return path_; }
  const std::map<std::string, Entry>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const Entry* find(const std::string& name) const;  // null for an unknown name
  // All elements, converted to double. UserError when there is no such tensor or reading fails.
  std::vector<double> read(const std::string& name) const;

 private:
  void read_header();
  void check_layout(uint64_t data_bytes) const;
  void read_at(void* to, size_t bytes, uint64_t offset) const;

  std::string path_;
  InputFile file_;
  std::map<std::string, Entry> tensors_;
  std::map<std::string, std::string> metadata_;
};

// A tensor to be written. write_safetensors() calls `read` once; it fills all elements (the product of `shape`).
struct TensorSource {
  std::string name;
  Dtype dtype = Dtype::F32;  // F64, F32 or I64
  std::vector<int64_t> shape;
  std::function<void(double*)> read;
};

// Writes atomically (core/base/file.h); UserError when it fails. The bytes depend on the content alone: the header is
// sorted by name, the data by element size and name, so that every tensor is aligned to its element size.
void write_safetensors(const std::string& path, std::vector<TensorSource> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace mpanet
