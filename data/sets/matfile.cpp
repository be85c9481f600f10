#include "data/sets/matfile.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/folder.h"
#include "core/base/text.h"
#ifdef MPANET_HAS_ZLIB
#  include "data/sets/mat_elements.h"
#endif

namespace mpanet {

int TrialFile::count(int camera, int identity) const {
  const auto& cells = cells_[camera - 1];
  if (identity < 1 || identity > static_cast<int>(cells.size())) return 0;
  return cells[identity - 1].count;
}

void TrialFile::set(int camera, int identity, int count, std::vector<int32_t> numbers) {
  MPANET_CHECK(identity >= 1 && identity <= identities(camera), "identity {} of camera {} is not listed", identity,
               camera);
  MPANET_CHECK(numbers.size() == static_cast<size_t>(count) * kSysuTrials, "expected (10, {}) numbers, got {}", count,
               numbers.size());
  cells_[camera - 1][identity - 1] = {count, std::move(numbers)};
}

namespace {

namespace fs = std::filesystem;

// The path of the trial file in the data set; empty if there is none.
std::string kept_trial_file(const std::string& root) {
  std::error_code ignored;
  for (const char* file : kTrialFiles) {
    const std::string path = (fs::path(root) / file).string();
    if (fs::exists(path, ignored)) return path;
  }
  return "";
}

}  // namespace

bool has_trial_file(const std::string& root) { return !kept_trial_file(root).empty(); }

std::string find_trial_file(const std::string& root, const std::string& given) {
  constexpr const char* kSource =
      "the data set's archive does not contain it; get it from its public repository "
      "https://github.com/wuancong/SYSU-MM01, folder evaluation/data_split";
  if (!given.empty()) {
    if (!path_exists(given)) fail("{}: no such trial file; {}", given, kSource);
    return given;
  }
  const std::string path = kept_trial_file(root);
  if (path.empty())
    fail("{}: no trial file {} or {}; {}; the protocol agw needs none", root, kTrialFiles[0], kTrialFiles[1], kSource);
  return path;
}

#ifndef MPANET_HAS_ZLIB

bool trial_files_supported() { return false; }

TrialFile read_trial_file(const std::string& path) {
  fail("{}: this build has no zlib and cannot read MATLAB files (build with -DMPANET_ZLIB=ON)", path);
}
void write_trial_file(const std::string& path, const TrialFile&) {
  fail("{}: this build has no zlib and cannot write MATLAB files (build with -DMPANET_ZLIB=ON)", path);
}

#else

bool trial_files_supported() { return true; }

namespace {

constexpr const char* kVariable = "rand_perm_cam";
constexpr size_t kHeaderBytes = 128;
constexpr const char* kHeaderText = "MATLAB 5.0 MAT-file, written by mpanet";  // no time: equal content, equal bytes
constexpr size_t kMostImages = 100000;                                         // per camera and identity

constexpr size_t kMostIdentities = 9999;  // folder names have four digits

// Upper bound of the decompressed bytes of a file. The real trial file is twice its compressed size.
size_t inflated_limit(size_t file_bytes) { return std::min<size_t>(64 * file_bytes + (1 << 20), 1 << 30); }

// Checks the header. Returns true when the file has the other byte order.
bool check_header(const std::string& path, mat::Bytes bytes) {
  const auto begins = [&](std::string_view text) {
    return bytes.size() >= text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
  };
  if (bytes.empty()) fail("{}: expected a MATLAB v5 trial file, got an empty file", path);
  if (begins("\x89HDF") || begins("MATLAB 7.3"))
    fail("{}: expected a MATLAB v5 trial file, got v7.3 (HDF5); save it with -v7 in MATLAB", path);
  if (!begins("MATLAB 5.0")) fail("{}: expected a MATLAB v5 trial file, got a file of another kind", path);
  if (bytes.size() < kHeaderBytes + 8)
    fail("{}: truncated: the file ends after {}", path, counted(bytes.size(), "byte"));
  const bool swapped = bytes[126] == 'M' && bytes[127] == 'I';
  if (!swapped && !(bytes[126] == 'I' && bytes[127] == 'M'))
    fail("{}: expected a MATLAB v5 trial file, got a damaged header", path);
  return swapped;
}

// Reads one trial file.
class Reader {
 public:
  explicit Reader(const std::string& path)
      : path_(path), file_(read_bytes(path)), swapped_(check_header(path, file_)) {}

