// Reading and writing devices, pipes and the program's own descriptors.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <set>
#include <thread>

#include "core/base/file.h"
#include "core/base/path_end.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;
namespace fs = std::filesystem;

namespace {

// A pipe with both ends.
struct Pipe {
  Descriptor out, in;  // to read from, to write to
  Pipe() {
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    out = Descriptor(ends[0]), in = Descriptor(ends[1]);
  }
  static std::string path(const Descriptor& end) { return fmt::format("/dev/fd/{}", end.get()); }
  std::string all() {
    in.close();
    return read_text(path(out));
  }
};

}  // namespace

TEST_CASE("devices are written, not replaced") {
  const auto is_null_device = [] {
    struct stat info {};
    return lstat("/dev/null", &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);
  };
  // A link in the test's folder: as root, a bug would otherwise replace the machine's device.
  const TemporaryFolder folder;
  fs::create_symlink("/dev/null", folder / "null");
  fs::create_symlink("/dev/full", folder / "full");
  REQUIRE(follow_path(folder / "null").kind == PathEnd::Kind::Special);
  write_file(folder / "null", "x");
  CHECK(is_null_device());
  CHECK(error_of([&] { write_file(folder / "full", "x"); }) ==
        folder / "full" + ": cannot write: No space left on device");
  CHECK(names_in(folder.path()) == std::set<std::string>{"null", "full"});
}

TEST_CASE("/dev/fd, /proc/self/fd and links to them are the program's own descriptors") {
  const TemporaryFolder folder;
  Pipe pipe;
  write_file(Pipe::path(pipe.in), "1");
  write_file(fmt::format("/proc/self/fd/{}", pipe.in.get()), "2");
  write_file(fmt::format("/proc/{}/fd/{}", getpid(), pipe.in.get()), "3");
  write_file(fmt::format("/proc/thread-self/fd/{}", pipe.in.get()), "4");
  CHECK(follow_path(fmt::format("/proc/thread-self/fd/{}", pipe.in.get())).kind == PathEnd::Kind::Descriptor);
  fs::create_symlink(Pipe::path(pipe.in), folder / "link");
  write_file(folder / "link", "5");
  OutputFile later(Pipe::path(pipe.in), OutputFile::Open::Later);
  later.write("6");
  later.commit();
  CHECK(pipe.all() == "123456");
  CHECK(error_of([&] { write_file(Pipe::path(pipe.out), "x"); }).ends_with("cannot write: Bad file descriptor"));

  // A regular file is written from its current offset on.
  const Descriptor file(open((folder / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(write(file.get(), "before ", 7) == 7);
  write_file(Pipe::path(file), "after");
  CHECK(read_text(folder / "file") == "before after");
}

TEST_CASE("named pipes: written and read, refused when the other end is missing") {
  const TemporaryFolder folder;
  const std::string path = folder / "pipe";
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  std::string got;
  {
    const std::jthread reader([&] { got = read_text(path); });
    write_file(path, "through");
  }
  CHECK(got == "through");
  {
    const std::jthread writer([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      const Descriptor end(open(path.c_str(), O_WRONLY | O_CLOEXEC));
      for (const char* part : {"slow", " and", " late"}) {
        CHECK(write(end.get(), part, std::strlen(part)) > 0);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    });
    got = read_text(path);
  }
  CHECK(got == "slow and late");
  CHECK(S_ISFIFO(fs::status(path).type() == fs::file_type::fifo ? S_IFIFO : 0));
  CHECK(error_of([&] { read_text(path); }) == path + ": nobody writes to this pipe");
  CHECK(error_of([&] { write_file(path, "x"); }) == path + ": cannot write: nobody reads from this pipe");
  CHECK(error_of([&] { OutputFile(path, OutputFile::Open::Later); }).ends_with("nobody reads from this pipe"));
}

TEST_CASE("what is read: pipes to their end at any offset, no folders, terminals, devices") {
  const TemporaryFolder folder;
  Pipe pipe;
  const std::string text(200000, 'x');
  {
    const std::jthread writer([&] {
      CHECK(write(pipe.in.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
      pipe.in.close();
    });
    const InputFile file(Pipe::path(pipe.out));
    CHECK(file.size() == text.size());
    char byte = 0;
    CHECK(file.read(&byte, 1, text.size() - 1) == 1);
    CHECK(file.read(&byte, 1, text.size()) == 0);
    CHECK(file.read(&byte, 1, 0) == 1);
  }
  CHECK(read_text(Pipe::path(pipe.out)).empty());  // its writer is closed
  Pipe long_one;
  write_file(Pipe::path(long_one.in), "12345");
  long_one.in.close();
  CHECK(error_of([&] {
          InputFile(Pipe::path(long_one.out), 4);
        }).ends_with("expected at most 4 bytes from a pipe, got more"));
  Pipe other;
  CHECK(error_of([&] { read_text(Pipe::path(other.in)); }).find("open for writing") != std::string::npos);

  CHECK(error_of([&] { read_text(folder.path()); }) == folder.path() + ": expected a file, got a folder");
  CHECK(error_of([&] { read_text(folder / "absent"); }) ==
        folder / "absent" + ": cannot open: No such file or directory");
  CHECK(error_of([] { read_text("/dev/zero"); }) == "/dev/zero: expected a file or a pipe, got a device");
  const Descriptor terminal(posix_openpt(O_RDWR | O_NOCTTY));
  if (terminal)
    CHECK(error_of([&] { read_text(Pipe::path(terminal)); }).ends_with("expected a file or a pipe, got a terminal"));
  CHECK(read_text("/proc/self/status").starts_with("Name:"));  // its st_size is 0
  CHECK(read_text("/proc/self/maps").find("libc") != std::string::npos);
}
