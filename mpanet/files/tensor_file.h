// Files of named tensors: safetensors, or PyTorch's .pth in its zip and its older stream format. The content decides
// the format.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/file.h"

namespace mpanet {

// Types of elements. F8_E4M3, F8_E5M2 and C64 are listed and copied, but not converted.
enum class Dtype { F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, Bool, F8_E4M3, F8_E5M2, C64 };
constexpr int kDtypeCount = static_cast<int>(Dtype::C64) + 1;
size_t dtype_bytes(Dtype dtype);
std::string_view dtype_name(Dtype dtype);  // as in safetensors: "F32", "BOOL"
std::optional<Dtype> find_dtype(std::string_view name);

// "(64, 3, 7, 7)"; "()" for a scalar.
std::string shape_text(const std::vector<int64_t>& shape);

// The location and layout of a tensor.
struct TensorEntry {
  Dtype dtype = Dtype::F32;
  std::vector<int64_t> shape;
  uint64_t begin = 0;                                // byte of the first element, in the file or in `data`
  std::vector<int64_t> strides;                      // in elements; empty: C order without gaps
  std::shared_ptr<const std::vector<uint8_t>> data;  // the inflated bytes; null: in the file
  size_t count() const;                              // elements
  size_t span() const;                               // bytes from the first element to the end of the last
};

struct TensorIndex {
  std::map<std::string, TensorEntry> tensors;
  std::map<std::string, std::string> metadata;
  // The other values of a .pth, with their paths in the dictionaries: ("epoch", "140").
  std::vector<std::pair<std::string, std::string>> others;
};

class TensorFile {
 public:
  using Entry = TensorEntry;
  enum class Format { Safetensors, Zip, Stream };

  // Reads the tensors' descriptions and checks them against the file's size. UserError, one line with the path: another
  // format, a truncated or damaged file; see also safetensors.h and pth.h.
  explicit TensorFile(const std::string& path);

  const std::string& path() const { return file_.path(); }
  uint64_t size() const { return file_.size(); }
  Format format() const { return format_; }
  const std::map<std::string, Entry>& tensors() const { return index_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return index_.metadata; }
  const std::vector<std::pair<std::string, std::string>>& others() const { return index_.others; }
  const Entry* find(const std::string& name) const;  // null if there is none
  // All elements in C order, converted to double. UserError if there is no such tensor, its type has no
  // conversion, or reading fails.
  std::vector<double> read(const std::string& name) const;
  // The elements' own bytes, little endian, in C order.
  std::vector<uint8_t> read_raw(const std::string& name) const;
  // Reads the file's bytes from `offset` on and returns their number; fewer than `bytes` only at its end.
  size_t read_file(void* to, size_t bytes, uint64_t offset) const { return file_.read(to, bytes, offset); }

 private:
  const Entry& get(const std::string& name) const;
  void read_at(const Entry& entry, void* to, size_t bytes, uint64_t offset) const;

  InputFile file_;
  Format format_ = Format::Safetensors;
  TensorIndex index_;
};

}  // namespace mpanet