  TrialFile read() {
    const mat::Array variable = find_variable();
    TrialFile trials;
    const std::vector<mat::Array> cameras = cells(kVariable, variable);
    if (cameras.size() != kSysuCameras)
      fail("{}: {}: expected 6 cells, one a camera, got {}", path_, kVariable, cameras.size());
    for (int camera = 1; camera <= kSysuCameras; camera++) {
      const auto entries = cells(fmt::format("{}{{{}}}", kVariable, camera), cameras[static_cast<size_t>(camera) - 1]);
      trials.resize(camera, static_cast<int>(entries.size()));
      for (size_t i = 0; i < entries.size(); i++) read_entry(camera, static_cast<int>(i) + 1, entries[i], trials);
    }
    return trials;
  }

 private:
  // The file's first variable named rand_perm_cam. Its bytes are owned by file_ or inflated_.
  mat::Array find_variable() {
    mat::Bytes rest = mat::Bytes(file_).subspan(kHeaderBytes);
    size_t allowance = inflated_limit(file_.size());
    while (!rest.empty()) {
      const size_t at = file_.size() - rest.size();
      auto element = mat::take_element(rest, swapped_);
      if (!element) fail("{}: truncated: the element at byte {} is not whole ({} bytes)", path_, at, file_.size());
      if (element->type == mat::kCompressed) {
        auto content = mat::inflate(element->data, allowance);
        if (!content)
          fail("{}: damaged: the compressed data at byte {} cannot be read, or hold far more than the file", path_, at);
        allowance -= content->size();
        inflated_ = std::move(*content);
        mat::Bytes inside = inflated_;
        element = mat::take_element(inside, swapped_);
      }
      if (!element || element->type != mat::kMatrix) continue;
      if (auto array = mat::parse_array(element->data, swapped_); array && array->name == kVariable) return *array;
    }
    fail("{}: expected the variable {}, which is missing or damaged", path_, kVariable);
  }

  // The entries of a cell array that has one row or one column.
  std::vector<mat::Array> cells(const std::string& what, const mat::Array& array) const {
    const auto& sizes = array.sizes;
    if (array.kind != mat::kCell || sizes.size() != 2 || (sizes[0] != 1 && sizes[1] != 1))
      fail("{}: {}: expected a cell array with one row or column, got {}", path_, what, array.describe());
    const size_t count = size_t{sizes[0]} * sizes[1];
    if (count > kMostIdentities) fail("{}: {}: expected at most {} cells, got {}", path_, what, kMostIdentities, count);
    mat::Bytes rest = array.content;
    // Every entry has at least eight bytes.
    if (count > rest.size() / 8)
      fail("{}: {}: damaged or truncated: {} cells in {} bytes", path_, what, count, rest.size());
    std::vector<mat::Array> entries;
    entries.reserve(count);
    for (size_t i = 0; i < count; i++) {
      const auto element = mat::take_element(rest, swapped_);
      auto entry = element && element->type == mat::kMatrix ? mat::parse_array(element->data, swapped_) : std::nullopt;
      if (!entry) fail("{}: {}{{{}}}: damaged or truncated", path_, what, i + 1);
      entries.push_back(std::move(*entry));
    }
    return entries;
  }

