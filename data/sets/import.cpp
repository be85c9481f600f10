#include "data/sets/import.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/number.h"
#include "core/base/path_end.h"
#include "core/base/temporary.h"
#include "core/base/text.h"
#include "data/sets/csv.h"
#include "data/sets/import_pattern.h"
#include "data/sets/manifest.h"
#include "data/sets/picture_names.h"
#include "data/sets/reader_checks.h"
#include "data/sets/text_list.h"

namespace mpanet {
namespace fs = std::filesystem;
namespace {

constexpr int kLargestNumber = 999999999;

struct Picture {
  std::string path;  // relative to the tree's folder
  PathParts parts;
  bool infrared = false;
  int identity = 0, camera = 0;
  std::string split;  // train, query or gallery
};

const std::vector<std::string> kVisible = {"visible", "vis", "rgb", "color", "colour", "v"},
                               kInfrared = {"infrared", "ir", "nir", "thermal", "tir", "lwir", "t", "i"};

// The known words of a modality and the further ones, in lower case.
std::vector<std::string> words_of(std::vector<std::string> known, const std::vector<std::string>& more) {
  for (const std::string& text : more) known.push_back(lower(text));
  return known;
}

bool is_one_of(const std::string& word, const std::vector<std::string>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// The tree's pictures at the pattern's depth, ascending.
class Tree {
 public:
  Tree(const std::string& root, int depth) : root_(root) { walk("", depth); }
  std::vector<std::string> paths;
  LeftOut left_out;

 private:
  void walk(const std::string& folder, int depth) {
    if (depth == 0) {
      for (const std::string& name : picture_names(root_, folder, left_out)) paths.push_back(below(folder, name));
      return;
    }
    std::error_code error;
    std::vector<std::string> folders;
    fs::directory_iterator entries(fs::path(root_) / folder, error);
    for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
      const std::string name = entries->path().filename().string();
      std::error_code ignored;
      if (!name.starts_with('.') && entries->is_directory(ignored))
        folders.push_back(below(folder, name));
      else
        left_out.add(below(folder, name));
    }
    if (error) fail("{}: cannot read the folder: {}", (fs::path(root_) / folder).string(), error.message());
    std::sort(folders.begin(), folders.end());
    for (const std::string& inner : folders) walk(inner, depth - 1);
  }
  static std::string below(const std::string& folder, const std::string& name) {
    return folder.empty() ? name : folder + "/" + name;
  }

  const std::string root_;
};

class Importer {
 public:
  explicit Importer(const ImportOptions& options) : options_(options), pattern_(options.pattern) {}

  ImportReport run() {
    require_folder(options_.root, "the tree of pictures");
    check_options();
    find_output();
    take_pictures();
    for (Picture& picture : pictures_) {
      set_modality(picture);
      set_camera(picture);
    }
    number_identities();
    if (pattern_.has("split"))
      for (Picture& picture : pictures_) set_split(picture);
    else
      divide();
    check_parts();
    write();
    return std::move(report_);
  }

 private:
  // An option that would change nothing is refused.
  void check_options() const {
    if (pattern_.has("split") && options_.test_share)
      fail("--test-share: expected a pattern without {{split}}, which says what is for the test");
    if (pattern_.has("modality") && !options_.infrared_cameras.empty())
      fail("--infrared-cameras: expected a pattern without {{modality}}, which says it");
    if (!pattern_.has("modality") && !(options_.visible.empty() && options_.infrared.empty()))
      fail("--visible and --infrared: expected a pattern with {{modality}}, whose words they are");
    for (const std::string& word : options_.visible)
      if (is_one_of(lower(word), words_of(kInfrared, options_.infrared)))
        fail("--visible: {} is a word for infrared", quote(word));
    for (const std::string& word : options_.infrared)
      if (is_one_of(lower(word), kVisible)) fail("--infrared: {} is a word for visible", quote(word));
  }

