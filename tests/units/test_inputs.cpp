// Inputs that a program registered are replaced by no output.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/inputs.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;
namespace fs = std::filesystem;

TEST_CASE("files below a folder, by their names") {
  const TemporaryFolder folder;
  fs::create_directories(folder / "set/inner");
  for (const char* file : {"set/a.jpg", "set/inner/b.jpg", "set/inner/b.txt", "c.jpg", "outside"})
    write_file(folder / file, "before");
  fs::create_symlink("../outside", folder / "set/d.jpg");
  fs::create_symlink("set/inner/b.jpg", folder / "link");
  fs::create_directory_symlink("set/inner", folder / "elsewhere");
  register_inputs_below(
      folder / "set", [](std::string_view name) { return name.ends_with(".jpg"); }, "a picture");
  for (const char* file : {"set/a.jpg", "set/inner/b.jpg", "set/d.jpg", "link", "elsewhere/b.jpg", "set/../set/a.jpg"})
    CHECK(error_of([&] { OutputFile(folder / file); }) == folder / file + ": cannot write: it is a picture");
  for (const char* file : {"set/inner/b.txt", "set/new.jpg", "c.jpg", "outside"}) write_file(folder / file, "after");
  CHECK(read_text(folder / "set/a.jpg") == "before");
}

TEST_CASE("an output that leads to an input is refused, however it is named") {
  const TemporaryFolder folder;
  const std::string input = folder / "input", other = folder / "other";
  for (const std::string& path : {input, other}) write_file(path, "before");
  fs::create_symlink("input", folder / "link");
  fs::create_hard_link(input, folder / "hard");
  fs::create_directory_symlink(folder.path(), folder / "again");
  register_input(input, "--init");
  register_input("", "nothing");
  register_input(folder / "absent", "--absent");
  register_input("/dev/null", "a device");
  const std::vector<std::string> names = {input, folder / "./input", folder / "link", folder / "hard",
                                          folder / "again/input"};
  for (const std::string& path : names) {
    const std::string expected = path + ": cannot write: it is --init, which this program reads";
    CHECK(error_of([&] { OutputFile file(path); }) == expected);
    CHECK(error_of([&] { OutputFile file(path, OutputFile::Open::Later); }) == expected);
    CHECK(error_of([&] { AppendFile file(path); }) == expected);
    CHECK(error_of([&] { write_file(path, "after"); }) == expected);
    CHECK(error_of([&] { check_no_input(path, path); }) == expected);
  }
  CHECK(read_text(input) == "before");
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 5);  // no temporary file
  for (const std::string& path : {other, folder / "absent", std::string("/dev/null")}) {
    write_file(path, "after");
    check_no_input(folder / "new", folder / "new");
  }
  CHECK(read_text(other) == "after");
  // "absent" is an input now that it is there.
  CHECK(error_of([&] { write_file(folder / "absent", "again"); }) ==
        folder / "absent" + ": cannot write: it is --absent, which this program reads");
}
