// mpanet-data's drawn data sets of each layout, folder trees that become data sets, and packs.
#include <doctest/doctest.h>

#include <filesystem>

#include "core/base/file.h"
#include "tests/support/data_program.h"

using namespace mpanet;
namespace fs = std::filesystem;

TEST_CASE("every layout is drawn, verified and shown" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  for (const char* layout : {"sysu", "regdb", "llcm", "csv"}) {
    CAPTURE(layout);
    const std::string root = folder / layout;
    REQUIRE(run("synth --out " + root + " --layout " + layout + " --ids 3 --test-ids 2 --images 2").code == 0);
    const Result verified = run("verify " + root);
    CHECK(verified.code == 0);
    CHECK(has(verified.out, std::string(layout) + ": 5 identities, "));
    const Result stats = run("stats " + root + " --p-size 3 --k-size 2");
    CHECK(stats.code == 0);
    CHECK(has(stats.out, "training all          all           3 "));
    CHECK(has(stats.out, "test     all          all           2 "));
    CHECK(has(stats.out, "batches of 3 x 2: "));
  }
  // Three identities with two images of each modality: two groups of one pair for each.
  const std::string regdb = folder / "regdb";
  CHECK(has(run("stats " + regdb + " --split 10 --p-size 3 --k-size 2").out, "batches of 3 x 2: 2 in epoch 1"));
  CHECK(has(run("stats " + regdb).out, "batches of 12 x 10: none; p_size: expected at most 3 identities"));
  check_refused("stats " + folder.path() + "/csv --split 2", "--split: expected 1, as csv has one split");
  check_refused("synth --out " + (folder / "x") + " --layout sisu", "expected one of sysu, regdb, llcm, csv");
  check_refused("synth --out " + (folder / "x") + " --layout regdb --images 2 --test-images 3",
                "test-images: expected 2");
  check_refused("synth --out " + (folder / "x") + " --layout llcm --images 100", "at most 99");

  // Bad files are named; a list that is wrong is one line.
  write_file(regdb + "/Visible/1/01.bmp", "BM");
  fs::remove(regdb + "/Thermal/2/02.bmp");
  for (const char* list : {"train_visible", "train_thermal", "test_visible", "test_thermal"})
    fs::remove(regdb + "/idx/" + list + "_7.txt");
  fs::remove(regdb + "/idx/test_visible_9.txt");
  Result broken = run("verify " + regdb);
  CHECK(broken.code == 2);
  CHECK(has(broken.err, regdb + "/Visible/1/01.bmp: "));
  CHECK(has(broken.err, regdb + "/Thermal/2/02.bmp: cannot open"));
  CHECK(has(broken.err, "idx/test_visible_9.txt: cannot open"));
  CHECK(has(broken.out, "; 3 problems\nno lists in idx/ for the splits 7\n"));
  write_file(folder / "csv/manifest.csv", read_text(folder / "csv/manifest.csv") + "x.jpg,one,1,visible,train\n");
  broken = run("verify " + (folder / "csv"));
  CHECK(broken.code == 2);
  CHECK(has(broken.err, "expected a whole number in 0..999999999 as identity, got \"one\""));
  write_file(folder / "llcm/idx/test_id.txt", "9999\n");
  CHECK(has(run("verify " + (folder / "llcm")).err, "identity 9999 is listed, but there is no picture"));
}

TEST_CASE("a folder tree becomes a data set" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  const std::string root = folder / "tree", pattern = " --pattern '{modality}/{identity}/c{camera}_*.jpg'";
  REQUIRE(run("synth --out " + root + " --layout csv --ids 4 --test-ids 4 --images 1").code == 0);
  check_refused("import " + root + pattern, "manifest.csv: exists already");
  fs::remove(root + "/manifest.csv");
  const Result made = run("import " + root + pattern);
  CHECK(made.code == 0);
  CHECK(has(made.err, "4 identities for training, 4 for the test, 32 visible and 16 infrared images"));
  CHECK(run("verify " + root).code == 0);
  const Result printed = run("import " + root + pattern + " --out /dev/stdout");
  CHECK(printed.code == 0);
  CHECK(printed.out == read_text(root + "/manifest.csv"));
  check_refused("import " + root, "--pattern");
  for (const char* words : {"a,,b", "a,", ",b", ","})
    check_refused("import " + root + pattern + " --out x.csv --visible " + words,
                  std::string("--visible: expected words such as a,b, got \"") + words + '"');
}

TEST_CASE("pack: every layout, beside the data set or elsewhere" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  for (const char* layout : {"sysu", "regdb", "llcm", "csv"}) {
    const std::string root = folder / layout;
    REQUIRE(run("synth --out " + root + " --layout " + layout + " --ids 2 --test-ids 2 --images 2").code == 0);
    const Result made = run("pack " + root + " --size 24x12");
    CHECK(made.code == 0);
    CHECK(made.out.starts_with(root + "/mpanet-24x12.pack: "));
    CHECK(has(made.out, "read by mpanet-train --set data.pack=" + root + "/mpanet-24x12.pack and mpanet-eval --pack "));
    CHECK(run("verify " + root).code == 0);  // it disturbs no reader
    CHECK_FALSE(has(run("verify " + root).out, "left aside"));
    const Result again = run("pack " + root + " --size 24x12");
    CHECK(again.code == 0);
    CHECK(has(again.out, " of them were packed before\n"));
  }
  const std::string root = folder / "sysu";
  CHECK(run("pack " + root + " --size 24x12 --out '" + (folder / "a b.pack") + "'").code == 0);
  CHECK(read_text(folder / "a b.pack") == read_text(root + "/mpanet-24x12.pack"));
  check_refused("pack " + root, "--size is required");
  for (const char* size : {"24", "0x12", "24x", "24x12x3", "5000x12", "-1x2"})
    check_refused("pack " + root + " --size " + size, "--size: expected HEIGHTxWIDTH, each 1..4096, such as 384x128");
  check_refused("pack " + root + " --size 24x12 --out " + root + "/cam1/0001/0001.jpg",
                "cannot write: it is a picture of the data set");
  check_refused("pack " + root + " --size 24x12 --out " + (folder / "no/x.pack"), "No such file or directory");
  check_refused("pack " + (folder / "none") + " --size 24x12", folder / "none");
}
