#include "core/base/inputs.h"

#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "core/base/error.h"

namespace mpanet {

namespace fs = std::filesystem;
namespace {

struct Folder {
  std::string path;
  bool (*counts)(std::string_view name);
  std::string name;
};

struct Inputs {
  std::mutex mutex;
  std::map<std::string, std::set<std::string>> paths;  // by name
  std::vector<Folder> folders;
};

bool is_same(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

// Where the entry lies, with the links of its folder followed and its own link kept.
fs::path place_of(const std::string& path) {
  std::error_code error;
  const fs::path at = fs::absolute(path, error), folder = fs::canonical(at.parent_path(), error);
  return folder / at.filename();
}

// `file` has no links of folders.
bool is_input_of(const Folder& folder, const fs::path& file) {
  struct stat wanted {
  }, parent{};
  if (!folder.counts(file.filename().string()) || stat(folder.path.c_str(), &wanted) != 0) return false;
  for (fs::path at = file.parent_path(); !at.empty(); at = at.parent_path()) {
    if (stat(at.c_str(), &parent) == 0 && is_same(parent, wanted)) return true;
    if (at == at.parent_path()) break;
  }
  return false;
}

Inputs& inputs() {
  static Inputs all;
  return all;
}

}  // namespace

void register_input(const std::string& path, const std::string& name) {
  if (path.empty()) return;
  const std::lock_guard lock(inputs().mutex);
  inputs().paths[name].insert(path);
}

void register_inputs_below(const std::string& folder, bool (*counts)(std::string_view name), const std::string& name) {
  const std::lock_guard lock(inputs().mutex);
  inputs().folders.push_back({folder, counts, name});
}

void check_no_input(const std::string& path, const std::string& target) {
  struct stat output {
  }, input{};
  if (stat(target.c_str(), &output) != 0 || !S_ISREG(output.st_mode)) return;
  const std::lock_guard lock(inputs().mutex);
  for (const auto& [name, paths] : inputs().paths)
    for (const std::string& read : paths)
      if (stat(read.c_str(), &input) == 0 && is_same(input, output))
        fail("{}: cannot write: it is {}, which this program reads", path, name);
  if (inputs().folders.empty()) return;
  // A link in the folder that leads out of it is one of its files too, and so is what it leads to from elsewhere.
  std::error_code error;
  for (const fs::path& file : {place_of(path), fs::canonical(target, error)})
    for (const Folder& folder : inputs().folders)
      if (is_input_of(folder, file)) fail("{}: cannot write: it is {}", path, folder.name);
}

}  // namespace mpanet
