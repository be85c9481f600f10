#include <algorithm>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "mpanet/files/pickle_globals.h"
#include "mpanet/files/pth.h"
#include "mpanet/files/pth_names.h"
#include "mpanet/files/zip_archive.h"

namespace mpanet {
namespace {

constexpr uint64_t kMostBytes = 0xff000000;  // below the limit of 32 bits, with space for the directory
constexpr size_t kMostEntries = 65534;
constexpr size_t kAlignment = 64;  // of the data, as in PyTorch's files
const std::string kFolder = "archive/";

template <class T>
std::string little_endian(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// ---- the pickle, protocol 2

std::string pickled_text(const std::string& text) {
  return "X" + little_endian(static_cast<uint32_t>(text.size())) + text;
}

std::string pickled_number(int64_t value) {
  if (value >= INT32_MIN && value <= INT32_MAX) return "J" + little_endian(static_cast<int32_t>(value));
  return "\x8a\x08" + little_endian(value);
}

std::string pickled_tuple(const std::vector<int64_t>& values) {
  std::string text = "(";
  for (const int64_t value : values) text += pickled_number(value);
  return text + "t";
}

const std::string kOrderedDict = "ccollections\nOrderedDict\n)R";

// torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, requires_grad, hooks)
std::string pickled_tensor(const TensorSource& tensor, size_t key) {
  std::vector<int64_t> strides(tensor.shape.size());
  int64_t step = 1;
  for (size_t axis = strides.size(); axis-- > 0; step *= std::max<int64_t>(tensor.shape[axis], 1)) strides[axis] = step;
  std::string text = "ctorch._utils\n_rebuild_tensor_v2\n((" + pickled_text("storage");
  text += fmt::format("ctorch\n{}\n", pickle::storage_of(tensor.dtype));
  text += pickled_text(std::to_string(key)) + pickled_text("cpu");
  text += pickled_number(static_cast<int64_t>(tensor.count())) + "tQ";
  return text + pickled_number(0) + pickled_tuple(tensor.shape) + pickled_tuple(strides) + "\x89" + kOrderedDict + "tR";
}

std::string pickled(const std::vector<TensorSource>& tensors) {
  std::string text = "\x80\x02" + kOrderedDict + "(";
  for (size_t i = 0; i < tensors.size(); i++) text += pickled_text(tensors[i].name) + pickled_tensor(tensors[i], i);
  return text + "u.";
}

// ---- the archive

class Archive {
 public:
  explicit Archive(const std::string& path) : file_(path) {}

  void add(const std::string& name, const void* data, size_t bytes) {
    if (at_ + bytes > kMostBytes || count_ >= kMostEntries)
      fail("{}: expected at most {} bytes and {} tensors in a .pth file, got more: write safetensors", file_.path(),
           kMostBytes, kMostEntries - 4);
    const std::string full = kFolder + name;
    // The padding is an extra field, with PyTorch's id for padding.
    const size_t start = static_cast<size_t>(at_) + 30 + full.size() + 4;
    const size_t padding = (kAlignment - start % kAlignment) % kAlignment;
    const auto size = static_cast<uint32_t>(bytes);
    // Version 2.0; the name is UTF-8; stored; the earliest date of the zip format.
    const std::string common = little_endian<uint16_t>(20) + little_endian<uint16_t>(1 << 11) +
                               little_endian<uint16_t>(0) + little_endian<uint16_t>(0) + little_endian<uint16_t>(33) +
                               little_endian(zip_crc(data, bytes)) + little_endian(size) + little_endian(size) +
                               little_endian(static_cast<uint16_t>(full.size()));
    directory_ += "PK\1\2" + little_endian<uint16_t>(20) + common + std::string(12, '\0') +
                  little_endian(static_cast<uint32_t>(at_)) + full;
    write("PK\3\4" + common + little_endian(static_cast<uint16_t>(4 + padding)) + full + "FB" +
          little_endian(static_cast<uint16_t>(padding)) + std::string(padding, 'Z'));
    file_.write(data, bytes);
    at_ += bytes;
    count_++;
  }
  void add(const std::string& name, const std::string& text) { add(name, text.data(), text.size()); }

  void commit() {
    const auto entries = static_cast<uint16_t>(count_);
    const std::string end = "PK\5\6" + std::string(4, '\0') + little_endian(entries) + little_endian(entries) +
                            little_endian(static_cast<uint32_t>(directory_.size())) +
                            little_endian(static_cast<uint32_t>(at_)) + std::string(2, '\0');
    write(directory_ + end);
    file_.commit();
  }

 private:
  void write(const std::string& text) {
    file_.write(text);
    at_ += text.size();
  }
  OutputFile file_;
  uint64_t at_ = 0;
  size_t count_ = 0;
  std::string directory_;
};

}  // namespace

void write_pth(const std::string& path, const std::vector<TensorSource>& tensors,
               const std::map<std::string, std::string>& metadata) {
  if (!zip_supported())
    fail("{}: this build has no zlib, which PyTorch's files need (build with -DMPANET_ZLIB=ON)", path);
  for (const TensorSource& tensor : tensors)
    if (pickle::storage_of(tensor.dtype).empty())
      fail("{}: tensor {}: expected a type that .pth files have a storage for, got {}: write safetensors", path,
           quote(tensor.name), dtype_name(tensor.dtype));
  Archive archive(path);
  archive.add("data.pkl", pickled(tensors));
  archive.add("byteorder", "little");
  if (!metadata.empty()) archive.add(kPthMetadata, nlohmann::json(metadata).dump());
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < tensors.size(); i++) {
    bytes.clear();
    write_elements(tensors[i], [&](const void* data, size_t count) {
      const auto* from = static_cast<const uint8_t*>(data);
      bytes.insert(bytes.end(), from, from + count);
    });
    archive.add("data/" + std::to_string(i), bytes.data(), bytes.size());
  }
  archive.add("version", "3\n");
  archive.commit();
}

}  // namespace mpanet
