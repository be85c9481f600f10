// Shell scripts that replace other programs, in a folder for one test.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/temporary_folder.h"

class StandIns {
 public:
  // `name` may have a folder: tools/nvcc.
  void write(const std::string& name, const std::string& script) const {
    const std::filesystem::path path = folder_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << "#!/bin/sh\n" << script << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }
  void remove(const std::string& name) const { std::filesystem::remove(folder_ / name); }
  const std::string& path() const { return folder_.path(); }
  std::string operator/(const std::string& name) const { return folder_ / name; }

 private:
  TemporaryFolder folder_;
};
