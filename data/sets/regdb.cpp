#include "data/sets/regdb.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include "core/base/error.h"
#include "data/sets/picture_names.h"
#include "data/sets/reader_checks.h"
#include "data/sets/text_list.h"

namespace mpanet {
namespace fs = std::filesystem;
namespace {

// Reads the lists of one part and checks that they agree with each other.
class PartReader {
 public:
  PartReader(const std::string& root, bool train, int split) : root_(root), train_(train), split_(split) {}

  std::vector<ImageRecord> read() {
    for (const bool infrared : {false, true}) read_list(infrared);
    return std::move(images_);
  }

 private:
  void read_list(bool infrared) {
    const std::string list = (fs::path(root_) / regdb_list(train_, infrared, split_)).string();
    for (const LabelledPath& entry : read_labelled_paths(list)) {
      const std::string where = at_line(list, entry.line);
      check_folder(entry.path, infrared, where);
      if (const auto [first, fresh] = lines_.emplace(entry.path, where); !fresh)
        fail("{}: {} stands in {} already", where, quote(entry.path), first->second);
      const int identity = identity_of(entry.path, where);
      pairs_.check(identity, entry.label, where);
      images_.push_back({entry.path, identity, infrared ? kRegDbThermalCamera : kRegDbVisibleCamera, infrared});
    }
  }

  // Without this check, training on a list with pictures of the other modality would give no error.
  static void check_folder(const std::string& path, bool infrared, const std::string& where) {
    const std::string folder = lower(path.substr(0, path.find('/')));
    if (folder == (infrared ? "visible" : "thermal"))
      fail("{}: expected a {} picture, got {}", where, infrared ? "thermal" : "visible", quote(path));
  }

  static int identity_of(const std::string& path, const std::string& where) {
    const auto identity = folder_number(path);
    if (!identity)
      fail("{}: expected the identity's number as the name of the picture's folder, got {}", where, quote(path));
    return *identity;
  }

  const std::string root_;
  const bool train_;
  const int split_;
  std::vector<ImageRecord> images_;
  std::unordered_map<std::string, std::string> lines_;  // path -> list and line
  LabelPairs pairs_;
};

}  // namespace

std::string regdb_list(bool train, bool infrared, int split) {
  return fmt::format("idx/{}_{}_{}.txt", train ? "train" : "test", infrared ? "thermal" : "visible", split);
}

bool has_regdb_lists(const std::string& root, int split) {
  std::error_code error;
  for (const bool train : {true, false})
    for (const bool infrared : {true, false})
      if (fs::exists(fs::path(root) / regdb_list(train, infrared, split), error)) return true;
  return false;
}

Dataset read_regdb(const std::string& root, Split split, int regdb_split) {
  require_folder(root, "the data set");
  Dataset data;
  data.root = root;
  const std::string source = fmt::format("{}: split {}", root, regdb_split);
  if (split != Split::Test) {
    data.train = PartReader(root, true, regdb_split).read();
    number_classes(data);
    require_training_pairs(source, data.train);
  }
  if (split != Split::Train) {
    data.test = PartReader(root, false, regdb_split).read();
    require_test_pairs(source, data.test);
  }
  require_disjoint(source, data);
  sort_images(data);
  return data;
}

}  // namespace mpanet
