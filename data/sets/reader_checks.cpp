#include "data/sets/reader_checks.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <tuple>

#include "core/base/error.h"
#include "core/base/number.h"

namespace mpanet {
namespace {

template <class Belongs>
std::set<int> identities(const std::vector<ImageRecord>& images, Belongs belongs) {
  std::set<int> found;
  for (const ImageRecord& image : images)
    if (belongs(image)) found.insert(image.identity);
  return found;
}

bool have_common(const std::set<int>& a, const std::set<int>& b) {
  return std::any_of(a.begin(), a.end(), [&](int id) { return b.count(id) > 0; });
}

bool is_infrared(const ImageRecord& image) { return image.infrared; }
bool is_visible(const ImageRecord& image) { return !image.infrared; }
bool is_query(const ImageRecord& image) { return image.role == Role::Any ? image.infrared : image.role == Role::Query; }

}  // namespace

void number_classes(Dataset& data) {
  std::map<int, int> labels;
  for (const ImageRecord& image : data.train) labels.emplace(image.identity, 0);
  for (auto& [identity, label] : labels) label = data.classes++;
  for (ImageRecord& image : data.train) image.label = labels.at(image.identity);
}

void sort_images(Dataset& data) {
  std::sort(data.train.begin(), data.train.end(), [](const ImageRecord& a, const ImageRecord& b) {
    return std::tie(a.label, a.camera, a.path) < std::tie(b.label, b.camera, b.path);
  });
  std::sort(data.test.begin(), data.test.end(),
            [](const ImageRecord& a, const ImageRecord& b) { return a.path < b.path; });
}

std::optional<int> folder_number(const std::string& path) {
  const auto number = parse_whole<int>(std::filesystem::path(path).parent_path().filename().string());
  return number && *number >= 0 && *number <= 999999 ? number : std::nullopt;
}

void LabelPairs::check(int identity, int label, const std::string& where) {
  const int of_identity = labels_.emplace(identity, label).first->second;
  const int of_label = identities_.emplace(label, identity).first->second;
  if (of_identity != label)
    fail("{}: expected the label {} for identity {} as in the lines before, got {}", where, of_identity, identity,
         label);
  if (of_label != identity)
    fail("{}: the label {} stands for identity {} in the lines before, here for {}", where, label, of_label, identity);
}

void require_training_pairs(const std::string& source, const std::vector<ImageRecord>& train) {
  const auto infrared = identities(train, is_infrared), visible = identities(train, is_visible);
  if (infrared.empty()) fail("{}: no infrared training image", source);
  if (visible.empty()) fail("{}: no visible training image", source);
  if (!have_common(infrared, visible)) fail("{}: no training identity has both visible and infrared images", source);
}

void require_test_pairs(const std::string& source, const std::vector<ImageRecord>& test) {
  if (test.empty()) fail("{}: no test image", source);
  const bool roles = std::any_of(test.begin(), test.end(), [](const auto& i) { return i.role != Role::Any; });
  const auto queries = identities(test, is_query);
  const auto gallery = identities(test, [](const ImageRecord& image) { return !is_query(image); });
  if (queries.empty()) fail("{}: no {} image", source, roles ? "query" : "infrared test");
  if (gallery.empty()) fail("{}: no {} image", source, roles ? "gallery" : "visible test");
  if (!have_common(queries, gallery))
    fail("{}: no identity of the {} is among the {}", source, roles ? "queries" : "infrared test images",
         roles ? "gallery images" : "visible ones");
}

void require_disjoint(const std::string& source, const Dataset& data) {
  const auto every = [](const ImageRecord&) { return true; };
  const std::set<int> train = identities(data.train, every);
  for (const ImageRecord& image : data.test)
    if (train.count(image.identity))
      fail("{}: identity {} is in training and in the test ({})", source, image.identity, image.path);
}

}  // namespace mpanet
