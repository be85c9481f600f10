// Thumbnails, each once in the page however often it is shown.
#pragma once
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "data/pictures/image.h"

namespace mpanet {

// A picture as a data URI: JPEG, or PNG in a build without JPEG. UserError in a build without both.
std::string picture_uri(const Image& image);
// Whether this build can write pictures into a page.
bool pictures_supported();

class Thumbnails {
 public:
  // Notes a picture that the page shows, by its path on disk, and returns its number.
  size_t add(const std::string& path);
  size_t count() const { return paths_.size(); }
  // Decodes and resizes all, on `threads` threads. UserError for a picture that cannot be read.
  void load(int threads);
  // The definitions, which the page has once.
  std::string definitions() const;
  // A thumbnail. `alternative` is its text for those who do not see it.
  static std::string shown(size_t number, std::string_view alternative);

 private:
  std::vector<std::string> paths_, uris_;
  std::map<std::string, size_t> numbers_;
};

}  // namespace mpanet
