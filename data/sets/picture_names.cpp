#include "data/sets/picture_names.h"

#include <algorithm>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/text.h"
#include "data/sets/text_list.h"

namespace mpanet {
namespace fs = std::filesystem;
namespace {

std::string below(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
}

// Calls act(entry, name) for each entry of root/folder; does nothing if there is no such folder.
template <class Act>
void for_each_entry(const std::string& root, const std::string& folder, Act act) {
  const std::string path = (fs::path(root) / folder).string();
  std::error_code error;
  fs::directory_iterator entries(path, error);
  if (error == std::errc::no_such_file_or_directory) return;
  for (; !error && entries != fs::directory_iterator(); entries.increment(error))
    act(*entries, entries->path().filename().string());
  if (error) fail("{}: cannot read the folder: {}", path, error.message());
}

}  // namespace

bool is_picture_name(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == name.npos || name.front() == '.') return false;
  const std::string ending = lower(std::string(name.substr(dot)));
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png" || ending == ".bmp";
}

std::string_view picture_stem(std::string_view name) { return name.substr(0, name.rfind('.')); }

void LeftOut::add(const std::string& path) {
  if (count_++ == 0 || path < first_) first_ = path;
}

void LeftOut::tell(std::vector<std::string>& notes) const {
  if (count_ == 0) return;
  notes.push_back(
      fmt::format("left aside {}, {}{}", counted(count_, one_, more_), count_ == 1 ? "" : "the first is ", first_));
}

std::vector<std::string> entry_names(const std::string& root, const std::string& folder) {
  std::vector<std::string> names;
  for_each_entry(root, folder, [&](const fs::directory_entry&, std::string name) { names.push_back(std::move(name)); });
  std::sort(names.begin(), names.end());
  return names;
}

void add_unknown(const std::string& root, const std::string& folder, const std::set<std::string>& known,
                 LeftOut& others) {
  for (const std::string& name : entry_names(root, folder))
    if (!known.count(name)) others.add(below(folder, name));
}

std::vector<std::string> picture_names(const std::string& root, const std::string& folder, LeftOut& left_out) {
  std::vector<std::string> names;
  for_each_entry(root, folder, [&](const fs::directory_entry& entry, std::string name) {
    std::error_code ignored;  // a link without a target counts as a (missing) picture
    if (is_picture_name(name) && !entry.is_directory(ignored))
      names.push_back(std::move(name));
    else
      left_out.add(below(folder, name));
  });
  std::sort(names.begin(), names.end());
  return names;
}

void require_folder(const std::string& path, const char* what) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) fail("{}: no such folder ({})", path, what);
  if (error) fail("{}: cannot read: {}", path, error.message());
  if (status.type() != fs::file_type::directory) fail("{}: expected a folder ({}), got a file", path, what);
}

}  // namespace mpanet
