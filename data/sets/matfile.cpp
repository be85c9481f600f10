#include "data/sets/matfile.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <type_traits>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/temporary.h"

#ifdef MPANET_HAS_MATIO
#  include <matio.h>
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

std::string find_trial_file(const std::string& root, const std::string& given) {
  namespace fs = std::filesystem;
  constexpr const char* kSource =
      "the data set's archive does not contain it; get it from its public repository "
      "https://github.com/wuancong/SYSU-MM01, folder evaluation/data_split";
  std::error_code ignored;
  if (!given.empty()) {
    if (!fs::exists(given, ignored)) fail("{}: no such trial file; {}", given, kSource);
    return given;
  }
  for (const char* folder : {"exp", "evaluation/data_split"}) {
    const std::string path = (fs::path(root) / folder / "rand_perm_cam.mat").string();
    if (fs::exists(path, ignored)) return path;
  }
  fail("{}: no trial file exp/rand_perm_cam.mat or evaluation/data_split/rand_perm_cam.mat; {}", root, kSource);
}

#ifndef MPANET_HAS_MATIO

bool matio_supported() { return false; }

TrialFile read_trial_file(const std::string& path) {
  fail("{}: this build has no matio and cannot read MATLAB files (build with -DMPANET_MATIO=ON)", path);
}
void write_trial_file(const std::string& path, const TrialFile&) {
  fail("{}: this build has no matio and cannot write MATLAB files (build with -DMPANET_MATIO=ON)", path);
}

#else

bool matio_supported() { return true; }

namespace {

constexpr const char* kVariable = "rand_perm_cam";

struct CloseMat {
  void operator()(mat_t* file) const { Mat_Close(file); }
};
struct FreeVariable {
  void operator()(matvar_t* variable) const { Mat_VarFree(variable); }
};
using MatFile = std::unique_ptr<mat_t, CloseMat>;
using Variable = std::unique_ptr<matvar_t, FreeVariable>;

// Errors are ours to word; matio would print its own lines.
void silence_matio() {
  Mat_LogInitFunc("mpanet", [](int, char*) {});
}

uint32_t word(const std::vector<uint8_t>& bytes, size_t at, bool swapped) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + at, 4);
  return swapped ? __builtin_bswap32(value) : value;
}

// Checks what matio does not: that this is a version 5 file, and that each of its elements is there whole. (matio fills
// what a cut file lacks with zeros and reports nothing.)
void check_container(const std::string& path, const std::vector<uint8_t>& bytes) {
  const auto begins = [&](const char* text) {
    return bytes.size() >= std::strlen(text) && std::memcmp(bytes.data(), text, std::strlen(text)) == 0;
  };
  if (bytes.empty()) fail("{}: expected a MATLAB v5 trial file, got an empty file", path);
  if (begins("\x89HDF") || begins("MATLAB 7.3"))
    fail("{}: expected a MATLAB v5 trial file, got v7.3 (HDF5); save it with -v7 in MATLAB", path);
  if (!begins("MATLAB 5.0")) fail("{}: expected a MATLAB v5 trial file, got a file of another kind", path);
  if (bytes.size() < 136) fail("{}: truncated: the file ends after {} bytes", path, bytes.size());
  const bool swapped = bytes[126] == 'M' && bytes[127] == 'I';
  if (!swapped && !(bytes[126] == 'I' && bytes[127] == 'M'))
    fail("{}: expected a MATLAB v5 trial file, got a damaged header", path);
  for (size_t at = 128; at < bytes.size();) {
    if (bytes.size() - at < 8) fail("{}: truncated: the file ends after {} bytes", path, bytes.size());
    const size_t length = word(bytes, at + 4, swapped);
    if (length > bytes.size() - at - 8)
      fail("{}: truncated: expected {} bytes, the file ends after {}", path, at + 8 + length, bytes.size());
    at += 8 + length;
  }
}

const char* class_name(const matvar_t& variable) {
  switch (variable.class_type) {
    case MAT_C_CELL:
      return "a cell array";
    case MAT_C_STRUCT:
      return "a structure";
    case MAT_C_CHAR:
      return "text";
    case MAT_C_SPARSE:
      return "a sparse matrix";
    case MAT_C_EMPTY:
      return "nothing";
    case MAT_C_OBJECT:
    case MAT_C_FUNCTION:
    case MAT_C_OPAQUE:
      return "an object";
    default:
      return "a numeric matrix";
  }
}

// "double 10x20" and the like, of what was found where something else was expected.
std::string describe(const matvar_t* variable) {
  if (!variable) return "nothing";
  std::string text = class_name(*variable);
  for (int i = 0; i < variable->rank; i++) text += fmt::format("{}{}", i ? "x" : " of ", variable->dims[i]);
  return text;
}

