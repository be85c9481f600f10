// Folders and files that a program makes and takes away again if it fails. Only what it made itself goes: files that it
// named, folders that are empty then. What other programs put there meanwhile stays.
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

  // Makes the folder and the parents that it lacks; one that exists is well. UserError when it cannot be made.
  void make_folders(const std::string& path);
  // Makes one folder. False when something of that name exists already.
  bool make_folder(const std::string& path);
  // Notes a file that this program made or is about to make.
  void add_file(std::string path) { files_.push_back(std::move(path)); }

  void keep();    // everything stays
  void remove();  // what was not kept

 private:
  int make(const std::string& path);

  std::vector<std::string> folders_, files_;
};

// UserError unless the folder could be made, or takes files if it exists. Leaves nothing behind.
void check_folder_can_be_made(const std::string& path);

}  // namespace mpanet