  // Paths in the manifest are relative to its folder, so this must be the tree's folder or contain it.
  void find_output() {
    report_.manifest = options_.out.empty() ? (fs::path(options_.root) / kManifestName).string() : options_.out;
    std::error_code error;
    if (fs::exists(report_.manifest, error)) {
      const PathEnd::Kind kind = follow_path(report_.manifest).kind;
      if (kind == PathEnd::Kind::Special || kind == PathEnd::Kind::Descriptor) return;  // relative to the tree
      fail("{}: exists already; --out names another place", report_.manifest);
    }
    const fs::path base = fs::weakly_canonical(folder_of(report_.manifest), error);
    prefix_ = fs::weakly_canonical(options_.root, error).lexically_relative(base).string();
    if (prefix_.empty() || prefix_ == ".." || prefix_.starts_with("../"))
      fail("{}: expected a manifest in {} or in a folder above it", report_.manifest, options_.root);
    prefix_ = prefix_ == "." ? "" : prefix_ + "/";
  }

  void take_pictures() {
    const Tree tree(options_.root, pattern_.depth());
    size_t others = 0;
    std::string first;
    for (const std::string& path : tree.paths) {
      if (auto parts = pattern_.match(path))
        pictures_.push_back({path, std::move(*parts), false, 0, 0, ""});
      else if (others++ == 0)
        first = path;
    }
    if (pictures_.empty())
      fail("{}: no picture fits {}{}", options_.root, quote(options_.pattern),
           first.empty() ? "" : fmt::format(", such as {}", first));
    if (others > 0)
      report_.lines.push_back(
          fmt::format("left aside {} that the pattern does not fit, such as {}", counted(others, "picture"), first));
    tree.left_out.tell(report_.lines);
  }

  void set_modality(Picture& picture) const {
    if (!pattern_.has("modality")) {
      if (options_.infrared_cameras.empty())
        fail("--pattern: expected one with {{modality}}, or --infrared-cameras with the numbers of those cameras");
      if (!pattern_.has("camera")) fail("--infrared-cameras: expected a pattern with {{camera}}");
      const auto camera = parse_whole<int>(picture.parts.camera);
      picture.infrared = camera && std::find(options_.infrared_cameras.begin(), options_.infrared_cameras.end(),
                                             *camera) != options_.infrared_cameras.end();
      return;
    }
    const std::string word = lower(picture.parts.modality);
    picture.infrared = is_one_of(word, words_of(kInfrared, options_.infrared));
    if (!picture.infrared && !is_one_of(word, words_of(kVisible, options_.visible)))
      fail("{}: expected a modality such as visible or infrared, got {}; --visible and --infrared name other words",
           picture.path, quote(picture.parts.modality));
  }

  void set_camera(Picture& picture) const {
    if (!pattern_.has("camera")) {
      picture.camera = picture.infrared ? 2 : 1;
      return;
    }
    const auto camera = parse_whole<int>(picture.parts.camera);
    if (!camera || *camera > kLargestNumber)
      fail("{}: expected a camera's number, got {}", picture.path, quote(picture.parts.camera));
    picture.camera = *camera;
  }

  static std::optional<int> number_of(const std::string& identity) {
    const auto number = parse_whole<int>(identity);
    return number && *number >= 0 && *number <= kLargestNumber ? number : std::nullopt;
  }

  const std::string& first_picture_of(const std::string& identity) const {
    return std::find_if(pictures_.begin(), pictures_.end(),
                        [&](const Picture& picture) { return picture.parts.identity == identity; })
        ->path;
  }

  void number_identities() {
    std::map<std::string, int> numbers;
    for (const Picture& picture : pictures_) {
      numbers.emplace(picture.parts.identity, 0);
      named_ = named_ || !number_of(picture.parts.identity);
    }
    int next = 1;
    std::map<int, std::string> names;
    for (auto& [name, number] : numbers) {
      number = named_ ? next++ : *number_of(name);
      if (const auto [other, fresh] = names.emplace(number, name); !fresh)
        fail("{}: identity {} is the same number as {} of {}; write both alike if they are one person",
             first_picture_of(name), quote(name), quote(other->second), first_picture_of(other->second));
    }
    for (Picture& picture : pictures_) picture.identity = numbers.at(picture.parts.identity);
  }

  const char* test_split(bool infrared) const { return infrared != options_.query_visible ? "query" : "gallery"; }