// The entries of a cell array that is a vector, in order.
struct Entries {
  matvar_t** data;
  size_t count;
};
Entries vector_entries(const std::string& path, const std::string& what, const matvar_t* variable) {
  const bool vector = variable && variable->class_type == MAT_C_CELL && variable->rank == 2 &&
                      (variable->dims[0] == 1 || variable->dims[1] == 1) && variable->data;
  if (!vector) fail("{}: {}: expected a cell array with one row or column, got {}", path, what, describe(variable));
  const size_t count = variable->dims[0] * variable->dims[1];
  // matio sizes the array by what it holds; a damaged file could say more in its dimensions.
  if (variable->nbytes / sizeof(matvar_t*) < count) fail("{}: {}: damaged cell array", path, what);
  return {static_cast<matvar_t**>(variable->data), count};
}

// Where an entry stands, as MATLAB would write it.
std::string place(size_t camera, size_t identity) {
  return fmt::format("{}{{{}}}{{{}}}", kVariable, camera + 1, identity + 1);
}

template <class T>
std::vector<int32_t> permutations(const std::string& path, const std::string& what, const T* column_major, int count) {
  std::vector<int32_t> numbers(static_cast<size_t>(count) * kSysuTrials);
  std::vector<char> seen(count);
  for (int trial = 0; trial < kSysuTrials; trial++) {
    std::fill(seen.begin(), seen.end(), char{0});
    for (int i = 0; i < count; i++) {
      const T value = column_major[static_cast<size_t>(i) * kSysuTrials + trial];
      // The range first: converting a huge or NaN double to an integer is undefined.
      const bool in_range = value >= T{1} && static_cast<double>(value) <= count;
      const int32_t number = in_range ? static_cast<int32_t>(value) : 0;
      if (!in_range || static_cast<T>(number) != value || seen[number - 1])
        fail("{}: {}: row {} is not a permutation of 1..{} (damaged or truncated file)", path, what, trial + 1, count);
      seen[number - 1] = 1;
      numbers[static_cast<size_t>(trial) * count + i] = number;
    }
  }
  return numbers;
}

std::vector<int32_t> read_numbers(const std::string& path, const std::string& what, const matvar_t& cell, int count) {
  const auto read = [&](auto type) {
    using T = decltype(type);
    if (cell.data_size != sizeof(T) || cell.nbytes != static_cast<size_t>(count) * kSysuTrials * sizeof(T))
      fail("{}: {}: truncated: expected {} bytes of data, got {}", path, what, count * kSysuTrials * sizeof(T),
           cell.nbytes);
    return permutations(path, what, static_cast<const T*>(cell.data), count);
  };
  switch (cell.class_type) {
    case MAT_C_DOUBLE:
      return read(double{});
    case MAT_C_SINGLE:
      return read(float{});
    case MAT_C_INT8:
      return read(int8_t{});
    case MAT_C_UINT8:
      return read(uint8_t{});
    case MAT_C_INT16:
      return read(int16_t{});
    case MAT_C_UINT16:
      return read(uint16_t{});
    case MAT_C_INT32:
      return read(int32_t{});
    case MAT_C_UINT32:
      return read(uint32_t{});
    case MAT_C_INT64:
      return read(int64_t{});
    case MAT_C_UINT64:
      return read(uint64_t{});
    default:
      fail("{}: {}: expected a numeric matrix, got {}", path, what, describe(&cell));
  }
}

bool numeric(const matvar_t& cell) { return cell.class_type >= MAT_C_DOUBLE && cell.class_type <= MAT_C_UINT64; }

// One entry: images that the camera has of the identity, and their orders.
void read_cell(const std::string& path, size_t camera, size_t identity, const matvar_t* cell, TrialFile& out) {
  const std::string what = place(camera, identity);
  const bool matrix = cell && numeric(*cell) && cell->rank == 2 && cell->dims;
  if (!matrix) fail("{}: {}: expected a matrix of 10 rows, got {} (damaged or truncated?)", path, what, describe(cell));
  const size_t rows = cell->dims[0], count = cell->dims[1];
  if (count == 0 && (rows == 0 || rows == kSysuTrials)) return;
  if (rows != kSysuTrials || count > 100000)
    fail("{}: {}: expected a matrix of 10 rows, got {}", path, what, describe(cell));
  if (cell->isComplex) fail("{}: {}: expected a real matrix, got a complex one", path, what);
  if (!cell->data) fail("{}: {}: truncated: its numbers are missing", path, what);
  out.set(static_cast<int>(camera) + 1, static_cast<int>(identity) + 1, static_cast<int>(count),
          read_numbers(path, what, *cell, static_cast<int>(count)));
}

