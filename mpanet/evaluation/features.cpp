#include "mpanet/evaluation/features.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/folder.h"
#include "core/base/number.h"
#include "core/base/quote.h"
#include "core/base/text.h"
#include "data/sets/csv.h"
#include "data/sets/text_list.h"
#include "mpanet/files/tensor_file.h"

namespace mpanet {
namespace {

namespace fs = std::filesystem;
constexpr int64_t kLongestEmbedding = 1 << 24;
constexpr std::string_view kHeader = "path,identity,camera,modality";

std::string numbers_path(const std::string& folder) { return (fs::path(folder) / "features.npy").string(); }
std::string images_path(const std::string& folder) { return (fs::path(folder) / "images.csv").string(); }

ImageRecord parse_image(std::vector<std::string> fields, const std::string& where) {
  ImageRecord image;
  if (fields.size() != 4)
    fail("{}: expected 4 fields ({}), got {}: {}", where, kHeader, fields.size(), quote(join(fields, ",")));
  image.path = std::move(fields[0]);
  if (image.path.empty()) fail("{}: the path is empty: {}", where, quote(join(fields, ",")));
  image.identity = parse_whole<int>(fields[1]).value_or(-1);
  if (image.identity < 0) fail("{}: expected an identity from 0, got {}", where, quote(fields[1]));
  image.camera = parse_whole<int>(fields[2]).value_or(-1);
  if (image.camera < 0) fail("{}: expected a camera from 0, got {}", where, quote(fields[2]));
  if (fields[3] != "visible" && fields[3] != "infrared")
    fail("{}: expected visible or infrared, got {}", where, quote(fields[3]));
  image.infrared = fields[3] == "infrared";
  return image;
}

// Maps a path to its index in `listed`.
std::unordered_map<std::string_view, size_t> rows_by_path(const ListedImages& listed, const std::string& path) {
  std::unordered_map<std::string_view, size_t> rows;
  for (size_t i = 0; i < listed.images.size(); i++) {
    const auto [entry, added] = rows.emplace(listed.images[i].path, i);
    if (!added)
      fail("{}: {} is already in line {}", at_line(path, listed.lines[i]), quote(listed.images[i].path),
           listed.lines[entry->second]);
  }
  return rows;
}

std::string describe(const ImageRecord& image) {
  return fmt::format("identity {}, camera {}, {}", image.identity, image.camera,
                     image.infrared ? "infrared" : "visible");
}

}  // namespace

std::vector<std::string> feature_files(const std::string& folder) {
  if (folder.empty()) return {};
  return {numbers_path(folder), images_path(folder)};
}

void check_features_writable(const std::string& folder) {
  check_folder_can_be_made(folder);
  if (!fs::exists(folder)) return;
  for (const std::string& path : feature_files(folder)) OutputFile(path, OutputFile::Open::Later);
}

std::string images_text(const std::vector<ImageRecord>& images) {
  std::string text = fmt::format("{}\n", kHeader);
  for (const ImageRecord& image : images)
    text += fmt::format("{},{},{},{}\n", csv_field(image.path), image.identity, image.camera,
                        image.infrared ? "infrared" : "visible");
  return text;
}

void write_features(const std::string& folder, const std::vector<ImageRecord>& images, const Embeddings& embeddings) {
  MadeFiles made;
  made.make_folders(folder);
  OutputFile list(images_path(folder)), numbers(numbers_path(folder));
  list.write(images_text(images));
  write_npy(numbers, {static_cast<int64_t>(images.size()), embeddings.dimension}, embeddings.values.data());
  OutputFile::commit_together(list, numbers);
  made.keep();
}

ListedImages read_listed_images(const std::string& folder) {
  const std::string path = images_path(folder);
  ListedImages listed;
  bool first = true;
  read_csv(path, [&](CsvRow row) {
    const std::string where = at_line(path, row.line);
    if (std::exchange(first, false)) {
      if (const std::string header = join(row.fields, ","); header != kHeader)
        fail("{}: expected the header '{}', got {}", where, kHeader, quote(header));
      return;
    }
    listed.images.push_back(parse_image(std::move(row.fields), where));
    listed.lines.push_back(static_cast<uint32_t>(row.line));
  });
  if (first) fail("{}: expected the header '{}', got no line", path, kHeader);
  return listed;
}

FeatureFolder::FeatureFolder(const std::string& folder)
    : csv_(images_path(folder)), listed_(read_listed_images(folder)), numbers_(numbers_path(folder)) {
  rows_ = rows_by_path(listed_, csv_);
  const std::vector<int64_t>& shape = numbers_.shape();
  if (shape.size() != 2 || shape[1] < 1 || shape[1] > kLongestEmbedding)
    fail("{}: expected the shape (images, numbers), got {}", numbers_.path(), shape_text(shape));
  if (static_cast<size_t>(shape[0]) != rows())
    fail("{}: expected {}, one per line of images.csv, got {}", numbers_.path(), counted(rows(), "row"), shape[0]);
}

std::vector<size_t> FeatureFolder::rows_of(const std::vector<ImageRecord>& images) const {
  std::vector<size_t> rows;
  rows.reserve(images.size());
  for (const ImageRecord& image : images) {
    const auto found = rows_.find(image.path);
    if (found == rows_.end()) fail("{}: {} is missing, which the protocol needs", csv_, image.path);
    const ImageRecord& given = listed_.images[found->second];
    if (given.identity != image.identity || given.camera != image.camera || given.infrared != image.infrared)
      fail("{}: expected {} for {}, got {}", at_line(csv_, listed_.lines[found->second]), describe(image), image.path,
           describe(given));
    rows.push_back(found->second);
  }
  return rows;
}

void FeatureFolder::read(size_t first, size_t count, float* out) const {
  numbers_.read_rows(static_cast<int64_t>(first), static_cast<int64_t>(count), out);
  const size_t dimension = numbers_.row_size();
  const float* end = out + count * dimension;
  const float* bad = std::find_if<const float*>(out, end, [](float value) { return !std::isfinite(value); });
  if (bad == end) return;
  const size_t at = bad - out, row = first + at / dimension;
  fail("{}: row {} ({}), column {} is {}, expected finite numbers", numbers_.path(), row,
       quote(listed_.images[row].path), at % dimension, *bad);
}

Embeddings read_features(const FeatureFolder& folder, const std::vector<ImageRecord>& images) {
  constexpr size_t kNumbers = size_t{1} << 22;  // numbers that are read at a time
  const size_t dimension = folder.dimension();
  Embeddings embeddings{folder.dimension(), std::vector<float>(images.size() * dimension)};
  std::vector<std::pair<size_t, size_t>> pairs;  // row, index of the image
  for (const size_t row : folder.rows_of(images)) pairs.emplace_back(row, pairs.size());
  std::sort(pairs.begin(), pairs.end());
  const size_t block = std::max<size_t>(1, kNumbers / dimension);
  std::vector<float> rows;
  auto pair = pairs.begin();
  for (size_t first = 0; first < folder.rows(); first += block) {
    const size_t count = std::min(block, folder.rows() - first);
    rows.resize(count * dimension);
    folder.read(first, count, rows.data());
    for (; pair != pairs.end() && pair->first < first + count; ++pair)
      std::copy_n(rows.data() + (pair->first - first) * dimension, dimension,
                  embeddings.values.data() + pair->second * dimension);
  }
  return embeddings;
}

}  // namespace mpanet
