#include "mpanet/files/pth.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/base/quote.h"
#include "core/base/text.h"
#include "mpanet/files/pickle.h"
#include "mpanet/files/pth_names.h"
#include "mpanet/files/zip_archive.h"

namespace mpanet {
namespace {

using pickle::Document;
using pickle::Ref;
using pickle::Value;
using Kind = Value::Kind;

constexpr size_t kMostTensors = 100'000, kMostOthers = 10'000, kLongestPath = 512, kMostAxes = 64;
constexpr int kDeepest = 32;  // dictionaries in dictionaries
constexpr uint64_t kMetadataBytes = 1 << 20;
// Tensors may overlap in their storage, and entries may be deflated. Bounds of their total size: a multiple of the
// file's size, plus a constant.
constexpr uint64_t kExpansion = 16, kExpansionFree = uint64_t{64} << 20;

// The bytes of a storage, in the file or inflated.
struct Storage {
  uint64_t begin = 0, bytes = 0;
  std::shared_ptr<const std::vector<uint8_t>> data;
};

// ("storage", type, key, device, elements); in the stream format also the used part of it: (key, first element,
// elements).
struct StorageName {
  std::string key;
  std::optional<Dtype> dtype;  // none: bytes
  uint64_t elements = 0;
  uint64_t first = 0, part = 0;  // elements
  uint64_t element_bytes() const { return dtype ? dtype_bytes(*dtype) : 1; }
};

class Contents {
 public:
  explicit Contents(const InputFile& file) : file_(file), budget_(kExpansionFree + kExpansion * file.size()) {}

  TensorIndex read(bool zip) {
    zip ? read_archive() : read_stream();
    add(document_.root, "", 0);
    return std::move(index_);
  }

 private:
  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> text, Args&&... args) const {
    fail("{}: {}", file_.path(), fmt::format(text, std::forward<Args>(args)...));
  }
  pickle::Source source(uint64_t begin, uint64_t end) const {
    return {file_.path(), [this](void* to, size_t bytes, uint64_t at) { return file_.read(to, bytes, at); }, begin,
            end};
  }
  void spend(uint64_t bytes) {
    if (bytes > budget_)
      refuse("its tensors would expand to more than {} times its {} bytes", kExpansion, file_.size());
    budget_ -= bytes;
  }

  void read_archive();
  Document archive_pickle(const ZipEntry& entry);
  void take_metadata(const ZipEntry& entry);
  void read_stream();
  void read_stream_storages(uint64_t at, const Document& keys);

  StorageName parse_storage(const Value& value) const;
  const Storage& storage(const StorageName& name);
  void add_tensor(const Value& value, const std::string& path);
  TensorEntry parse_tensor(const Value& value, const std::string& path);
  std::vector<int64_t> sizes(Ref ref, const std::string& path, const char* what) const;

  void add(Ref ref, const std::string& path, int depth);
  void add_items(const Value& value, const std::string& path, int depth);
  void add_other(const std::string& path, std::string what);

