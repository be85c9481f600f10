#include "data/sets/manifest.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/number.h"
#include "core/base/temporary.h"
#include "core/base/text.h"
#include "data/sets/csv.h"
#include "data/sets/reader_checks.h"
#include "data/sets/text_list.h"

namespace mpanet {
namespace fs = std::filesystem;
namespace {

constexpr std::array<const char*, 5> kColumns = {"path", "identity", "camera", "modality", "split"};
enum Column { kPath, kIdentity, kCamera, kModality, kSplit };

class ManifestReader {
 public:
  explicit ManifestReader(const std::string& path) : path_(path) {}

  Dataset read(Split wanted) {
    const std::vector<CsvRow> rows = read_csv(path_);
    if (rows.empty()) fail("{}: expected the header {}, got no line", path_, kManifestHeader);
    read_header(rows.front());
    for (size_t i = 1; i < rows.size(); i++) read_row(rows[i], wanted);
    return std::move(data_);
  }

 private:
  void read_header(const CsvRow& header) {
    columns_ = header.fields.size();
    std::vector<std::string> others;
    for (size_t at = 0; at < header.fields.size(); at++) {
      const std::string name = lower(header.fields[at]);
      const auto known = std::find(kColumns.begin(), kColumns.end(), name);
      if (known == kColumns.end()) {
        if (name != "name") others.push_back(quote(header.fields[at]));
        continue;
      }
      auto& index = indices_[static_cast<size_t>(known - kColumns.begin())];
      if (index) fail("{}: the column {} stands twice in the header", at_line(path_, header.line), name);
      index = at;
    }
    for (size_t c = 0; c < kColumns.size(); c++)
      if (!indices_[c])
        fail("{}: expected a header with the columns {}, got no column {}", at_line(path_, header.line),
             kManifestHeader, kColumns[c]);
    if (!others.empty())
      data_.notes.push_back(
          fmt::format("left aside {} of the manifest: {}", counted(others.size(), "column"), join(others)));
  }

  void read_row(const CsvRow& row, Split wanted) {
    const std::string where = at_line(path_, row.line);
    if (row.fields.size() > columns_)
      fail("{}: expected {} as in the header, got {}", where, counted(columns_, "field"), row.fields.size());
    const auto field = [&](Column column) -> const std::string& {
      const size_t index = *indices_[column];
      if (index >= row.fields.size() || row.fields[index].empty())
        fail("{}: the field {} is empty", where, kColumns[column]);
      return row.fields[index];
    };
    const auto number = [&](Column column) {
      const auto value = parse_whole<int>(field(column));
      if (!value || *value < 0 || *value > 999999999)
        fail("{}: expected a whole number in 0..999999999 as {}, got {}", where, kColumns[column],
             quote(field(column)));
      return *value;
    };
    ImageRecord image;
    image.path = checked_path(field(kPath), where);
    if (const auto [first, fresh] = lines_.emplace(image.path, row.line); !fresh)
      fail("{}: {} is already in line {}", where, quote(image.path), first->second);
    image.identity = number(kIdentity);
    image.camera = number(kCamera);
    const std::string modality = lower(field(kModality)), split = lower(field(kSplit));
    if (modality != "visible" && modality != "infrared")
      fail("{}: expected visible or infrared as modality, got {}", where, quote(field(kModality)));
    if (split != "train" && split != "query" && split != "gallery")
      fail("{}: expected train, query or gallery as split, got {}", where, quote(field(kSplit)));
    image.infrared = modality == "infrared";
    const bool train = split == "train";
    if (!train) image.role = split == "query" ? Role::Query : Role::Gallery;
    const auto seen = parts_.emplace(image.identity, std::pair(train, row.line)).first->second;
    if (seen.first != train)
      fail("{}: identity {} is {} here and {} in line {}", where, image.identity,
           train ? "for training" : "in the test", train ? "in the test" : "for training", seen.second);
    if (wanted != (train ? Split::Test : Split::Train)) (train ? data_.train : data_.test).push_back(std::move(image));
  }

  const std::string path_;
  Dataset data_;
  size_t columns_ = 0;
  std::array<std::optional<size_t>, 5> indices_;            // index in a row of each of kColumns
  std::unordered_map<std::string, size_t> lines_;           // path -> its line
  std::unordered_map<int, std::pair<bool, size_t>> parts_;  // identity -> (in training, first line)
};

}  // namespace

std::string manifest_path(const std::string& data) {
  std::error_code error;
  return fs::is_directory(data, error) ? (fs::path(data) / kManifestName).string() : data;
}

std::vector<std::string> manifest_pictures(const std::string& data) {
  const std::string path = manifest_path(data);
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return {};
  const Dataset read = ManifestReader(path).read(Split::Both);
  std::vector<std::string> pictures;
  for (const auto* images : {&read.train, &read.test})
    for (const ImageRecord& image : *images) pictures.push_back((fs::path(folder_of(path)) / image.path).string());
  return pictures;
}

Dataset read_manifest(const std::string& data, Split split) {
  const std::string path = manifest_path(data);
  Dataset read = ManifestReader(path).read(split);
  read.root = folder_of(path);
  const bool one_part = split == Split::Present && read.train.empty() != read.test.empty();
  if (one_part)
    read.notes.emplace_back(read.test.empty() ? "the manifest has no row for the test: training needs eval_interval=0"
                                              : "the manifest has no row for training");
  if (split != Split::Test && !(one_part && read.train.empty())) {
    number_classes(read);
    require_training_pairs(path, read.train);
  }
  if (split != Split::Train && !(one_part && read.test.empty())) require_test_pairs(path, read.test);
  sort_images(read);
  return read;
}

}  // namespace mpanet
