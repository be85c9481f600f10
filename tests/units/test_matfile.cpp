// The trial file: every numeric class against files by scipy and by hand (fixtures/sysu/make_trials.py), errors for
// every truncation and many kinds of damage, and writing against both.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/base/error.h"
#include "core/base/file.h"
#include "data/loading/sampler.h"
#include "data/sets/matfile.h"
#include "data/sets/sysu.h"
#include "tests/support/memory.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;

namespace {

// Tests that need these libraries are skipped in builds without them.
const bool kLacking = !trial_files_supported();

std::string fixture(const std::string& name) { return std::string(TEST_FIXTURES "/sysu/") + name + ".mat"; }

int expected_count(int camera, int identity) { return (3 * camera + 2 * identity) % 5; }

// The numbers of make_trials.py; `wide` is the count of camera 3's identity 2.
void check_numbers(const TrialFile& trials, int wide) {
  for (int camera = 1; camera <= 6; camera++) {
    REQUIRE(trials.identities(camera) == 4);
    CHECK(trials.count(camera, 0) == 0);
    CHECK(trials.count(camera, 5) == 0);
    for (int identity = 1; identity <= 4; identity++) {
      const int count = camera == 3 && identity == 2 ? wide : expected_count(camera, identity);
      REQUIRE(trials.count(camera, identity) == count);
      for (int trial = 0; trial < 10; trial++)
        for (int place = 0; place < count; place++)
          REQUIRE(trials.image(trial, camera, identity, place) == 1 + (place + trial + camera) % count);
    }
  }
}

std::string refusal(const std::string& path) {
  const std::string message = error_of([&] { read_trial_file(path); });
  CHECK(message.find('\n') == message.npos);
  CHECK(message.rfind(path, 0) == (message.empty() ? message.npos : 0));
  return message;
}

}  // namespace

TEST_CASE("every numeric class, both shapes of the outer cell, and MATLAB's small storage" * doctest::skip(kLacking)) {
  for (const char* name : {"float64", "float32", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64",
                           "uint64", "row", "plain", "double_as_uint8", "double_as_uint8_z"}) {
    CAPTURE(name);
    check_numbers(read_trial_file(fixture(name)), expected_count(3, 2));
  }
  check_numbers(read_trial_file(fixture("double_as_uint16_z")), 300);
}

TEST_CASE("an entry that was never set has no images" * doctest::skip(kLacking)) {
  for (const char* name : {"unset", "unset_z"}) {
    const TrialFile trials = read_trial_file(fixture(name));
    check_numbers(trials, 0);
  }
}

TEST_CASE("what a file costs follows from its size, not from what it claims" * doctest::skip(kLacking)) {
  const std::pair<const char*, const char*> cases[] = {
      {"bad_many_cells", "rand_perm_cam{3}: expected at most 9999 cells, got 268435456"},
      {"bad_many_cells_z", "rand_perm_cam{3}: damaged or truncated: 9999 cells in "},
      {"bad_many_cameras", "rand_perm_cam: expected at most 9999 cells, got 16777216"},
      {"bad_wide", "rand_perm_cam{3}{2}: expected a matrix of 10 rows, got a numeric matrix of 10x33554432"},
      {"bad_short", "rand_perm_cam{3}{2}: damaged or truncated: expected 500000 numbers, got 8"},
      {"bad_inflated", "damaged: the compressed data at byte 128 cannot be read, or hold far more than the file"},
      {"bad_inflated_parts", "cannot be read, or hold far more than the file"},
      {"bad_deep", "rand_perm_cam{3}{2}: expected a matrix of 10 rows, got a cell array of 1x1"},
  };
  for (const auto& bad : cases) {
    const char *const name = bad.first, *const words = bad.second;
    CAPTURE(name);
    std::string message;
    const size_t grown = peak_growth([&] { message = refusal(fixture(name)); });
    CHECK_MESSAGE(message.find(words) != message.npos, message);
    if (kMemoryIsMeasurable) CHECK(grown < 16 << 20);
  }
}

