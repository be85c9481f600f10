#include "mpanet/config/shipped_configs.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/base/text.h"

namespace mpanet {
namespace {

namespace fs = std::filesystem;
constexpr const char* kSuffix = ".json";

fs::path shipped_folder() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path().parent_path() / "share/mpanet/configs";
}

// Names without a folder first ("demo", "sysu"), then those in folders ("ablation/base").
std::vector<std::string> shipped_names(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(folder, error))
    if (entry.path().extension() == kSuffix)
      names.push_back(entry.path().lexically_relative(folder).replace_extension().string());
  const auto key = [](const std::string& name) { return std::pair(name.find('/') != name.npos, name); };
  std::sort(names.begin(), names.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
  return names;
}

}  // namespace

std::string find_config(const std::string& name) {
  std::error_code error;
  if (fs::exists(name, error) && !fs::is_directory(name, error)) return name;
  const fs::path folder = shipped_folder();
  const std::vector<std::string> shipped = shipped_names(folder);
  for (const std::string& known : shipped)
    if (name == known || name == known + kSuffix) return (folder / (known + kSuffix)).string();
  // The name is a path, unless it begins with the folder of a shipped configuration.
  const size_t slash = name.find('/');
  const auto in_same_folder = [&](const std::string& known) { return known.starts_with(name.substr(0, slash + 1)); };
  if (slash != name.npos && std::none_of(shipped.begin(), shipped.end(), in_same_folder)) return name;
  if (shipped.empty()) fail("--config {}: no such file, and no configurations are in {}", quote(name), folder.string());
  fail("--config {}: no such file; the configurations that come with the program are {}", quote(name), join(shipped));
}

}  // namespace mpanet
