#include "data/sets/sysu.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/quote.h"

namespace mpanet {
namespace fs = std::filesystem;
namespace {

constexpr int kMaxIdentity = 9999;  // folder names have four digits

std::string join(const std::string& root, const std::string& relative) { return (fs::path(root) / relative).string(); }

void require_folder(const std::string& path, const char* what) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) fail("{}: no such folder ({})", path, what);
  if (error) fail("{}: cannot read: {}", path, error.message());
  if (status.type() != fs::file_type::directory) fail("{}: expected a folder ({}), got a file", path, what);
}

// Appends the images of one identity by one camera, sorted by name; none when there is no such folder.
void scan(const std::string& root, int camera, int identity, int label, std::vector<ImageRecord>& out) {
  const std::string folder = fmt::format("cam{}/{:04d}", camera, identity);
  std::error_code error;
  fs::directory_iterator files(join(root, folder), error);
  if (error == std::errc::no_such_file_or_directory) return;
  if (error) fail("{}: cannot read the folder: {}", join(root, folder), error.message());
  std::vector<std::string> names;
  for (const auto& file : files)
    if (std::string name = file.path().filename().string(); sysu_image_name(name)) names.push_back(std::move(name));
  std::sort(names.begin(), names.end());
  for (const auto& name : names)
    out.push_back({fmt::format("{}/{}", folder, name), identity, camera, sysu_infrared(camera), label});
}

std::vector<ImageRecord> scan_identities(const std::string& root, const std::vector<int>& ids, bool labelled,
                                         const std::string& lists) {
  std::vector<ImageRecord> images;
  for (size_t i = 0; i < ids.size(); i++) {
    const size_t before = images.size();
    for (int camera = 1; camera <= kSysuCameras; camera++)
      scan(root, camera, ids[i], labelled ? static_cast<int>(i) : -1, images);
    if (images.size() == before)
      fail("{}: identity {} is listed, but there is no image cam1..cam6/{:04d}/*.jpg", lists, ids[i], ids[i]);
  }
  return images;
}

void require_modalities(const std::string& root, const std::vector<ImageRecord>& images, const char* split) {
  const auto infrared = std::count_if(images.begin(), images.end(), [](const auto& i) { return i.infrared; });
  if (infrared == 0) fail("{}: no infrared {} image (cameras 3 and 6)", root, split);
  if (infrared == static_cast<ptrdiff_t>(images.size()))
    fail("{}: no visible {} image (cameras 1, 2, 4 and 5)", root, split);
}

// An identity in two lists would put a training person into the test set, or would be two classes.
void require_disjoint(const std::string& first_path, const std::vector<int>& first, const std::string& second_path,
                      const std::vector<int>& second) {
  const std::set<int> known(first.begin(), first.end());
  for (int id : second)
    if (known.count(id)) fail("{}: identity {} stands in {} too", second_path, id, first_path);
}

int parse_identity(const std::string& path, std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  int id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || id < 1 || id > kMaxIdentity) {
    fail("{}: expected one line of comma-separated identities 1..{}, got {}", path, kMaxIdentity, quote(text));
  }
  return id;
}

}  // namespace

bool sysu_image_name(const std::string& name) {
  return !name.starts_with('.') && (name.ends_with(".jpg") || name.ends_with(".JPG"));
}

std::string sysu_path(int camera, int identity, int number) {
  return fmt::format("cam{}/{:04d}/{:04d}.jpg", camera, identity, number);
}

std::vector<int> read_id_list(const std::string& path) {
  const std::string text = read_text(path);
  std::vector<int> ids;
  std::set<int> seen;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    const std::string_view field(text.data() + begin, comma - begin);
    begin = comma + 1;
    // A comma at the end of the line is allowed.
    if (comma == text.size() && !ids.empty() && field.find_first_not_of(" \t\r\n") == std::string_view::npos) break;
    ids.push_back(parse_identity(path, field));
    if (!seen.insert(ids.back()).second) fail("{}: identity {} stands twice", path, ids.back());
  }
  return ids;
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
  const std::string train = join(root, "exp/train_id.txt"), val = join(root, "exp/val_id.txt"),
                    test = join(root, "exp/test_id.txt");
  std::vector<int> train_ids;
  if (split != Split::Test) {
    train_ids = read_id_list(train);
    const std::vector<int> val_ids = read_id_list(val);
    require_disjoint(train, train_ids, val, val_ids);
    train_ids.insert(train_ids.end(), val_ids.begin(), val_ids.end());
    data.classes = static_cast<int>(train_ids.size());
    data.train = scan_identities(root, train_ids, true, fmt::format("{} and val_id.txt", train));
    require_modalities(root, data.train, "training");
  }
  if (split != Split::Train) {
    const std::vector<int> test_ids = read_id_list(test);
    if (split == Split::Both) require_disjoint(fmt::format("{} or val_id.txt", train), train_ids, test, test_ids);
    data.test = scan_identities(root, test_ids, false, test);
    require_modalities(root, data.test, "test");
    std::sort(data.test.begin(), data.test.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  }
  return data;
}

DatasetKind parse_dataset_kind(std::string_view name) {
  if (name == "sysu") return DatasetKind::Sysu;
  fail("data set kind: expected sysu, got {}", quote(name));
}

Dataset read_dataset(DatasetKind kind, const std::string& root, Split split) {
  switch (kind) {
    case DatasetKind::Sysu:
      return read_sysu(root, split);
  }
  MPANET_CHECK(false, "unknown data set kind");
  return {};
}

}  // namespace mpanet