TEST_CASE("a file cut anywhere is refused" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  const std::string path = folder / "cut.mat";
  for (const char* name : {"double_as_uint8", "double_as_uint8_z", "uint8"}) {
    const std::string whole = read_text(fixture(name));
    for (size_t bytes = 0; bytes < whole.size(); bytes += 1 + bytes / 40) {
      CAPTURE(name);
      CAPTURE(bytes);
      write_file(path, whole.substr(0, bytes));
      CHECK_FALSE(refusal(path).empty());
    }
    write_file(path, whole.substr(0, whole.size() - 1));
    CHECK(refusal(path).find("truncated") != std::string::npos);
  }
}

TEST_CASE("data lost inside the file is refused, its size notwithstanding" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  const std::string path = folder / "holes.mat";
  for (const char* name : {"double_as_uint8", "double_as_uint8_z"}) {
    // The second half of the content is zero, as in an interrupted download that had reserved its space.
    std::string bytes = read_text(fixture(name));
    const size_t half = 136 + (bytes.size() - 136) / 2;
    std::fill(bytes.begin() + static_cast<ptrdiff_t>(half), bytes.end(), '\0');
    write_file(path, bytes);
    CAPTURE(name);
    CHECK_FALSE(refusal(path).empty());
  }
}

TEST_CASE("what is not a trial file is refused in one line that says what was found" * doctest::skip(kLacking)) {
  const std::pair<const char*, const char*> cases[] = {
      {"bad_complex", "rand_perm_cam{3}{2}: expected a real matrix, got a complex one"},
      {"bad_sparse", "rand_perm_cam{3}{2}: expected a matrix of 10 rows, got a sparse matrix"},
      {"bad_text", "rand_perm_cam{3}{2}: expected a matrix of 10 rows, got text of 1x3"},
      {"bad_cell", "rand_perm_cam{3}{2}: expected a matrix of 10 rows, got a cell array of 6x1"},
      {"bad_nine_rows", "rand_perm_cam{3}{2}: expected a matrix of 10 rows, got a numeric matrix of 9x3"},
      {"bad_no_rows", "rand_perm_cam{3}{2}: expected a matrix of 10 rows, got a numeric matrix of 0x3"},
      {"bad_three_axes", "rand_perm_cam{3}{2}: expected a matrix of 10 rows, got a numeric matrix of 10x3x2"},
      {"bad_twice", "rand_perm_cam{3}{2}: row 1 is not a permutation of 1..3"},
      {"bad_fraction", "rand_perm_cam{3}{2}: row 1 is not a permutation of 1..3"},
      {"bad_nan", "rand_perm_cam{3}{2}: row 1 is not a permutation of 1..3"},
      {"bad_huge", "rand_perm_cam{3}{2}: row 1 is not a permutation of 1..3"},
      {"bad_zero", "rand_perm_cam{3}{2}: row 1 is not a permutation of 1..3"},
      {"bad_five", "rand_perm_cam: expected 6 cells, one a camera, got 5"},
      {"bad_matrix", "rand_perm_cam: expected a cell array with one row or column, got a numeric matrix of 10x3"},
      {"bad_variable", "expected the variable rand_perm_cam, which is missing or damaged"},
      {"bad_version4", "expected a MATLAB v5 trial file, got a file of another kind"},
  };
  for (const auto& bad : cases) {
    const char *const name = bad.first, *const words = bad.second;
    CAPTURE(name);
    const std::string message = refusal(fixture(name));
    CHECK_MESSAGE(message.find(words) != message.npos, message);
  }
  TemporaryFolder folder;
  write_file(folder / "text.mat", "1 2 3\n");
  CHECK(refusal(folder / "text.mat").find("got a file of another kind") != std::string::npos);
  write_file(folder / "empty.mat", "");
  CHECK(refusal(folder / "empty.mat").find("got an empty file") != std::string::npos);
  write_file(folder / "v73.mat", "MATLAB 7.3 MAT-file, Platform: GLNXA64" + std::string(1000, ' '));
  CHECK(refusal(folder / "v73.mat").find("got v7.3 (HDF5)") != std::string::npos);
  CHECK(refusal(folder.path()).find("got a folder") != std::string::npos);
  CHECK(refusal(folder / "absent.mat").find("No such file") != std::string::npos);
}

