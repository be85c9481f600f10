// The pattern of a path with placeholders, for import.h.
#pragma once
#include <regex.h>

#include <optional>
#include <string>
#include <vector>

namespace mpanet {

// The values of a path's placeholders; empty for those that the pattern does not have.
struct PathParts {
  std::string identity, camera, modality, split;
};

class PathPattern {
 public:
  // UserError for an unknown placeholder, a missing {identity}, a brace that is not closed, an absolute pattern,
  // two placeholders with nothing but wildcards between them.
  explicit PathPattern(const std::string& pattern);
  ~PathPattern() { regfree(&expression_); }
  PathPattern(const PathPattern&) = delete;
  PathPattern& operator=(const PathPattern&) = delete;

  // nullopt if the path does not match.
  std::optional<PathParts> match(const std::string& path) const;
  bool has(const std::string& placeholder) const;
  // Number of folders in every matching path.
  int depth() const { return depth_; }

 private:
  std::vector<std::string> names_;  // of the groups, in their order
  regex_t expression_;              // POSIX extended: linear in the text's length, unlike std::regex
  int depth_ = 0;
};

}  // namespace mpanet
