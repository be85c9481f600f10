// Run folders used by several programs at the same time: no file is lost, and the lock's error has its reason. Two
// RunFolder objects of one process act like two programs, because a lock belongs to an open file.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/temporary.h"
#include "mpanet/training/run_folder.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;
namespace fs = std::filesystem;

namespace {

// Functions to run just before the next mkdir(), flock() or unlink(): they act as another program that is faster.
std::function<void()> before_mkdir, before_flock;
int flock_error = 0;

void run_once(std::function<void()>& action) {
  if (auto now = std::exchange(action, nullptr)) now();
}

}  // namespace

extern "C" {

int mkdir(const char* path, mode_t mode) noexcept {
  run_once(before_mkdir);
  return static_cast<int>(syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}

int flock(int descriptor, int operation) noexcept {
  run_once(before_flock);
  if (flock_error != 0) return errno = flock_error, -1;
  return static_cast<int>(syscall(SYS_flock, descriptor, operation));
}
}

namespace {

std::string create_error(const std::string& path) {
  return error_of([&] { RunFolder::create(path); });
}

// A run that has saved a checkpoint.
RunFolder started(const std::string& path) {
  RunFolder run = RunFolder::create(path);
  write_file(run.last(), "checkpoint of " + path);
  run.keep();
  return run;
}

}  // namespace

TEST_CASE("a run that fails takes away its own files and folders") {
  const TemporaryFolder folder;
  {
    const RunFolder run = RunFolder::create(folder / "deep/runs/a");
    for (const std::string& file : {run.last(), run.best(), run.log(), run.config(), run.vendors(), run.provenance(),
                                    run.inputs(), run.initial()})
      write_file(file, "x");
  }
  CHECK(names_in(folder.path()).empty());
}

TEST_CASE("a parent folder that two runs share: the failure of the one that made it leaves the other's files") {
  const TemporaryFolder folder;
  std::optional<RunFolder> first(RunFolder::create(folder / "runs/a"));
  const RunFolder second = started(folder / "runs/b");
  write_file(folder / "runs/notes.txt", "mine");
  write_file(folder / "runs/a/notes.txt", "mine too");
  write_file(first->config(), "x");
  first.reset();
  CHECK(names_in(folder / "runs") == std::set<std::string>{"a", "b", "notes.txt"});
  CHECK(names_in(folder / "runs/a") == std::set<std::string>{"notes.txt"});
  CHECK(names_in(folder / "runs/b") == std::set<std::string>{"last.safetensors", "lock"});
}

TEST_CASE("a parent folder that another run makes and removes meanwhile is made again") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "runs");
  before_mkdir = [&] { fs::remove(folder / "runs"); };
  const RunFolder run = RunFolder::create(folder / "runs/a");
  CHECK(fs::exists(folder / "runs/a/lock"));
}

TEST_CASE("two starts with one folder: the slower one is refused and touches nothing") {
  const TemporaryFolder folder;
  const std::string path = folder / "run";
  std::optional<RunFolder> winner;
  SUBCASE("the winner makes the folder between the check and mkdir, and trains") {
    before_mkdir = [&] { winner.emplace(started(path)); };
    CHECK(create_error(path) == path + ": the run folder is in use: another program trains in it");
  }
  SUBCASE("the winner has ended meanwhile") {
    before_mkdir = [&] { started(path); };
    CHECK(create_error(path).find("another program has made the run folder meanwhile; start again") !=
          std::string::npos);
  }
  SUBCASE("a --resume takes the lock of the folder just made") {
    before_flock = [&] {
      winner.emplace(RunFolder::open(path));
      write_file(winner->last(), "checkpoint of " + path);
    };
    CHECK(create_error(path) == path + ": the run folder is in use: another program trains in it");
  }
  CHECK(read_text(path + "/last.safetensors") == "checkpoint of " + path);
  CHECK(names_in(path) == std::set<std::string>{"last.safetensors", "lock"});
}

TEST_CASE("the lock of a run that failed is no lock") {
  const TemporaryFolder folder;
  const std::string path = folder / "run";
  std::optional<RunFolder> failing(RunFolder::create(path));
  // Between open() and flock() here, the other program ends and removes its lock file, and a third makes a new one.
  std::optional<RunFolder> third;
  before_flock = [&] {
    failing.reset();
    CHECK(!fs::exists(path));
    third.emplace(started(path));
  };
  CHECK(error_of([&] { RunFolder::open(path); }) == path + ": the run folder is in use: another program trains in it");
}

TEST_CASE("a file system that cannot lock is not a folder in use") {
  const TemporaryFolder folder;
  for (const int error : {ENOLCK, EOPNOTSUPP, ENOSYS}) {
    flock_error = error;
    const std::string message = create_error(folder / "runs/a");
    flock_error = 0;
    CHECK(message.find("this file system cannot lock files") != std::string::npos);
    CHECK(message.find("in use") == std::string::npos);
    CHECK(names_in(folder.path()).empty());
  }
}