TEST_CASE("where the trial file is looked for, and where it is to be had") {
  TemporaryFolder folder;
  std::string message = error_of([&] { find_trial_file(folder.path()); });
  CHECK(message.find("exp/rand_perm_cam.mat") != message.npos);
  CHECK(message.find("public repository") != message.npos);
  CHECK(message.find('\n') == message.npos);
  message = error_of([&] { find_trial_file(folder.path(), folder / "mine.mat"); });
  CHECK(message.find(folder / "mine.mat") == 0);
  CHECK(message.find("public repository") != message.npos);

  std::filesystem::create_directories(folder / "evaluation/data_split");
  std::filesystem::create_directories(folder / "exp");
  write_file(folder / "evaluation/data_split/rand_perm_cam.mat", "x");
  CHECK(find_trial_file(folder.path()) == folder / "evaluation/data_split/rand_perm_cam.mat");
  write_file(folder / "exp/rand_perm_cam.mat", "x");
  CHECK(find_trial_file(folder.path()) == folder / "exp/rand_perm_cam.mat");
  write_file(folder / "mine.mat", "x");
  CHECK(find_trial_file(folder.path(), folder / "mine.mat") == folder / "mine.mat");
}

TEST_CASE("writing: what was read comes back, the same bytes each time, nothing beside it" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  const TrialFile trials = read_trial_file(fixture("double_as_uint16_z"));
  write_trial_file(folder / "a.mat", trials);
  write_trial_file(folder / "b.mat", trials);
  check_numbers(read_trial_file(folder / "a.mat"), 300);
  CHECK(read_bytes(folder / "a.mat") == read_bytes(folder / "b.mat"));
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) files++;
  CHECK(files == 2);
  const std::string message = error_of([&] { write_trial_file(folder / "no/such/folder.mat", trials); });
  CHECK(message.find("cannot write") != message.npos);
}

// The real file cannot be distributed; an environment variable names it.
TEST_CASE("the real trial file: the counts of docs/method.md, section 4, and about 182 batches an epoch" *
          doctest::skip(kLacking)) {
  const char* path = std::getenv("MPANET_SYSU_TRIALS");
  if (!path) {
    MESSAGE("skipped: MPANET_SYSU_TRIALS does not name the real trial file");
    return;
  }
  const TrialFile trials = read_trial_file(path);
  std::vector<int> visible(534), infrared(534);
  for (int camera = 1; camera <= 6; camera++) {
    CHECK(trials.identities(camera) == (camera == 3 || camera == 4 || camera == 5 ? 533 : 333));
    for (int identity = 1; identity <= trials.identities(camera); identity++)
      (sysu_infrared(camera) ? infrared : visible)[static_cast<size_t>(identity)] += trials.count(camera, identity);
  }
  CHECK(std::accumulate(visible.begin(), visible.end(), 0) == 30071);
  CHECK(std::accumulate(infrared.begin(), infrared.end(), 0) == 15792);

  // The identities of train_id.txt and val_id.txt are those outside the test that both modalities have seen.
  const auto fixture = nlohmann::json::parse(read_text(TEST_FIXTURES "/eval_sysu.json"));
  const std::vector<int> test_ids = fixture.at("test_ids");
  for (int id : test_ids) visible[static_cast<size_t>(id)] = infrared[static_cast<size_t>(id)] = 0;
  std::vector<ImageRecord> images;
  int label = 0, visible_images = 0;
  for (size_t id = 1; id <= 533; id++) {
    if (visible[id] == 0 || infrared[id] == 0) continue;
    for (int i = 0; i < visible[id] + infrared[id]; i++)
      images.push_back({"", static_cast<int>(id), 0, i >= visible[id], label});
    visible_images += visible[id];
    label++;
  }
  CHECK(label == 395);
  CHECK(visible_images == 22258);
  CHECK(images.size() == 22258 + 11909);
  const IdentitySampler sampler(images, 16, 8, 1);
  CHECK(sampler.skipped().empty());
  for (uint32_t epoch = 1; epoch <= 3; epoch++)
    CHECK(std::abs(static_cast<int>(sampler.epoch(epoch).size()) - 182) <= 1);
}
