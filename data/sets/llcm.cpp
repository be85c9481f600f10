#include "data/sets/llcm.h"

#include <filesystem>
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

std::vector<ImageRecord> read_training(const std::string& root) {
  std::vector<ImageRecord> images;
  std::unordered_set<std::string> visible;
  for (const bool infrared : {false, true}) {
    const std::string list = in(root, infrared ? "idx/train_nir.txt" : "idx/train_vis.txt");
    for (const LabelledPath& entry : read_labelled_paths(list)) {
      if (!infrared)
        visible.insert(entry.path);
      else if (visible.count(entry.path))
        fail("{}: {} stands in idx/train_vis.txt too", at_line(list, entry.line), quote(entry.path));
      images.push_back({entry.path, entry.label, camera_in(entry.path), infrared});
    }
  }
  return images;
}

std::vector<ImageRecord> read_test(const std::string& root, LeftOut& left_out) {
  std::vector<ImageRecord> images;
  for (const int identity : read_llcm_test_ids(root)) {
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
    LeftOut left_out;
    data.test = read_test(root, left_out);
    left_out.tell(data.notes);
    require_test_pairs(root, data.test);
  }
  sort_images(data);
  return data;
}

}  // namespace mpanet