TEST_CASE("checking whether a run folder can be made changes nothing and disturbs nobody") {
  const TemporaryFolder folder;
  const std::string path = folder / "runs/a";
  CHECK(error_of([&] { RunFolder::check_can_be_made(path); }) == "");
  CHECK(names_in(folder.path()).empty());
  fs::create_directories(path);
  CHECK(error_of([&] { RunFolder::check_can_be_made(path); }).find("exists already") != std::string::npos);
  CHECK(names_in(path).empty());
  const RunFolder run = RunFolder::open(path);
  CHECK(error_of([&] { RunFolder::check_can_be_made(path); }).find("in use") != std::string::npos);
  write_file(folder / "file", "x");
  CHECK(error_of([&] { RunFolder::check_can_be_made(folder / "file/run"); }) ==
        folder / "file/run" + ": cannot make the folder: Not a directory");
}

TEST_CASE("what is no run folder is named, whether a run is to be made or to go on") {
  const TemporaryFolder folder;
  fs::create_symlink(folder / "nowhere", folder / "link");
  write_file(folder / "file", "x");
  fs::create_directory(folder / "other");
  write_file(folder / "other/notes.txt", "mine");
  for (const auto& check : {RunFolder::check_can_be_made, RunFolder::check_can_be_opened}) {
    CHECK(error_of([&] { check(folder / "link"); }) ==
          folder / "link" + ": expected a run folder, got a link that leads nowhere");
    CHECK(error_of([&] { check(folder / "file"); }) == folder / "file" + ": expected a run folder, got something else");
  }
  fs::create_directory(folder / "index");  // of mpanet-search
  for (const char* file : {"lock", "index.sqlite", "features-0.f32"}) write_file(folder / "index/" + file, "");
  for (const char* name : {"other", "index"})
    CHECK(error_of([&] { RunFolder::check_can_be_opened(folder / name); }) ==
          folder / name + ": expected a run folder, got a folder that no run made");
  CHECK(names_in(folder.path()) == std::set<std::string>{"file", "index", "link", "other"});
}

TEST_CASE("checking whether a run can go on changes nothing and disturbs nobody") {
  const TemporaryFolder folder;
  const std::string path = folder / "run";
  fs::create_directory(path);
  RunFolder::check_can_be_opened(path);  // empty
  CHECK(names_in(path).empty());
  fs::remove(path);
  {
    const RunFolder run = started(path);
    CHECK(error_of([&] { RunFolder::check_can_be_opened(path); }) ==
          path + ": the run folder is in use: another program trains in it");
  }
  write_file(path + "/" + temporary_name("log.jsonl"), "half");
  const auto before = names_in(path);
  RunFolder::check_can_be_opened(path);
  CHECK(names_in(path) == before);
  CHECK(RunFolder::is_run(path));
  CHECK(!RunFolder::is_run(folder.path()));
  fs::remove(path + "/last.safetensors");
  fs::create_directory(path + "/last.safetensors");
  CHECK(error_of([&] { RunFolder::check_can_be_opened(path); }).starts_with(path + "/last.safetensors: "));
}

TEST_CASE("going on removes what the run itself left half-written, and nothing that looks like it") {
  const TemporaryFolder folder;
  const std::string path = folder / "run";
  started(path);
  const std::set<std::string> mine = {"notes.tmp.1", "last.safetensors.tmp.4711", "last.safetensors.tmp",
                                      "best.safetensors.tmp.0123456789abcdef01234567",
                                      temporary_name("result.json")};  // another program may be writing this one
  for (const std::string& name : mine) write_file(path + "/" + name, "mine");
  for (const char* name :
       {"last.safetensors", "best.safetensors", "log.jsonl", "log.csv", "events.out.tfevents.mpanet"})
    write_file(path + "/" + temporary_name(name), "half");
  const RunFolder run = RunFolder::open(path);
  std::set<std::string> all = mine;
  all.insert({"last.safetensors", "lock"});
  CHECK(names_in(path) == all);
}

TEST_CASE("a planted link is no lock") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "run");
  fs::create_symlink(folder / "victim", folder / "run/lock");
  CHECK(error_of([&] { RunFolder::open(folder / "run"); }) != "");
  CHECK(!fs::exists(folder / "victim"));
}

TEST_CASE("the log may be a device: nothing to shorten, lines go there") {
  const TemporaryFolder folder;
  fs::create_symlink("/dev/null", folder / "log.jsonl");
  RunLog log(folder / "log.jsonl", 0, false);
  log.append({{"kind", "step"}, {"step", 1}});
  CHECK(fs::is_symlink(folder / "log.jsonl"));
}
