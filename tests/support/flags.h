// Named switches of a test, in every combination.
#pragma once
#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace mpanet {

class Flags {
 public:
  Flags(std::vector<std::string> names, unsigned bits) : names_(std::move(names)), bits_(bits) {}
  bool operator[](std::string_view name) const {
    const auto at = std::find(names_.begin(), names_.end(), name);
    if (at == names_.end()) throw std::logic_error("no flag is called " + std::string(name));
    return (bits_ >> (at - names_.begin()) & 1) != 0;
  }
  // "relu, add"; "none"
  std::string text() const {
    std::string text;
    for (size_t i = 0; i < names_.size(); i++)
      if ((bits_ >> i & 1) != 0) text += (text.empty() ? "" : ", ") + names_[i];
    return text.empty() ? "none" : text;
  }

 private:
  std::vector<std::string> names_;
  unsigned bits_;
};

inline std::vector<Flags> combinations(const std::vector<std::string>& names) {
  std::vector<Flags> all;
  for (unsigned bits = 0; bits < 1u << names.size(); bits++) all.emplace_back(names, bits);
  return all;
}

}  // namespace mpanet
