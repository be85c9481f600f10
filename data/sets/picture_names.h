// The rule for the names of pictures, for training, evaluation and verification. A picture is a file (or a link to one)
// that is not hidden and whose name ends in .jpg, .jpeg, .png or .bmp, in upper or lower case. Its content determines
// the decoder (data/pictures/image.h).
#pragma once
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mpanet {

bool is_picture_name(std::string_view name);

// The name without its extension. A trial file treats two names with one stem as the same picture.
std::string_view picture_stem(std::string_view name);

// Counts files and folders that a reader ignores.
class LeftOut {
 public:
  // What they are, for tell().
  explicit LeftOut(std::string one = "entry that is no picture", std::string more = "entries that are no pictures")
      : one_(std::move(one)), more_(std::move(more)) {}
  void add(const std::string& path);
  size_t count() const { return count_; }
  // Adds "left aside 3 entries that are no pictures, the first is cam1/0001/Thumbs.db" to `notes` if there are any.
  void tell(std::vector<std::string>& notes) const;

 private:
  std::string one_, more_;
  size_t count_ = 0;
  std::string first_;  // the first path in ascending order
};

// The names of all files and folders in root/folder, ascending; none if there is no such folder. UserError when it
// cannot be read.
std::vector<std::string> entry_names(const std::string& root, const std::string& folder);

// Adds the entries of root/folder whose names are not in `known` to `others`.
void add_unknown(const std::string& root, const std::string& folder, const std::set<std::string>& known,
                 LeftOut& others);

// The names of the pictures in root/folder, ascending; none if there is no such folder. Other files are added to
// `left_out`. UserError when the folder cannot be read.
std::vector<std::string> picture_names(const std::string& root, const std::string& folder, LeftOut& left_out);

// UserError unless it is a folder: "no such folder (the data set)".
void require_folder(const std::string& path, const char* what);

}  // namespace mpanet
