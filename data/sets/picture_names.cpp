#include "data/sets/picture_names.h"

#include <algorithm>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/text.h"

namespace mpanet {
namespace fs = std::filesystem;
namespace {

bool equal_without_case(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
}

}  // namespace

bool is_picture_name(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == name.npos || name.front() == '.') return false;
  const std::string_view ending = name.substr(dot);
  for (const char* known : {".jpg", ".jpeg", ".png", ".bmp"})
    if (equal_without_case(ending, known)) return true;
  return false;
}

std::string_view picture_stem(std::string_view name) { return name.substr(0, name.rfind('.')); }

void LeftOut::add(const std::string& path) {
  if (count_++ == 0 || path < first_) first_ = path;
}

void LeftOut::tell(std::vector<std::string>& notes) const {
  if (count_ == 0) return;
  notes.push_back(fmt::format("left aside {} no {}, {}{}",
                              count_ == 1 ? "1 entry that is" : fmt::format("{} entries that are", count_),
                              count_ == 1 ? "picture" : "pictures", count_ == 1 ? "" : "the first is ", first_));
}

std::vector<std::string> picture_names(const std::string& root, const std::string& folder, LeftOut& left_out) {
  const std::string path = (fs::path(root) / folder).string();
  std::error_code error;
  fs::directory_iterator entries(path, error);
  if (error == std::errc::no_such_file_or_directory) return {};
  std::vector<std::string> names;
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    std::string name = entries->path().filename().string();
    std::error_code ignored;  // a link without a target counts as a (missing) picture
    if (is_picture_name(name) && !entries->is_directory(ignored))
      names.push_back(std::move(name));
    else
      left_out.add(folder.empty() ? name : folder + "/" + name);
  }
  if (error) fail("{}: cannot read the folder: {}", path, error.message());
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
