#include "mpanet/training/shipped_configs.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/base/text.h"

namespace mpanet {
namespace {

namespace fs = std::filesystem;

fs::path shipped_folder() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path().parent_path() / "share/mpanet/configs";
}

}  // namespace

std::string find_config(const std::string& name) {
  std::error_code error;
  const bool is_file = fs::exists(name, error) && !fs::is_directory(name, error);
  if (is_file || name.find('/') != name.npos) return name;
  const fs::path folder = shipped_folder();
  std::vector<std::string> shipped;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().extension() == ".json") shipped.push_back(entry.path().stem().string());
  std::sort(shipped.begin(), shipped.end());
  for (const std::string& known : shipped)
    if (name == known || name == known + ".json") return (folder / (known + ".json")).string();
  if (shipped.empty()) fail("--config {}: no such file, and no configurations are in {}", quote(name), folder.string());
  fail("--config {}: no such file; the configurations that come with the program are {}", quote(name), join(shipped));
}

}  // namespace mpanet
