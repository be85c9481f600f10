// Folders and files that a program makes, and removes again if it fails. It removes only the files of add_file(), then
// folders that it made and that are empty. Files of other programs stay.
#pragma once
#include <string>
#include <vector>

namespace mpanet {

class MadeFiles {
 public:
  MadeFiles() = default;
  ~MadeFiles() { remove(); }
  MadeFiles(MadeFiles&&) noexcept = default;
  MadeFiles& operator=(MadeFiles&&) = delete;

  // Makes the folder and its missing parents. It may exist already. UserError when it cannot be made.
  void make_folders(const std::string& path);
  // Makes one folder. Returns false when the path exists already. UserError when it cannot be made.
  bool make_folder(const std::string& path);
  // Notes a file that this program made or is about to make.
  void add_file(std::string path) { files_.push_back(std::move(path)); }

  void keep();    // the destructor removes nothing
  void remove();  // removes all files and folders unless keep() was called

 private:
  int make(const std::string& path);

  std::vector<std::string> folders_, files_;
};

// UserError unless the folder can be made, or, if it exists, a file can be made in it. Creates nothing that stays.
void check_folder_can_be_made(const std::string& path);

// Whether the path, or a link there, leads to something, or to a folder. UserError when that cannot be known, such as
// below a folder that this user may not enter.
bool path_exists(const std::string& path);
bool folder_exists(const std::string& path);

// Whether the entries of a folder can be listed and opened. UserError, which says why, when they cannot.
bool folder_can_be_read(const std::string& path);
void check_folder_can_be_read(const std::string& path);

}  // namespace mpanet
