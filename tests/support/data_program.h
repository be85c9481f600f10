// Helpers for runs of mpanet-data.
#pragma once
#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "data/pictures/image.h"
#include "data/sets/matfile.h"
#include "tests/support/shell.h"
#include "tests/support/temporary_folder.h"

// Tests that need these libraries are skipped in builds without them.
inline const bool kLacking = !mpanet::trial_files_supported() || !mpanet::jpeg_supported() || !mpanet::png_supported();

inline Result run(const std::string& arguments) { return run_program("mpanet-data", arguments); }

inline void check_refused(const std::string& arguments, const std::string& words) {
  CHECK(not_refused("mpanet-data", arguments, words) == "");
}

inline size_t entries(const std::string& folder) {
  using Iterator = std::filesystem::directory_iterator;
  return static_cast<size_t>(std::distance(Iterator(folder), Iterator()));
}

class DataSet : public TemporaryFolder {
 public:
  DataSet() {
    const Result made = run("synth --out '" + root() + "' --ids 3 --test-ids 2 --images 3 --seed 2 --sheet '" +
                            (*this / "sheet.png") + "'");
    REQUIRE(made.code == 0);
    REQUIRE(has(made.out, "3 identities for training, 2 for the test, seed 2"));
  }
  std::string root() const { return *this / "data"; }
};
