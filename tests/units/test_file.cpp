// Reading and writing files: all kinds of paths, and no loss of data after errors.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <set>
#include <thread>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/folder.h"
#include "core/base/path_end.h"
#include "core/base/temporary.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;
namespace fs = std::filesystem;

namespace {

// errno of the system calls below, which then do nothing; 0: they do their work.
int fsync_error = 0, fsync_errors = 0;
int rename_error_at = 0;  // the call of rename() that fails, counted from 1
uint64_t fixed_random = 0;

}  // namespace

extern "C" {

int fsync(int descriptor) {
  if (fsync_errors != 0) return fsync_errors--, errno = fsync_error, -1;
  return static_cast<int>(syscall(SYS_fsync, descriptor));
}

int rename(const char* from, const char* to) noexcept {
  if (rename_error_at != 0 && --rename_error_at == 0) return errno = EIO, -1;
  return static_cast<int>(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

int getentropy(void* to, size_t bytes) {
  if (fixed_random == 0) return syscall(SYS_getrandom, to, bytes, 0) == static_cast<long>(bytes) ? 0 : -1;
  std::memcpy(to, &fixed_random, std::min(bytes, sizeof fixed_random));
  return 0;
}
}

namespace {

mode_t mode_of(const std::string& path) {
  struct stat info {};
  REQUIRE(lstat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

}  // namespace

TEST_CASE("a write replaces the file at once, or not at all") {
  const TemporaryFolder folder;
  const std::string path = folder / "a";
  write_file(path, "before");
  {
    OutputFile file(path);
    file.write("half");
    CHECK(read_text(path) == "before");
    CHECK(names_in(folder.path()).size() == 2);
  }
  CHECK(read_text(path) == "before");
  CHECK(names_in(folder.path()) == std::set<std::string>{"a"});
  write_file(path, "after");
  CHECK(read_text(path) == "after");
  CHECK(names_in(folder.path()) == std::set<std::string>{"a"});
}

TEST_CASE("a file keeps its mode, a new one has what the umask says") {
  const TemporaryFolder folder;
  const std::string path = folder / "a";
  const mode_t before = umask(027);
  write_file(path, "1");
  CHECK(mode_of(path) == 0640);
  for (const mode_t mode : {0600, 0664, 0444, 0755}) {
    REQUIRE(chmod(path.c_str(), mode) == 0);
    write_file(path, "2");
    CHECK(mode_of(path) == mode);
  }
  umask(0);
  write_file(folder / "b", "1");
  CHECK(mode_of(folder / "b") == 0666);
  umask(before);
}

TEST_CASE("a link stays, what it leads to is replaced") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "inside");
  write_file(folder / "inside/target", "old");
  fs::create_symlink("inside/target", folder / "near");
  fs::create_symlink(folder / "near", folder / "far");
  fs::create_symlink("inside/new", folder / "dangling");
  fs::create_symlink("circle", folder / "circle");
  write_file(folder / "far", "new");
  CHECK(fs::read_symlink(folder / "far") == folder / "near");
  CHECK(read_text(folder / "inside/target") == "new");
  write_file(folder / "dangling", "made");
  CHECK(fs::is_symlink(folder / "dangling"));
  CHECK(read_text(folder / "inside/new") == "made");
  CHECK(names_in(folder / "inside") == std::set<std::string>{"target", "new"});
  CHECK(error_of([&] { write_file(folder / "circle", "x"); }) ==
        folder / "circle" + ": cannot write: Too many levels of symbolic links");
}

TEST_CASE("a link that somebody planted under the temporary name is not followed") {
  const TemporaryFolder folder;
  write_file(folder / "victim", "mine");
  fixed_random = 0x0123456789abcdef;
  const std::string name = temporary_name("a");
  CHECK(name.starts_with("a.tmp.0123456789abcdef"));
  for (const char* target : {"victim", "absent"}) {
    fs::remove(folder / name);
    fs::create_symlink(target, folder / name);
    CHECK(error_of([&] { write_file(folder / "a", "x"); }) == folder / "a" + ": cannot write: File exists");
  }
  fixed_random = 0;
  CHECK(read_text(folder / "victim") == "mine");
  CHECK(names_in(folder.path()) == std::set<std::string>{"victim", name});
  write_file(folder / "a", "x");  // other digits
  CHECK(read_text(folder / "a") == "x");
}

TEST_CASE("temporary names: unlike each other, known again, short enough") {
  const std::string first = temporary_name("last.safetensors");
  CHECK(first != temporary_name("last.safetensors"));
  CHECK(is_temporary_name(first, "last.safetensors"));
  CHECK(!is_temporary_name(first, "best.safetensors"));
  CHECK(!is_temporary_name("x" + first, "last.safetensors"));
  for (size_t i = 0; i < first.size(); i++) {
    std::string other = first;
    other[i] = other[i] == '1' ? '2' : '1';
    CHECK(!is_temporary_name(other, "last.safetensors"));
  }
  for (const char* other : {"", "last.safetensors", "last.safetensors.tmp.", "last.safetensors.tmp.1234",
                            "last.safetensors.tmp.0123456789abcdef01234567"})
    CHECK(!is_temporary_name(other, "last.safetensors"));
  const TemporaryFolder folder;
  const std::string longest(255, 'a');
  write_file(folder / longest, "x");
  CHECK(names_in(folder.path()) == std::set<std::string>{longest});
  CHECK(is_temporary_name(temporary_name(longest), longest));
}

TEST_CASE("leftovers of a file are removed, what merely looks like them stays") {
  const TemporaryFolder folder;
  const std::string leftover = temporary_name("last"), folder_name = temporary_name("last");
  write_file(folder / leftover, "x");
  fs::create_directory(folder / folder_name);
  const std::set<std::string> others = {
      "last", "last.tmp.1234", "notes.tmp.1", "last.tmp.0123456789abcdef01234567", temporary_name("best"), folder_name};
  for (const std::string& name : others)
    if (name != folder_name) write_file(folder / name, "mine");
  remove_leftovers(folder / "last");
  CHECK(names_in(folder.path()) == others);
}

TEST_CASE("a file system that cannot sync loses nothing, an interrupted sync is repeated, a real error is one") {
  const TemporaryFolder folder;
  for (const int error : {EINVAL, ENOTSUP, EINTR}) {
    fsync_error = error, fsync_errors = error == EINTR ? 3 : 1;
    write_file(folder / "a", std::strerror(error));
    CHECK(read_text(folder / "a") == std::strerror(error));
    CHECK(fsync_errors == 0);
  }
  fsync_error = EIO, fsync_errors = 1;
  CHECK(error_of([&] { write_file(folder / "a", "x"); }) == folder / "a" + ": cannot write: Input/output error");
  CHECK(read_text(folder / "a") == std::strerror(EINTR));
  CHECK(names_in(folder.path()) == std::set<std::string>{"a"});
}

TEST_CASE("what cannot be written is found before, and nothing stays of the try") {
  const TemporaryFolder folder;
  const auto later = [&](const std::string& path) {
    return error_of([&] { OutputFile(path, OutputFile::Open::Later); });
  };
  CHECK(later(folder / "absent/a") == folder / "absent/a" + ": cannot write: there is no folder " + folder / "absent");
  CHECK(later(folder.path()) == folder.path() + ": expected a file to write, got a folder");
  CHECK(later(folder / "").ends_with("expected a file to write, got a folder"));
  write_file(folder / "a", "before");
  CHECK(later(folder / "a/b") == folder / "a/b" + ": cannot write: Not a directory");
  CHECK(later(folder / std::string(256, 'a')).ends_with("cannot write: File name too long"));
  CHECK(later("/proc/self/fd/x").ends_with("Bad file descriptor"));
  CHECK(later("/dev/fd/1000000").ends_with("cannot write: Bad file descriptor"));
  CHECK(later(folder / "new") == "");
  CHECK(later(folder / "a") == "");
  CHECK(read_text(folder / "a") == "before");
  CHECK(names_in(folder.path()) == std::set<std::string>{"a"});
  OutputFile file(folder / "a", OutputFile::Open::Later);
  CHECK(names_in(folder.path()) == std::set<std::string>{"a"});
  file.write("after");
  file.commit();
  CHECK(read_text(folder / "a") == "after");
  OutputFile empty(folder / "empty", OutputFile::Open::Later);
  empty.commit();
  CHECK(read_text(folder / "empty").empty());
  CHECK(names_in(folder.path()) == std::set<std::string>{"a", "empty"});
}

TEST_CASE("two files replaced together: after an error both are as they were") {
  const TemporaryFolder folder;
  const std::string list = folder / "list", data = folder / "data";
  const auto replace = [&](const std::string& content) {
    OutputFile first(list), second(data);
    first.write(content), second.write(content);
    OutputFile::commit_together(first, second);
  };
  SUBCASE("over older files") {
    replace("old");
    for (int call = 1;; call++) {
      rename_error_at = call;
      const std::string error = error_of([&] { replace("new"); });
      const bool failed = rename_error_at == 0;
      rename_error_at = 0;
      CAPTURE(call);
      CHECK(names_in(folder.path()) == std::set<std::string>{"list", "data"});
      CHECK(read_text(list) == read_text(data));
      if (error.empty()) CHECK(read_text(list) == "new");
      if (!error.empty()) CHECK(read_text(list) == "old");
      if (!failed) break;
      CHECK(call <= 4);
      replace("old");
    }
  }
  SUBCASE("where there was none") {
    for (const int call : {3, 4}) {
      rename_error_at = call;
      CHECK(error_of([&] { replace("new"); }).ends_with("cannot write: Input/output error"));
      rename_error_at = 0;
      CHECK(names_in(folder.path()).empty());
    }
    replace("new");
    CHECK(names_in(folder.path()) == std::set<std::string>{"list", "data"});
  }
}

TEST_CASE("appending: whole lines, and the error of a device that is full") {
  const TemporaryFolder folder;
  write_file(folder / "log", "1\n");
  AppendFile(folder / "log").append("2\n");
  fs::create_symlink("log", folder / "link");
  AppendFile(folder / "link").append("3\n");
  CHECK(read_text(folder / "log") == "1\n2\n3\n");
  fs::create_symlink("/dev/full", folder / "full");
  CHECK(error_of([&] { AppendFile(folder / "full").append("x"); }).ends_with("No space left on device"));
  CHECK(error_of([&] { AppendFile(folder.path()); }).ends_with("got a folder"));
}

TEST_CASE("a file that is too long to be read whole is refused before anything of it is read") {
  const TemporaryFolder folder;
  const std::string path = folder / "long";
  write_file(path, "begins");
  fs::resize_file(path, uint64_t{20} << 30);
  const std::string words = path + ": expected at most ";
  CHECK(error_of([&] { read_text(path); }) == words + "67108864 bytes, got 21474836480");
  CHECK(error_of([&] { read_bytes(path); }) == words + "67108864 bytes, got 21474836480");
  CHECK(error_of([&] { read_text(path, kLongestLog); }) == words + "1073741824 bytes, got 21474836480");
  fs::resize_file(path, 7);
  CHECK(error_of([&] { read_text(path, 6); }) == words + "6 bytes, got 7");
  CHECK(read_text(path, 7) == std::string("begins\0", 7));
}
