#include "data/sets/llcm.h"

#include <filesystem>
#include <set>
#include <unordered_set>

#include "core/base/error.h"
#include "core/base/number.h"
#include "data/sets/picture_names.h"
#include "data/sets/reader_checks.h"
#include "data/sets/text_list.h"

namespace mpanet {
namespace fs = std::filesystem;
namespace {

std::string in(const std::string& root, const std::string& relative) { return (fs::path(root) / relative).string(); }

// The number of one or two digits after `mark`, if '/', '_' or the end of the path follows; else 0.
int number_after(const std::string& path, std::string_view mark) {
  for (size_t at = path.find(mark); at != path.npos; at = path.find(mark, at + 1)) {
    const size_t begin = at + mark.size();
    const size_t end = std::min(path.find_first_not_of("0123456789", begin), path.size());
    if (end == begin || end > begin + 2 || (end < path.size() && path[end] != '/' && path[end] != '_')) continue;
    return parse_whole<int>(std::string_view(path).substr(begin, end - begin)).value_or(0);
  }
  return 0;
}

int camera_in(const std::string& path) {
  const int folder = number_after(path, "cam");
  return folder > 0 ? folder : number_after(path, "_c");
}

// Without this check, training on pictures of the test or of the other modality would give no error.
void check_folder(const std::string& path, bool infrared, const std::string& where) {
  const std::string folder = lower(path.substr(0, path.find('/')));
  if (folder == "test_vis" || folder == "test_nir")
    fail("{}: expected a training picture, got one of the test: {}", where, quote(path));
  const std::string other = infrared ? "vis" : "nir";
  if (folder == other || folder == "train_" + other)
    fail("{}: expected a {} picture, got {}", where, infrared ? "near-infrared" : "visible", quote(path));
}

std::vector<ImageRecord> read_training(const std::string& root) {
  std::vector<ImageRecord> images;
  std::unordered_set<std::string> visible;
  LabelPairs pairs;
  for (const bool infrared : {false, true}) {
    const std::string list = in(root, infrared ? "idx/train_nir.txt" : "idx/train_vis.txt");
    for (const LabelledPath& entry : read_labelled_paths(list)) {
      const std::string where = at_line(list, entry.line);
      if (!infrared)
        visible.insert(entry.path);
      else if (visible.count(entry.path))
        fail("{}: {} stands in idx/train_vis.txt too", where, quote(entry.path));
      check_folder(entry.path, infrared, where);
      if (const auto identity = folder_number(entry.path)) pairs.check(*identity, entry.label, where);
      images.push_back({entry.path, entry.label, camera_in(entry.path), infrared});
    }
  }
  return images;
}

// Adds the entries of the test folders that are not read: test_nir/cam3, test_vis/cam1/1 beside test_vis/cam1/0001.
void add_others(const std::string& root, const std::vector<int>& identities, LeftOut& others) {
  std::set<std::string> listed;
  for (const int identity : identities) listed.insert(fmt::format("{:04d}", identity));
  for (const bool infrared : {false, true}) {
    const std::string part = infrared ? "test_nir" : "test_vis";
    std::set<std::string> cameras;
    for (const int camera : llcm_cameras(infrared)) cameras.insert(fmt::format("cam{}", camera));
    add_unknown(root, part, cameras, others);
    for (const std::string& camera : cameras) add_unknown(root, part + "/" + camera, listed, others);
  }
}

std::vector<ImageRecord> read_test(const std::string& root, const std::vector<int>& identities, LeftOut& left_out) {
  std::vector<ImageRecord> images;
  for (const int identity : identities) {
    const size_t before = images.size();
    for (const bool infrared : {false, true})
      for (const int camera : llcm_cameras(infrared)) {
        const std::string folder = llcm_test_folder(infrared, camera, identity);
        for (const std::string& name : picture_names(root, folder, left_out))
          images.push_back({folder + "/" + name, identity, camera, infrared});
      }
    if (images.size() == before)
      fail("{}: identity {} is listed, but there is no picture in test_vis/cam1..cam9/{:04d} or test_nir/",
           in(root, "idx/test_id.txt"), identity, identity);
  }
  return images;
}

}  // namespace

const std::vector<int>& llcm_cameras(bool infrared) {
  static const std::vector<int> visible = {1, 2, 3, 4, 5, 6, 7, 8, 9}, near_infrared = {1, 2, 4, 5, 6, 7, 8, 9};
  return infrared ? near_infrared : visible;
}

std::string llcm_test_folder(bool infrared, int camera, int identity) {
  return fmt::format("test_{}/cam{}/{:04d}", infrared ? "nir" : "vis", camera, identity);
}

std::vector<int> read_llcm_test_ids(const std::string& root) {
  require_folder(root, "the data set");
  return read_id_list(in(root, "idx/test_id.txt"));
}

Dataset read_llcm(const std::string& root, Split split) {
  require_folder(root, "the data set");
  Dataset data;
  data.root = root;
  if (split != Split::Test) {
    data.train = read_training(root);
    number_classes(data);
    require_training_pairs(root, data.train);
  }
  // Training labels number the classes and are not identities of the test, so both may have the same numbers.
  if (split != Split::Train) {
    const std::vector<int> identities = read_llcm_test_ids(root);
    LeftOut left_out, others("entry of the test that is no folder of a camera and a listed identity",
                             "entries of the test that are no folders of a camera and a listed identity");
    data.test = read_test(root, identities, left_out);
    left_out.tell(data.notes);
    add_others(root, identities, others);
    others.tell(data.notes);
    require_test_pairs(root, data.test);
  }
  sort_images(data);
  return data;
}

}  // namespace mpanet
