// Programs that stand in for others: shell scripts in a folder of one test.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/temporary_folder.h"

class StandIns {
 public:
  // `name` may be in a folder: tools/nvcc.
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
