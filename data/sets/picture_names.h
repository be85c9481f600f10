// Which files of a folder are pictures of a data set: one rule for training, evaluation and verification. A picture is
// a file (or a link to one) that is not hidden and whose name ends in .jpg, .jpeg, .png or .bmp, in capitals or not.
// How it is decoded follows from its content (data/pictures/image.h).
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mpanet {

bool is_picture_name(std::string_view name);

// The name without its ending: two of them with one stem are the same picture to a trial file.
std::string_view picture_stem(std::string_view name);

// Files and folders that a reader left aside.
class LeftOut {
 public:
  void add(const std::string& path);
  size_t count() const { return count_; }
  // "left aside 3 files that are no pictures, the first is cam1/0001/Thumbs.db"; nothing for none.
  void tell(std::vector<std::string>& notes) const;

 private:
  size_t count_ = 0;
  std::string first_;  // in the order of paths
};

// The names of the pictures in root/folder, ascending; none where there is no such folder. Others go to `left_out`.
// UserError when the folder cannot be read.
std::vector<std::string> picture_names(const std::string& root, const std::string& folder, LeftOut& left_out);

// UserError unless it is a folder: "no such folder (the data set)".
void require_folder(const std::string& path, const char* what);

}  // namespace mpanet
