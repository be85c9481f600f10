#include "mpanet/training/free_memory.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

namespace mpanet {
namespace {

std::optional<uint64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;  // no such file, or "max"
}

// The number in the line "name number" of a file; 0 when there is none.
uint64_t field_in(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word;
    uint64_t value = 0;
    if (words >> word >> value && word == name) return value;
  }
  return 0;
}

// Free bytes of one control group: its limit minus its usage. Page cache that the kernel can drop counts as free.
uint64_t left_in(const std::string& limit, const std::string& usage, const std::string& stat, const char* cache) {
  const auto most = number_in(limit), used = number_in(usage);
  if (!most || !used) return std::numeric_limits<uint64_t>::max();
  const uint64_t taken = *used - std::min(*used, field_in(stat, cache));
  return *most - std::min(*most, taken);
}

// The minimum of left_in() over this process's control group and its ancestors, for control groups version 1 and 2.
uint64_t left_in_groups(const std::string& root) {
  uint64_t left = std::numeric_limits<uint64_t>::max();
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && controllers != "memory") continue;
    for (std::string group = line.substr(second + 1);; group.erase(group.rfind('/'))) {
      if (group == "/") group.clear();
      const std::string v2 = root + "/sys/fs/cgroup" + group, v1 = root + "/sys/fs/cgroup/memory" + group;
      left = std::min(left, controllers.empty() ? left_in(v2 + "/memory.max", v2 + "/memory.current",
                                                          v2 + "/memory.stat", "inactive_file")
                                                : left_in(v1 + "/memory.limit_in_bytes", v1 + "/memory.usage_in_bytes",
                                                          v1 + "/memory.stat", "total_inactive_file"));
      if (group.rfind('/') == group.npos) break;
    }
  }
  return left;
}

}  // namespace

size_t free_memory(const std::string& root) {
  const uint64_t available = field_in(root + "/proc/meminfo", "MemAvailable:") * 1024;
  if (available == 0) return 0;
  return std::min(available, left_in_groups(root));
}

size_t resident_memory() { return field_in("/proc/self/status", "VmRSS:") * 1024; }

}  // namespace mpanet