  void set_split(Picture& picture) const {
    const std::string word = lower(picture.parts.split);
    if (word == "train" || word == "training")
      picture.split = "train";
    else if (word == "query" || word == "gallery")
      picture.split = word;
    else if (word == "test" || word == "testing")
      picture.split = test_split(picture.infrared);
    else
      fail("{}: expected train, test, query or gallery as split, got {}", picture.path, quote(picture.parts.split));
  }

  void divide() {
    std::map<int, std::pair<bool, bool>> seen;  // identity -> visible, infrared
    for (const Picture& picture : pictures_)
      (picture.infrared ? seen[picture.identity].second : seen[picture.identity].first) = true;
    std::set<int> test;
    const double share = options_.test_share.value_or(0.5);
    double owed = 0;
    for (const auto& [identity, modalities] : seen) {
      if (!modalities.first || !modalities.second) continue;
      owed += share;
      if (owed < 1 - 1e-9) continue;
      owed -= 1;
      test.insert(identity);
    }
    const auto pairs = std::count_if(seen.begin(), seen.end(),
                                     [](const auto& entry) { return entry.second.first && entry.second.second; });
    if (share > 0 && share < 1 && (test.empty() || std::ssize(test) == pairs))
      fail(
          "--test-share: expected a share that leaves identities for training and for the test, got {}: {} of {} with "
          "both modalities would be for the test; 0 and 1 make a manifest for one of the two",
          share, test.size(), counted(pairs, "identity", "identities"));
    if (share == 1)
      for (const auto& [identity, modalities] : seen) test.insert(identity);
    for (Picture& picture : pictures_)
      picture.split = test.count(picture.identity) ? test_split(picture.infrared) : "train";
  }

  // A manifest must not have an identity in both parts. Either part may be absent.
  void check_parts() const {
    std::map<int, const Picture*> first;
    std::vector<ImageRecord> train, test;
    for (const Picture& picture : pictures_) {
      const Role role = picture.split == "query" ? Role::Query : Role::Gallery;
      (picture.split == "train" ? train : test)
          .push_back({picture.path, picture.identity, picture.camera, picture.infrared, -1, role});
      const Picture& before = *first.emplace(picture.identity, &picture).first->second;
      if ((before.split == "train") != (picture.split == "train"))
        fail("{}: identity {} is in {} here and in {} by {}", picture.path, quote(picture.parts.identity),
             picture.split, before.split, before.path);
    }
    if (!train.empty()) require_training_pairs(options_.root, train);
    if (!test.empty()) require_test_pairs(options_.root, test);
  }

  void write() {
    std::string text = std::string(kManifestHeader) + (named_ ? ",name\n" : "\n");
    std::map<std::string, std::set<int>> identities;
    size_t infrared = 0;
    for (const Picture& picture : pictures_) {
      text += fmt::format("{},{},{},{},{}", csv_field(prefix_ + picture.path), picture.identity, picture.camera,
                          picture.infrared ? "infrared" : "visible", picture.split);
      text += named_ ? "," + csv_field(picture.parts.identity) + "\n" : "\n";
      identities[picture.split == "train" ? "train" : "test"].insert(picture.identity);
      infrared += picture.infrared;
    }
    write_file(report_.manifest, text);
    report_.lines.push_back(fmt::format("{}: {} for training, {} for the test, {} visible and {}", report_.manifest,
                                        counted(identities["train"].size(), "identity", "identities"),
                                        identities["test"].size(), pictures_.size() - infrared,
                                        counted(infrared, "infrared image")));
    if (identities["test"].empty())
      report_.lines.emplace_back("no row is for the test, so training needs eval_interval=0");
    if (identities["train"].empty()) report_.lines.emplace_back("no row is for training");
  }

  const ImportOptions& options_;
  const PathPattern pattern_;
  std::string prefix_;  // of paths in the manifest
  std::vector<Picture> pictures_;
  bool named_ = false;  // identities are names
  ImportReport report_;
};

}  // namespace

ImportReport import_folder(const ImportOptions& options) { return Importer(options).run(); }

}  // namespace mpanet
