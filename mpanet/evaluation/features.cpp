#include "mpanet/evaluation/features.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/folder.h"
#include "core/base/quote.h"
#include "core/base/text.h"
#include "data/sets/npy.h"
#include "mpanet/files/safetensors.h"

namespace mpanet {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kHeader = "path,identity,camera,modality";

std::string numbers_path(const std::string& folder) { return (fs::path(folder) / "features.npy").string(); }
std::string images_path(const std::string& folder) { return (fs::path(folder) / "images.csv").string(); }

// Returns the first line without its line end, and removes it from `text`.
std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool parse_number(std::string_view text, int& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value >= 1;
}

ImageRecord parse_image(std::string_view line, const std::string& where) {
  std::string_view fields[4];
  size_t count = 0, begin = 0;
  for (size_t end = 0; end != line.npos; begin = end + 1, count++) {
    end = line.find(',', begin);
    if (count < 4) fields[count] = line.substr(begin, end == line.npos ? line.npos : end - begin);
  }
  ImageRecord image;
  if (count != 4) fail("{}: expected 4 fields ({}), got {}: {}", where, kHeader, count, quote(line));
  image.path = fields[0];
  if (image.path.empty()) fail("{}: the path is empty: {}", where, quote(line));
  if (!parse_number(fields[1], image.identity))
    fail("{}: expected an identity from 1, got {}", where, quote(fields[1]));
  if (!parse_number(fields[2], image.camera)) fail("{}: expected a camera from 1, got {}", where, quote(fields[2]));
  if (fields[3] != "visible" && fields[3] != "infrared")
    fail("{}: expected visible or infrared, got {}", where, quote(fields[3]));
  image.infrared = fields[3] == "infrared";
  return image;
}

std::vector<ImageRecord> read_images(const std::string& path) {
  const std::string content = read_text(path);
  std::string_view text = content;
  const std::string_view header = take_line(text);
  if (header != kHeader) fail("{}: expected the header '{}', got {}", path, kHeader, quote(header));
  std::vector<ImageRecord> images;
  for (size_t line = 2; !text.empty(); line++)
    images.push_back(parse_image(take_line(text), fmt::format("{} line {}", path, line)));
  return images;
}

// Maps a path to its index in `images`.
std::unordered_map<std::string_view, size_t> rows_by_path(const std::vector<ImageRecord>& images,
                                                          const std::string& path) {
  std::unordered_map<std::string_view, size_t> rows;
  for (size_t i = 0; i < images.size(); i++) {
    const auto [entry, added] = rows.emplace(images[i].path, i);
    if (!added) fail("{} line {}: {} stands in line {} already", path, i + 2, quote(images[i].path), entry->second + 2);
  }
  return rows;
}

std::string describe(const ImageRecord& image) {
  return fmt::format("identity {}, camera {}, {}", image.identity, image.camera,
                     image.infrared ? "infrared" : "visible");
}

void check_finite(const NpyFloats& numbers, const std::vector<ImageRecord>& images, const std::string& path) {
  const auto bad =
      std::find_if(numbers.values.begin(), numbers.values.end(), [](float value) { return !std::isfinite(value); });
  if (bad == numbers.values.end()) return;
  const size_t at = bad - numbers.values.begin(), dimension = numbers.shape[1];
  fail("{}: row {} ({}), column {} is {}, expected finite numbers", path, at / dimension,
       quote(images[at / dimension].path), at % dimension, *bad);
}

}  // namespace

void check_features_writable(const std::string& folder) {
  check_folder_can_be_made(folder);
  if (!fs::exists(folder)) return;
  for (const std::string& path : {numbers_path(folder), images_path(folder)}) OutputFile(path, OutputFile::Open::Later);
}

void write_features(const std::string& folder, const EvaluationPlan& plan, const Embeddings& embeddings) {
  MadeFiles made;
  made.make_folders(folder);
  std::string images = fmt::format("{}\n", kHeader);
  for (const auto* part : {&plan.queries, &plan.gallery})
    for (const ImageRecord& image : *part)
      images += fmt::format("{},{},{},{}\n", image.path, image.identity, image.camera,
                            image.infrared ? "infrared" : "visible");
  OutputFile list(images_path(folder)), numbers(numbers_path(folder));
  list.write(images);
  const int64_t count = static_cast<int64_t>(plan.queries.size() + plan.gallery.size());
  write_npy(numbers, {count, embeddings.dimension}, embeddings.values.data());
  OutputFile::commit_together(list, numbers);
  made.keep();
}

Embeddings read_features(const std::string& folder, const EvaluationPlan& plan) {
  const std::string csv = images_path(folder), npy = numbers_path(folder);
  const std::vector<ImageRecord> images = read_images(csv);
  const auto rows = rows_by_path(images, csv);
  NpyFloats numbers = read_npy(npy);
  if (numbers.shape.size() != 2 || numbers.shape[1] < 1)
    fail("{}: expected the shape (images, numbers), got {}", npy, shape_text(numbers.shape));
  if (static_cast<size_t>(numbers.shape[0]) != images.size())
    fail("{}: expected {}, one per line of images.csv, got {}", npy, counted(images.size(), "row"), numbers.shape[0]);
  check_finite(numbers, images, npy);

  const size_t dimension = numbers.shape[1];
  Embeddings embeddings;
  embeddings.dimension = static_cast<int>(dimension);
  embeddings.values.reserve((plan.queries.size() + plan.gallery.size()) * dimension);
  for (const auto* list : {&plan.queries, &plan.gallery})
    for (const ImageRecord& image : *list) {
      const auto found = rows.find(image.path);
      if (found == rows.end()) fail("{}: {} is missing, which the protocol needs", csv, image.path);
      const ImageRecord& given = images[found->second];
      if (given.identity != image.identity || given.camera != image.camera || given.infrared != image.infrared)
        fail("{} line {}: expected {} for {}, got {}", csv, found->second + 2, describe(image), image.path,
             describe(given));
      const auto row = numbers.values.begin() + found->second * dimension;
      embeddings.values.insert(embeddings.values.end(), row, row + dimension);
    }
  return embeddings;
}

}  // namespace mpanet