  const InputFile& file_;
  Document document_;
  std::map<std::string, ZipEntry> entries_;  // by their name without the archive's folder
  std::map<std::string, Storage> storages_;
  std::set<Ref> visited_;
  TensorIndex index_;
  uint64_t budget_;
};

// ---- the zip format

void Contents::read_archive() {
  constexpr std::string_view kPickle = "data.pkl";
  std::optional<std::string> folder;  // "resnet50/"
  const std::vector<ZipEntry> all = read_zip(file_);
  for (const ZipEntry& entry : all) {
    const size_t slash = entry.name.find('/');
    const std::string before = slash == entry.name.npos ? "" : entry.name.substr(0, slash + 1);
    if (entry.name.substr(before.size()) != kPickle) continue;
    if (folder) refuse("expected one pickle data.pkl, got two");
    folder = before;
  }
  if (!folder) refuse("expected an archive of torch.save(), but there is no data.pkl in it");
  for (const ZipEntry& entry : all)
    if (entry.name.starts_with(*folder)) entries_[entry.name.substr(folder->size())] = entry;
  if (entries_.contains("constants.pkl"))
    refuse("expected weights, got a TorchScript program (torch.jit.save); save its state_dict()");
  if (const auto order = entries_.find("byteorder"); order != entries_.end() && order->second.size <= 16) {
    const auto text = inflate_entry(file_, order->second);
    if (std::string(text.begin(), text.end()) != "little")
      refuse("expected little-endian numbers, got byte order {}", quote(std::string(text.begin(), text.end())));
  }
  if (const auto extra = entries_.find(kPthMetadata); extra != entries_.end()) take_metadata(extra->second);
  document_ = archive_pickle(entries_.at(std::string(kPickle)));
}

Document Contents::archive_pickle(const ZipEntry& entry) {
  if (!entry.deflated) {
    check_entry(file_, entry);
    auto from = source(entry.begin, entry.begin + entry.size);
    return read_pickle(from);
  }
  spend(entry.size);
  const std::vector<uint8_t> content = inflate_entry(file_, entry);
  pickle::Source from{file_.path(),
                      [&](void* to, size_t bytes, uint64_t at) {
                        std::copy_n(content.data() + at, bytes, static_cast<uint8_t*>(to));
                        return bytes;
                      },
                      0, content.size()};
  return read_pickle(from);
}

void Contents::take_metadata(const ZipEntry& entry) {
  if (entry.size > kMetadataBytes) refuse("{}: expected at most {} bytes", kPthMetadata, kMetadataBytes);
  const auto bytes = inflate_entry(file_, entry);
  const std::string where = fmt::format("{}: {}", file_.path(), kPthMetadata);
  const auto value = parse_json(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()), where);
  if (!value.is_object()) fail("{}: expected an object of strings, got {}", where, shown(value));
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) fail("{}: {}: expected a string, got {}", where, quote(key), shown(text));
    index_.metadata[key] = text.get<std::string>();
  }
}

// ---- the stream format

void Contents::read_stream() {
  constexpr std::string_view kMagic = "0x1950a86a20f9469cfc6c";
  constexpr int64_t kVersion = 1001;
  auto from = source(0, file_.size());
  const Document magic = read_pickle(from);
  if (magic.top().text != kMagic)
    refuse("expected what torch.save() writes, got a pickle that begins with {}", describe(magic, magic.root));
  const Document version = read_pickle(from);
  if (version.top().kind != Kind::Int || version.top().integer != kVersion)
    refuse("expected version {} of PyTorch's stream format, got {}", kVersion, describe(version, version.root));
  const Document machine = read_pickle(from);
  const auto& pairs = machine.top().items;
  for (size_t i = 0; machine.top().kind == Kind::Dict && i + 1 < pairs.size(); i += 2)
    if (machine.at(pairs[i]).text == "little_endian" && machine.at(pairs[i + 1]).integer == 0)
      refuse("expected little-endian numbers, got a file of a big-endian machine");
  document_ = read_pickle(from);
  const Document keys = read_pickle(from);
  read_stream_storages(from.begin, keys);
}

void Contents::read_stream_storages(uint64_t at, const Document& keys) {
  std::map<std::string, StorageName> known;
  for (const Value& value : document_.values) {
    if (value.kind != Kind::Storage) continue;
    const StorageName name = parse_storage(value);
    const auto [found, added] = known.emplace(name.key, name);
    if (!added && (found->second.dtype != name.dtype || found->second.elements != name.elements))
      refuse("storage {} has two types or sizes", quote(name.key));
  }
  if (keys.top().kind != Kind::List) refuse("expected a list of storages, got {}", describe(keys, keys.root));
  for (const Ref ref : keys.top().items) {
    const std::string& key = keys.at(ref).text;
    const auto name = known.find(key);
    if (name == known.end()) refuse("storage {} belongs to no tensor", quote(key));
    uint64_t elements = 0;
    if (file_.size() - at < sizeof elements || file_.read(&elements, sizeof elements, at) < sizeof elements)
      refuse("truncated before storage {}", quote(key));
    at += sizeof elements;
    if (elements != name->second.elements)
      refuse("storage {}: expected {} elements, got {}", quote(key), name->second.elements, elements);
    if (elements > (file_.size() - at) / name->second.element_bytes())
      refuse("truncated: storage {} would have {} elements at byte {}, the file has {} bytes", quote(key), elements, at,
             file_.size());
    const uint64_t bytes = elements * name->second.element_bytes();
    if (!storages_.emplace(key, Storage{at, bytes, nullptr}).second) refuse("storage {} is there twice", quote(key));
    at += bytes;
  }
  if (at != file_.size()) refuse("{} too many after the last storage", counted(file_.size() - at, "byte"));
}

