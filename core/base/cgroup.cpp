#include "core/base/cgroup.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

namespace mpanet {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> words;
  std::istringstream in(text);
  for (std::string word; std::getline(in, word, separator);) words.push_back(word);
  return words;
}

bool holds(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// The kernel writes spaces and other special characters in paths as octal escapes: \040.
std::string unescape(const std::string& text) {
  const auto octal = [&](size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '7'; };
  std::string plain;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '\\' && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + text[i + 3] - '0');
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// A mounted hierarchy of control groups with the cpu controller. The folder `folder` shows the group `top`.
struct Mount {
  int version;
  std::string top, folder;
};

// A line of mountinfo: id parent device top folder options [more] - type source options_of_the_type.
std::vector<Mount> find_mounts(const std::string& root) {
  std::vector<Mount> mounts;
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> words = split(line, ' ');
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 6 || words.end() - dash < 4) continue;
    const bool v2 = dash[1] == "cgroup2", v1 = dash[1] == "cgroup" && holds(split(dash[3], ','), "cpu");
    if (v1 || v2) mounts.push_back({v1 ? 1 : 2, unescape(words[3]), unescape(words[4])});
  }
  return mounts;
}

// The group of this process in the hierarchy of that version. A line of the file is number:controllers:path. Version 2
// has the number 0 and no controllers.
std::string find_group(const std::string& root, int version) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (version == 2 ? controllers.empty() : holds(split(controllers, ','), "cpu")) return line.substr(second + 1);
  }
  return "";
}

// Processors that one group allows; 0: no limit, or no readable file.
double quota_of(const std::string& folder, int version) {
  std::string quota, period;
  if (version == 2) {
    std::ifstream(folder + "/cpu.max") >> quota >> period;
  } else {
    std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  }
  const double microseconds = std::atof(quota.c_str()), of = std::atof(period.c_str());  // "max" and "-1": no limit
  return microseconds > 0 && of > 0 ? microseconds / of : 0;
}

}  // namespace

double cgroup_quota(const std::string& root) {
  double smallest = 0;
  for (const Mount& mount : find_mounts(root)) {
    // The group's path relative to the mounted group. In a container both paths may be those of the host; the mounted
    // group is then this process's group.
    const fs::path group = find_group(root, mount.version);
    fs::path below = group.lexically_relative(mount.top);
    if (group.empty() || below.empty() || *below.begin() == "..") below = ".";
    for (;; below = below.parent_path()) {
      const double quota = quota_of(root + mount.folder + "/" + below.string(), mount.version);
      if (quota > 0 && (smallest == 0 || quota < smallest)) smallest = quota;
      if (below.empty() || below == ".") break;
    }
  }
  return smallest;
}

}  // namespace mpanet
