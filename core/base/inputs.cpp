#include "core/base/inputs.h"

#include <sys/stat.h>

#include <map>
#include <mutex>
#include <set>

#include "core/base/error.h"

namespace mpanet {
namespace {

struct Inputs {
  std::mutex mutex;
  std::map<std::string, std::set<std::string>> paths;  // by name
};

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

void check_no_input(const std::string& path, const std::string& target) {
  struct stat output {
  }, input{};
  if (stat(target.c_str(), &output) != 0 || !S_ISREG(output.st_mode)) return;
  const std::lock_guard lock(inputs().mutex);
  for (const auto& [name, paths] : inputs().paths)
    for (const std::string& read : paths)
      if (stat(read.c_str(), &input) == 0 && input.st_dev == output.st_dev && input.st_ino == output.st_ino)
        fail("{}: cannot write: it is {}, which this program reads", path, name);
}

}  // namespace mpanet