  // Reads the permutations of one camera and identity. MATLAB writes a cell that was never set as an empty entry.
  void read_entry(int camera, int identity, const mat::Array& entry, TrialFile& out) const {
    const std::string what = fmt::format("{}{{{}}}{{{}}}", kVariable, camera, identity);
    if (entry.kind == 0) return;
    if (!entry.numeric() || entry.sizes.size() != 2)
      fail("{}: {}: expected a matrix of 10 rows, got {}", path_, what, entry.describe());
    const size_t rows = entry.sizes[0], count = entry.sizes[1];
    if (count == 0 && (rows == 0 || rows == kSysuTrials)) return;
    if (rows != kSysuTrials || count > kMostImages)
      fail("{}: {}: expected a matrix of 10 rows, got {}", path_, what, entry.describe());
    if (entry.complex) fail("{}: {}: expected a real matrix, got a complex one", path_, what);
    mat::Bytes rest = entry.content;
    const auto element = mat::take_element(rest, swapped_);
    const auto values = element ? mat::numbers(*element, swapped_) : std::nullopt;
    if (!values || values->size() != count * kSysuTrials)
      fail("{}: {}: damaged or truncated: expected {} numbers, got {}", path_, what, count * kSysuTrials,
           values ? values->size() : 0);
    out.set(camera, identity, static_cast<int>(count), permutations(what, *values, count));
  }

  // Transposes (count, 10) to (10, count) and checks that every row is a permutation of 1..count.
  std::vector<int32_t> permutations(const std::string& what, const std::vector<double>& columns, size_t count) const {
    std::vector<int32_t> numbers(columns.size());
    std::vector<char> seen(count);
    for (size_t trial = 0; trial < kSysuTrials; trial++) {
      std::fill(seen.begin(), seen.end(), char{0});
      for (size_t i = 0; i < count; i++) {
        const double value = columns[i * kSysuTrials + trial];
        // The range is checked first: converting a huge or NaN double to an integer is undefined.
        const int32_t number = value >= 1 && value <= static_cast<double>(count) ? static_cast<int32_t>(value) : 0;
        if (number == 0 || number != value || seen[static_cast<size_t>(number) - 1])
          fail("{}: {}: row {} is not a permutation of 1..{} (damaged or truncated file)", path_, what, trial + 1,
               count);
        seen[static_cast<size_t>(number) - 1] = 1;
        numbers[trial * count + i] = number;
      }
    }
    return numbers;
  }

  const std::string& path_;
  std::vector<uint8_t> file_, inflated_;
  bool swapped_;
};

// A matrix of class double. Like MATLAB it is stored in the smallest integer type that holds its values.
std::string entry_bytes(const TrialFile& trials, int camera, int identity) {
  const int count = trials.count(camera, identity);
  std::string small, wide;
  for (int i = 0; i < count; i++)
    for (int trial = 0; trial < kSysuTrials; trial++) {
      const int number = trials.image(trial, camera, identity, i);
      small += static_cast<char>(number);
      wide += {static_cast<char>(number & 255), static_cast<char>(number >> 8)};
    }
  const auto data = count < 256 ? mat::element(mat::kUint8, small) : mat::element(mat::kUint16, wide);
  return mat::array(mat::kDoubleClass, kSysuTrials, static_cast<uint32_t>(count), "", data);
}

}  // namespace

TrialFile read_trial_file(const std::string& path) { return Reader(path).read(); }

void write_trial_file(const std::string& path, const TrialFile& trials) {
  std::string cameras;
  for (int camera = 1; camera <= kSysuCameras; camera++) {
    std::string entries;
    for (int identity = 1; identity <= trials.identities(camera); identity++) {
      MPANET_CHECK(trials.count(camera, identity) < 65536, "{} images", trials.count(camera, identity));
      entries += entry_bytes(trials, camera, identity);
    }
    cameras += mat::array(mat::kCell, static_cast<uint32_t>(trials.identities(camera)), 1, "", entries);
  }
  std::string header = kHeaderText;
  header.resize(116, ' ');
  header.resize(124, '\0');  // no subsystem
  header += std::string("\x00\x01IM", 4);
  write_file(path, header + mat::compressed(mat::array(mat::kCell, kSysuCameras, 1, kVariable, cameras)));
}

#endif

}  // namespace mpanet
