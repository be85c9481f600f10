// Every seed of every fuzz target, and a fixed number of mutations of each, by the ordinary compiler without libFuzzer.
#include <doctest/doctest.h>

#include <random>

#include "core/base/error.h"
#include "core/base/file.h"
#include "tests/fuzz/targets.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;

namespace {

constexpr int kMutations = 150;            // of each seed
constexpr size_t kLongestMutated = 16384;  // bytes; longer seeds are replayed as they are

// One to four changes: a bit, a byte of interest, bytes gone, bytes doubled, the end cut off.
std::string mutated(std::string bytes, std::mt19937& random) {
  const auto below = [&](size_t n) { return static_cast<size_t>(random()) % std::max<size_t>(n, 1); };
  for (size_t changes = 1 + below(4); changes > 0 && !bytes.empty(); changes--) {
    const size_t at = below(bytes.size()), length = 1 + below(std::min<size_t>(bytes.size() - at, 16));
    switch (below(6)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 1:
        bytes[at] = "\0\x01\x7F\x80\xFF\n\"[{-0,"[below(12)];
        break;
      case 2:
        for (size_t i = 0; i < length; i++) bytes[at + i] = below(2) == 0 ? '\0' : '\xFF';
        break;
      case 3:
        bytes.erase(at, length);
        break;
      case 4:
        bytes.insert(at, bytes.substr(at, length));
        break;
      default:
        if (below(4) == 0) bytes.resize(at);
    }
  }
  return bytes;
}

// What is wrong, "" for nothing.
std::string finding(const fuzz::Target& target, const std::string& folder, const std::string& bytes) {
  return error_of([&] { fuzz::run(target, folder, bytes); });
}

}  // namespace

TEST_CASE("seeds of the fuzz targets, and mutations of them") {
  for (const fuzz::Target& target : fuzz::targets()) {
    TemporaryFolder folder;
    CAPTURE(target.name);
    const std::vector<std::string> seeds = fuzz::seed_files(target, TEST_FIXTURES);
    CHECK(seeds.size() >= 2);
    for (const std::string& seed : seeds) {
      CAPTURE(seed);
      const std::string bytes = read_text(seed);
      CHECK(finding(target, folder.path(), bytes) == "");
      if (bytes.size() > kLongestMutated) continue;
      std::mt19937 random(1);
      for (int i = 0; i < kMutations; i++) {
        const std::string other = mutated(bytes, random);
        const std::string wrong = finding(target, folder.path(), other);
        CHECK_MESSAGE(wrong == "", "mutation ", i, ": ", wrong);
      }
    }
  }
}

TEST_CASE("seeds of which the targets read something") {
  TemporaryFolder folder;
  for (const fuzz::Target& target : fuzz::targets()) {
    if (!target.supported) continue;
    CAPTURE(target.name);
    int taken = 0;
    for (const std::string& seed : fuzz::seed_files(target, TEST_FIXTURES))
      taken += error_of([&] { target.read(folder.path(), read_text(seed)); }).empty();
    CHECK(taken >= 1);
  }
}
