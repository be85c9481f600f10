#include "data/sets/import_pattern.h"

#include <algorithm>

#include "core/base/error.h"

namespace mpanet {
namespace {

struct Placeholder {
  const char* name;
  std::string PathParts::*value;
};
constexpr Placeholder kPlaceholders[] = {{"identity", &PathParts::identity},
                                         {"camera", &PathParts::camera},
                                         {"modality", &PathParts::modality},
                                         {"split", &PathParts::split}};

std::string PathParts::*find_placeholder(const std::string& name) {
  for (const Placeholder& known : kPlaceholders)
    if (name == known.name) return known.value;
  fail("--pattern: expected {{identity}}, {{camera}}, {{modality}} or {{split}}, got {}", quote("{" + name + "}"));
}

}  // namespace

PathPattern::PathPattern(const std::string& pattern) {
  std::string text = "^";
  std::string open;  // the placeholder that ends here or before wildcards
  for (size_t i = 0; i < pattern.size(); i++) {
    const char c = pattern[i];
    if (c == '{') {
      const size_t end = pattern.find('}', i);
      if (end == pattern.npos) fail("--pattern: a brace is not closed in {}", quote(pattern));
      names_.push_back(pattern.substr(i + 1, end - i - 1));
      find_placeholder(names_.back());
      if (!open.empty())
        fail("--pattern: expected text between {} and {}, which would be divided by guess, got {}",
             quote("{" + open + "}"), quote("{" + names_.back() + "}"), quote(pattern));
      open = names_.back();
      // A camera is a number, so in c{camera}* it ends with the digits.
      text += names_.back() == "camera" ? "([0-9]+)" : "([^/]+)";
      i = end;
    } else if (c == '*') {
      text += "[^/]*";
    } else if (c == '?') {
      text += "[^/]";
    } else {
      open.clear();
      if (c == '/') depth_++;
      if (std::string_view("\\^$.[]|()+").find(c) != std::string_view::npos) text += '\\';
      text += c;
    }
  }
  if (pattern.starts_with('/')) fail("--pattern: expected a path below the folder, got {}", quote(pattern));
  if (!has("identity")) fail("--pattern: expected one with {{identity}}, got {}", quote(pattern));
  if (regcomp(&expression_, (text + "$").c_str(), REG_EXTENDED | REG_ICASE) != 0)
    fail("--pattern: cannot be understood: {}", quote(pattern));
}

bool PathPattern::has(const std::string& placeholder) const {
  return std::find(names_.begin(), names_.end(), placeholder) != names_.end();
}

std::optional<PathParts> PathPattern::match(const std::string& path) const {
  std::vector<regmatch_t> groups(names_.size() + 1);
  if (regexec(&expression_, path.c_str(), groups.size(), groups.data(), 0) != 0) return std::nullopt;
  PathParts parts;
  for (size_t i = 0; i < names_.size(); i++) {
    const regmatch_t& group = groups[i + 1];
    std::string text = path.substr(static_cast<size_t>(group.rm_so), static_cast<size_t>(group.rm_eo - group.rm_so));
    std::string& value = parts.*find_placeholder(names_[i]);
    if (!value.empty() && value != text) return std::nullopt;
    value = std::move(text);
  }
  return parts;
}

}  // namespace mpanet