// ---- tensors

StorageName Contents::parse_storage(const Value& value) const {
  const auto item = [&](size_t i) -> const Value& { return document_.at(value.items[i]); };
  const Value &type = item(1), &key = item(2), &elements = item(4);
  if (type.kind != Kind::Global || type.global->role != pickle::Role::Storage)
    refuse("expected the type of a storage, got {}", describe(document_, value.items[1]));
  if (key.kind != Kind::Text || key.text.size() > kLongestPath) refuse("expected the key of a storage");
  if (elements.kind != Kind::Int || elements.integer < 0)
    refuse("storage {}: expected a number of elements, got {}", quote(key.text), describe(document_, value.items[4]));
  StorageName name{key.text, type.global->dtype, static_cast<uint64_t>(elements.integer), 0,
                   static_cast<uint64_t>(elements.integer)};
  if (value.items.size() < 6 || item(5).kind == Kind::None) return name;
  const auto& view = item(5).items;
  const auto number = [&](size_t i) { return document_.at(view[i]).integer; };
  if (view.size() != 3 || number(1) < 0 || number(2) < 0 || number(1) > elements.integer ||
      number(2) > elements.integer - number(1))
    refuse("storage {}: expected a part of its {} elements", quote(key.text), name.elements);
  name.first = static_cast<uint64_t>(number(1)), name.part = static_cast<uint64_t>(number(2));
  return name;
}

const Storage& Contents::storage(const StorageName& name) {
  auto found = storages_.find(name.key);
  if (found == storages_.end()) {
    const auto entry = entries_.find("data/" + name.key);
    if (entry == entries_.end()) refuse("storage {} is missing", quote(name.key));
    Storage made{entry->second.begin, entry->second.size, nullptr};
    if (entry->second.deflated) {
      spend(entry->second.size);
      made.begin = 0;
      made.data = std::make_shared<const std::vector<uint8_t>>(inflate_entry(file_, entry->second));
    } else {
      check_entry(file_, entry->second);
    }
    found = storages_.emplace(name.key, std::move(made)).first;
  }
  if (found->second.bytes / name.element_bytes() != name.elements || found->second.bytes % name.element_bytes() != 0)
    refuse("storage {}: expected {} elements of {}, got {}", quote(name.key), name.elements,
           name.dtype ? dtype_name(*name.dtype) : "one byte", found->second.bytes);
  return found->second;
}

std::vector<int64_t> Contents::sizes(Ref ref, const std::string& path, const char* what) const {
  const Value& list = document_.at(ref);
  if (list.kind != Kind::List || list.items.size() > kMostAxes)
    refuse("tensor {}: expected {}, got {}", quote(path), what, describe(document_, ref));
  std::vector<int64_t> numbers;
  for (const Ref item : list.items) {
    if (document_.at(item).kind != Kind::Int || document_.at(item).integer < 0)
      refuse("tensor {}: expected {}, got {}", quote(path), what, describe(document_, item));
    numbers.push_back(document_.at(item).integer);
  }
  return numbers;
}

bool is_contiguous(const TensorEntry& entry) {
  int64_t step = 1;
  for (size_t axis = entry.shape.size(); axis-- > 0; step *= entry.shape[axis])
    if (entry.shape[axis] != 1 && entry.strides[axis] != step) return false;
  return true;
}

