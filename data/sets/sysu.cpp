#include "data/sets/sysu.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/base/error.h"
#include "core/base/number.h"
#include "data/sets/picture_names.h"
#include "data/sets/reader_checks.h"
#include "data/sets/text_list.h"

namespace mpanet {
namespace fs = std::filesystem;
namespace {

std::string join(const std::string& root, const std::string& relative) { return (fs::path(root) / relative).string(); }

std::vector<ImageRecord> scan_identities(const std::string& root, const std::vector<int>& ids, bool labelled,
                                         const std::string& lists, LeftOut& left_out) {
  std::vector<ImageRecord> images;
  for (size_t i = 0; i < ids.size(); i++) {
    const size_t before = images.size();
    for (int camera = 1; camera <= kSysuCameras; camera++) {
      const std::string folder = fmt::format("cam{}/{:04d}", camera, ids[i]);
      for (const std::string& name : picture_names(root, folder, left_out))
        images.push_back(
            {folder + "/" + name, ids[i], camera, sysu_infrared(camera), labelled ? static_cast<int>(i) : -1});
    }
    if (images.size() == before)
      fail("{}: identity {} is listed, but there is no picture in cam1..cam6/{:04d}", lists, ids[i], ids[i]);
  }
  return images;
}

// An identity in two lists would put a training person into the test set, or would be two classes.
void require_disjoint_lists(const std::string& first_path, const std::vector<int>& first,
                            const std::string& second_path, const std::vector<int>& second) {
  const std::set<int> known(first.begin(), first.end());
  for (int id : second)
    if (known.count(id)) fail("{}: identity {} stands in {} too", second_path, id, first_path);
}

// Of a data set with all three lists. Part of the lists cannot show that an identity stands in none.
void tell_unlisted(const std::string& root, std::vector<std::string>& notes) {
  std::set<int> listed;
  for (const char* name : {"train", "val", "test"}) {
    const std::string path = join(root, fmt::format("exp/{}_id.txt", name));
    std::error_code error;
    if (!fs::exists(path, error)) return;
    for (int id : read_id_list(path)) listed.insert(id);
  }
  LeftOut unlisted = unlisted_identities();
  add_unlisted_identities(root, listed, unlisted);
  unlisted.tell(notes);
}

}  // namespace

bool is_sysu_identity(const std::string& name) {
  return name.size() == 4 && name != "0000" &&
         std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

void add_sysu_others(const std::string& root, LeftOut& others) {
  std::set<std::string> cameras;
  for (int camera = 1; camera <= kSysuCameras; camera++) cameras.insert(fmt::format("cam{}", camera));
  for (const std::string& name : entry_names(root, ""))
    if (name.starts_with("cam") && !cameras.count(name) && parse_whole<int>(std::string_view(name).substr(3)))
      others.add(name);
  for (const std::string& camera : cameras)
    for (const std::string& name : entry_names(root, camera))
      if (!is_sysu_identity(name)) others.add(camera + "/" + name);
}

void add_unlisted_identities(const std::string& root, const std::set<int>& listed, LeftOut& unlisted) {
  std::set<std::string> found;
  for (int camera = 1; camera <= kSysuCameras; camera++)
    for (const std::string& name : entry_names(root, fmt::format("cam{}", camera)))
      if (is_sysu_identity(name) && !listed.count(std::stoi(name))) found.insert(name);
  for (const std::string& name : found) unlisted.add(name);
}

std::string sysu_path(int camera, int identity, int number) {
  return fmt::format("cam{}/{:04d}/{:04d}.jpg", camera, identity, number);
}

std::vector<int> read_sysu_test_ids(const std::string& root) {
  require_folder(root, "the data set");
  return read_id_list(join(root, "exp/test_id.txt"));
}

std::vector<ImageRecord> sysu_test_images(const std::vector<int>& test_ids, const TrialFile& trials) {
  std::vector<ImageRecord> images;
  std::vector<int> ids = test_ids;
  std::sort(ids.begin(), ids.end());
  for (int id : ids) {
    int found = 0;
    for (int camera = 1; camera <= kSysuCameras; camera++) found += trials.count(camera, id);
    if (found == 0) fail("exp/test_id.txt: identity {} is listed, but the trial file has no image of it", id);
  }
  for (int camera = 1; camera <= kSysuCameras; camera++)
    for (int id : ids)
      for (int number = 1; number <= trials.count(camera, id); number++)
        images.push_back({sysu_path(camera, id, number), id, camera, sysu_infrared(camera), -1});
  return images;
}

Dataset read_sysu(const std::string& root, Split split) {
  require_folder(root, "the data set");
  Dataset data;
  data.root = root;
  LeftOut left_out;
  const std::string train = join(root, "exp/train_id.txt"), val = join(root, "exp/val_id.txt"),
                    test = join(root, "exp/test_id.txt");
  std::vector<int> train_ids;
  if (split != Split::Test) {
    train_ids = read_id_list(train);
    const std::vector<int> val_ids = read_id_list(val);
    require_disjoint_lists(train, train_ids, val, val_ids);
    train_ids.insert(train_ids.end(), val_ids.begin(), val_ids.end());
    data.classes = static_cast<int>(train_ids.size());
    data.train = scan_identities(root, train_ids, true, fmt::format("{} and val_id.txt", train), left_out);
    require_training_pairs(root, data.train);
  }
  if (split != Split::Train) {
    const std::vector<int> test_ids = read_id_list(test);
    if (split != Split::Test) require_disjoint_lists(fmt::format("{} or val_id.txt", train), train_ids, test, test_ids);
    data.test = scan_identities(root, test_ids, false, test, left_out);
    require_test_pairs(root, data.test);
  }
  left_out.tell(data.notes);
  LeftOut others = sysu_others();
  add_sysu_others(root, others);
  others.tell(data.notes);
  tell_unlisted(root, data.notes);
  sort_images(data);
  return data;
}

}  // namespace mpanet
