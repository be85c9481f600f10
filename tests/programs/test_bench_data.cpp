// bench-data removes its folder of synthetic pictures at the end, but no files of other programs in it.
#include <doctest/doctest.h>

#include <filesystem>

#include "core/base/file.h"
#include "tests/support/process.h"

using namespace mpanet;
namespace fs = std::filesystem;

namespace {

Process bench_data(const TemporaryFolder& folder) {
  return Process({"/usr/bin/env", "TMPDIR=" + folder.path(), PROGRAMS "/bench-data", "--images", "256"});
}

}  // namespace

TEST_CASE("a picture that is timed is not replaced by the numbers") {
  const TemporaryFolder folder;
  write_file(folder / "a.JPG", "not read that far");
  Process process({PROGRAMS "/bench-data", "--data", folder.path(), "--json", folder / "a.JPG"});
  CHECK(process.wait() == 2);
  CHECK(process.err() ==
        "bench-data: " + (folder / "a.JPG") + ": cannot write: it is a picture of --data, which this program reads\n");
  CHECK(read_text(folder / "a.JPG") == "not read that far");
}

TEST_CASE("drawn pictures go, and nothing else does") {
  const TemporaryFolder folder;
  Process alone = bench_data(folder);
  REQUIRE_MESSAGE(alone.wait() == 0, alone.err());
  CHECK(
      alone.out().starts_with("256 images from 256 files (drawn JPEG crops of about 300x130) to 384x128, "
                              "training augmentation, 1 thread\n"));
  CHECK(names_in(folder.path()).empty());

  Process watched = bench_data(folder);
  REQUIRE(watched.wait_until([&] { return !names_in(folder.path()).empty(); }));
  const std::string made = *names_in(folder.path()).begin();
  write_file(folder / made + "/theirs", "x");
  REQUIRE(watched.wait() == 0);
  CHECK(names_in(folder / made) == std::set<std::string>{"theirs"});
}

TEST_CASE("Ctrl-C removes what was drawn, in every part of the work") {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    CAPTURE(signal);
    const TemporaryFolder folder;
    Process process({"/usr/bin/env", "TMPDIR=" + folder.path(), PROGRAMS "/bench-data", "--images", "10000000"});
    // SIGINT while pictures are drawn, the others when they are decoded.
    const size_t most = signal == SIGINT ? 1 : 256;
    REQUIRE(process.wait_until([&] {
      const auto made = names_in(folder.path());
      return !made.empty() && names_in(folder / *made.begin()).size() >= most;
    }));
    process.send(signal);
    CHECK(process.wait() == 128 + signal);
    CHECK(process.err() == "bench-data: stopped\n");
    CHECK(names_in(folder.path()).empty());
  }
}
