// The pictures below a folder, and the cameras in their paths.
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "core/base/error.h"
#include "core/base/folder.h"
#include "core/base/number.h"
#include "data/sets/picture_names.h"
#include "data/sets/text_list.h"
#include "mpanet/search/search_index.h"

namespace mpanet {
namespace fs = std::filesystem;
namespace {

// The whole number at the text's beginning; 0 if there is none.
int leading_number(std::string_view text) {
  size_t digits = 0;
  while (digits < text.size() && std::isdigit(static_cast<unsigned char>(text[digits]))) digits++;
  return parse_whole<int>(text.substr(0, digits)).value_or(0);
}

// Of a folder: "cam3", "camera3", "camera_3".
int camera_of_folder(std::string name) {
  name = lower(std::move(name));
  std::string_view rest = name;
  for (const std::string_view word : {"camera", "cam"})
    if (rest.starts_with(word)) {
      rest.remove_prefix(word.size());
      if (rest.starts_with('_') || rest.starts_with('-')) rest.remove_prefix(1);
      const bool digits = rest.find_first_not_of("0123456789") == rest.npos;
      return digits ? leading_number(rest) : 0;
    }
  return 0;
}

// Of a file: "0002_c3s1_000451_03.jpg".
int camera_of_name(std::string name) {
  name = lower(std::move(name));
  for (size_t at = name.find("_c"); at != name.npos; at = name.find("_c", at + 1))
    if (const int number = leading_number(std::string_view(name).substr(at + 2)); number > 0) return number;
  return 0;
}

IndexedPicture picture_at(const std::string& folder, const std::string& path) {
  struct stat status {};
  const std::string file = folder + "/" + path;
  if (stat(file.c_str(), &status) != 0) fail("{}: cannot read: {}", file, std::strerror(errno));
  IndexedPicture picture;
  picture.path = path;
  picture.camera = camera_of(path);
  picture.time = status.st_mtim.tv_sec;
  picture.size = status.st_size;
  picture.change = status.st_mtim.tv_sec * int64_t{1000000000} + status.st_mtim.tv_nsec;
  return picture;
}

}  // namespace

int camera_of(const std::string& path) {
  const fs::path parts(path);
  int camera = 0;
  for (const fs::path& folder : parts.parent_path())
    if (const int number = camera_of_folder(folder.string()); number > 0) camera = number;
  return camera > 0 ? camera : camera_of_name(parts.filename().string());
}

std::vector<IndexedPicture> find_pictures(const std::string& folder) {
  check_folder_can_be_read(folder);
  std::vector<std::string> paths;
  std::error_code error;
  fs::recursive_directory_iterator entries(folder, error);
  for (; !error && entries != fs::recursive_directory_iterator(); entries.increment(error)) {
    const std::string name = entries->path().filename().string();
    std::error_code unknown;
    if (entries->is_directory(unknown)) {
      if (name.starts_with('.'))
        entries.disable_recursion_pending();
      else if (!entries->is_symlink(unknown))  // those are left out
        check_folder_can_be_read(entries->path().string());
    } else if (is_picture_name(name)) {
      paths.push_back(fs::path(entries->path()).lexically_relative(folder).generic_string());
    }
  }
  if (error) fail("{}: cannot read the folder: {}", folder, error.message());
  std::sort(paths.begin(), paths.end());
  std::vector<IndexedPicture> pictures;
  for (const std::string& path : paths) pictures.push_back(picture_at(folder, path));
  return pictures;
}

}  // namespace mpanet