// (storage, offset, shape, strides, requires_grad, hooks), and in version 3 the type as the seventh.
TensorEntry Contents::parse_tensor(const Value& value, const std::string& path) {
  const auto& items = value.items;
  if (document_.at(items[0]).kind != Kind::Storage || document_.at(items[1]).kind != Kind::Int)
    refuse("tensor {}: expected a storage and an offset", quote(path));
  const StorageName name = parse_storage(document_.at(items[0]));
  TensorEntry entry;
  entry.shape = sizes(items[2], path, "a shape");
  entry.strides = sizes(items[3], path, "strides");
  if (entry.shape.size() != entry.strides.size())
    refuse("tensor {}: {} sizes, but {} strides", quote(path), entry.shape.size(), entry.strides.size());
  const bool typed = value.global->role == pickle::Role::TensorTyped;
  const Value* type = typed && items.size() > 6 ? &document_.at(items[6]) : nullptr;
  if (typed && (!type || type->kind != Kind::Global || type->global->role != pickle::Role::TensorType))
    refuse("tensor {}: expected its type", quote(path));
  if (!type && !name.dtype) refuse("tensor {}: its storage has no type", quote(path));
  entry.dtype = type ? *type->global->dtype : *name.dtype;

  const Storage& from = storage(name);
  const uint64_t bytes = dtype_bytes(entry.dtype), begin = name.first * name.element_bytes(),
                 room = name.part * name.element_bytes() / bytes;  // elements
  const int64_t offset = document_.at(items[1]).integer;
  uint64_t count = 1, last = 0;
  bool overflows = offset < 0, empty = false;
  for (size_t axis = 0; axis < entry.shape.size(); axis++) {
    const auto size = static_cast<uint64_t>(entry.shape[axis]), stride = static_cast<uint64_t>(entry.strides[axis]);
    uint64_t reach = 0;
    empty |= size == 0;
    overflows |= __builtin_mul_overflow(count, size == 0 ? 1 : size, &count);
    overflows |= __builtin_mul_overflow(size == 0 ? 0 : size - 1, stride, &reach);
    overflows |= __builtin_add_overflow(last, reach, &last);
  }
  overflows |= __builtin_add_overflow(last, static_cast<uint64_t>(offset), &last);
  if (overflows || (empty ? static_cast<uint64_t>(offset) > room : last >= room))
    refuse("tensor {}: shape {} with strides {} at element {} reaches beyond its storage of {} elements", quote(path),
           shape_text(entry.shape), shape_text(entry.strides), offset, room);
  spend(count > budget_ / bytes ? budget_ + 1 : count * bytes);
  entry.begin = from.begin + begin + static_cast<uint64_t>(offset) * bytes;
  entry.data = from.data;
  if (empty || is_contiguous(entry)) entry.strides.clear();
  return entry;
}

void Contents::add_tensor(const Value& value, const std::string& path) {
  const std::string& name = path.empty() ? kPthRootTensor : path;
  if (index_.tensors.size() >= kMostTensors) refuse("expected at most {} tensors, got more", kMostTensors);
  if (!index_.tensors.emplace(name, parse_tensor(value, name)).second) refuse("tensor {} is given twice", quote(name));
}

// ---- dictionaries

void Contents::add_other(const std::string& path, std::string what) {
  if (index_.others.size() < kMostOthers)
    index_.others.emplace_back(path, std::move(what));
  else if (index_.others.size() == kMostOthers)
    index_.others.emplace_back("...", "and more");
}

void Contents::add(Ref ref, const std::string& path, int depth) {
  const Value& value = document_.at(ref);
  const bool container = value.kind == Kind::Dict || value.kind == Kind::List;
  if (path.size() > kLongestPath)
    refuse("expected names of at most {} bytes, got {}...", kLongestPath, quote(path.substr(0, 60)));
  if (value.kind == Kind::Tensor) return add_tensor(value, path);
  if (!container) return add_other(path, describe(document_, ref));
  // A container may be referenced several times, also by itself.
  if (!visited_.insert(ref).second) return add_other(path, describe(document_, ref) + ", the same as before");
  if (depth == kDeepest) refuse("expected at most {} levels of dictionaries and lists", kDeepest);
  add_items(value, path, depth);
}

void Contents::add_items(const Value& value, const std::string& path, int depth) {
  const std::string before = path.empty() ? "" : path + ".";
  if (value.kind == Kind::Dict) {
    for (size_t i = 0; i + 1 < value.items.size(); i += 2) {
      const Value& key = document_.at(value.items[i]);
      add(value.items[i + 1],
          before + (key.kind == Kind::Text ? key.text : pickle::describe(document_, value.items[i])), depth + 1);
    }
    return;
  }
  const bool plain = std::none_of(value.items.begin(), value.items.end(), [&](Ref item) {
    const Kind kind = document_.at(item).kind;
    return kind == Kind::Dict || kind == Kind::List || kind == Kind::Tensor;
  });
  if (plain) return add_other(path, fmt::format("{} of {}", value.integer ? "tuple" : "list", value.items.size()));
  for (size_t i = 0; i < value.items.size(); i++) add(value.items[i], before + std::to_string(i), depth + 1);
}

}  // namespace

TensorIndex read_pth(const InputFile& file, bool zip) { return Contents(file).read(zip); }

}  // namespace mpanet