// A matio matrix (10, count) of class double, stored in the smallest integers that hold it as MATLAB does.
template <class T>
Variable make_cell(const TrialFile& trials, int camera, int identity, matio_types type) {
  const int count = trials.count(camera, identity);
  std::vector<T> column_major(static_cast<size_t>(count) * kSysuTrials);
  for (int i = 0; i < count; i++)
    for (int trial = 0; trial < kSysuTrials; trial++)
      column_major[static_cast<size_t>(i) * kSysuTrials + trial] =
          static_cast<T>(trials.image(trial, camera, identity, i));
  size_t dims[2] = {kSysuTrials, static_cast<size_t>(count)};
  return Variable(Mat_VarCreate(nullptr, MAT_C_DOUBLE, type, 2, dims, column_major.data(), 0));
}

Variable make_cells(const char* name, std::vector<Variable> entries) {
  size_t dims[2] = {entries.size(), 1};
  std::vector<matvar_t*> pointers;
  for (auto& entry : entries) pointers.push_back(entry.release());  // the cell array owns them from here on
  return Variable(Mat_VarCreate(name, MAT_C_CELL, MAT_T_CELL, 2, dims, pointers.data(), 0));
}

Variable make_variable(const TrialFile& trials) {
  std::vector<Variable> cameras;
  for (int camera = 1; camera <= kSysuCameras; camera++) {
    std::vector<Variable> entries;
    for (int identity = 1; identity <= trials.identities(camera); identity++)
      entries.push_back(trials.count(camera, identity) < 256
                            ? make_cell<uint8_t>(trials, camera, identity, MAT_T_UINT8)
                            : make_cell<uint16_t>(trials, camera, identity, MAT_T_UINT16));
    cameras.push_back(make_cells(nullptr, std::move(entries)));
  }
  return make_cells(kVariable, std::move(cameras));
}

}  // namespace

namespace {

// matio knows files by name and goes back and forth in them, so what came through a pipe goes into a file first.
void write_plainly(const std::string& path, const std::vector<uint8_t>& bytes) {
  AppendFile(path).append({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace

TrialFile read_trial_file(const std::string& path) {
  const std::vector<uint8_t> bytes = read_bytes(path);
  check_container(path, bytes);
  silence_matio();
  std::optional<ScratchFile> scratch;
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) write_plainly(scratch.emplace().path(), bytes);
  MatFile file(Mat_Open(scratch ? scratch->path().c_str() : path.c_str(), MAT_ACC_RDONLY));
  if (!file) fail("{}: expected a MATLAB v5 trial file, got a file of another kind", path);
  Variable variable(Mat_VarRead(file.get(), kVariable));
  if (!variable) fail("{}: expected the variable {}, which is missing or damaged", path, kVariable);
  const Entries cameras = vector_entries(path, kVariable, variable.get());
  if (cameras.count != kSysuCameras)
    fail("{}: {}: expected 6 cells, one a camera, got {}", path, kVariable, cameras.count);
  TrialFile trials;
  for (size_t camera = 0; camera < cameras.count; camera++) {
    const Entries cells = vector_entries(path, fmt::format("{}{{{}}}", kVariable, camera + 1), cameras.data[camera]);
    trials.resize(static_cast<int>(camera) + 1, static_cast<int>(cells.count));
    for (size_t identity = 0; identity < cells.count; identity++)
      read_cell(path, camera, identity, cells.data[identity], trials);
  }
  return trials;
}

void write_trial_file(const std::string& path, const TrialFile& trials) {
  silence_matio();
  OutputFile out(path);
  const ScratchFile scratch;  // matio writes by name only
  {
    // A fixed text instead of matio's, which holds the time.
    MatFile file(Mat_CreateVer(scratch.path().c_str(), "MATLAB 5.0 MAT-file, written by mpanet", MAT_FT_MAT5));
    if (!file) fail("{}: cannot write {}", path, scratch.path());
    const Variable variable = make_variable(trials);
    if (Mat_VarWrite(file.get(), variable.get(), MAT_COMPRESSION_ZLIB) != 0)
      fail("{}: cannot write {}", path, scratch.path());
  }
  try {
    read_trial_file(scratch.path());  // matio does not report a full disk
  } catch (const UserError&) {
    fail("{}: cannot write all of {} (disk full?)", path, scratch.path());
  }
  out.write(read_text(scratch.path()));
  out.commit();
}

#endif

}  // namespace mpanet
