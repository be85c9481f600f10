// Folders that a program makes, and removes again when it fails.
#include <doctest/doctest.h>

#include <filesystem>
#include <set>

#include "core/base/file.h"
#include "core/base/folder.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;
namespace fs = std::filesystem;

TEST_CASE("folders that were made go again when they are empty, and nothing else") {
  const TemporaryFolder folder;
  {
    MadeFiles made;
    made.make_folders(folder / "a/b//c/");
    CHECK(fs::is_directory(folder / "a/b/c"));
  }
  CHECK(names_in(folder.path()).empty());
  {
    MadeFiles made;
    made.make_folders(folder / "a/b/c");
    made.add_file(folder / "a/b/c/mine");
    write_file(folder / "a/b/c/mine", "x");
    write_file(folder / "a/theirs", "x");
  }
  CHECK(names_in(folder / "a") == std::set<std::string>{"theirs"});
  {
    MadeFiles made;
    CHECK(!made.make_folder(folder / "a"));
    CHECK(!made.make_folder(folder / "a/theirs"));
    CHECK(made.make_folder(folder / "a/new"));
    made.keep();
  }
  CHECK(names_in(folder / "a") == std::set<std::string>{"new", "theirs"});
  MadeFiles made;
  CHECK(error_of([&] { made.make_folders(folder / "a/theirs/x"); }) ==
        folder / "a/theirs/x" + ": cannot make the folder: Not a directory");
  CHECK(error_of([&] { made.make_folders(folder / "a/theirs"); }) ==
        folder / "a/theirs" + ": cannot make the folder: Not a directory");
}

TEST_CASE("whether something is there, or nobody can know") {
  const TemporaryFolder folder;
  write_file(folder / "file", "x");
  REQUIRE(symlink("nothing", (folder / "lost").c_str()) == 0);
  REQUIRE(symlink("circle", (folder / "circle").c_str()) == 0);
  CHECK(path_exists(folder / "file"));
  CHECK(!folder_exists(folder / "file"));
  CHECK(folder_exists(folder.path()));
  for (const char* missing : {"a", "a/b", "file/b", "lost"}) {
    CHECK_MESSAGE(!path_exists(folder / missing), missing);
    CHECK_MESSAGE(!folder_exists(folder / missing), missing);
  }
  for (const std::string& unknown : {folder / "circle/a", folder / std::string(256, 'b')}) {
    CHECK(error_of([&] { path_exists(unknown); }).starts_with(unknown + ": cannot open: "));
    CHECK(error_of([&] { folder_exists(unknown); }).starts_with(unknown + ": cannot open: "));
  }
}

TEST_CASE("whether a folder could be made") {
  const TemporaryFolder folder;
  write_file(folder / "file", "x");
  CHECK(error_of([&] { check_folder_can_be_made(folder / "a/b/c"); }) == "");
  CHECK(error_of([&] { check_folder_can_be_made(folder.path()); }) == "");
  CHECK(error_of([&] { check_folder_can_be_made(folder / "file"); }).ends_with("Not a directory"));
  CHECK(error_of([&] { check_folder_can_be_made(folder / "file/x"); }).ends_with("Not a directory"));
  CHECK(error_of([&] {
          check_folder_can_be_made(folder / "a/" + std::string(256, 'b'));
        }).ends_with("cannot make the folder: File name too long"));
  CHECK(error_of([&] { check_folder_can_be_made("/proc/self/mpanet/x"); }) != "");
  CHECK(names_in(folder.path()) == std::set<std::string>{"file"});
}
