// mpanet-data as a program: results on disk, exit codes, and bad input, which gives one line on stderr and leaves no
// files.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/quote.h"
#include "data/pictures/image.h"
#include "data/sets/matfile.h"
#include "tests/support/data_program.h"
#include "tests/support/process.h"

using namespace mpanet;
namespace fs = std::filesystem;

TEST_CASE("synth, verify and preprocess work together" * doctest::skip(kLacking)) {
  DataSet data;
  const Image sheet = decode_image(data / "sheet.png");
  CHECK(sheet.height > 5 * 144);
  CHECK(sheet.width > 12 * 60);
  CHECK(entries(data.path()) == 2);

  const Result verified = run("verify '" + data.root() + "' --threads 2");
  CHECK(verified.code == 0);
  CHECK(has(verified.out, "5 identities, 60 visible and 30 infrared images; all decode, names equal the trial file's"));
  CHECK(has(verified.out, "\nfor comparison, SYSU-MM01: 491 identities, 30,071 visible and 15,792 infrared images\n"));

  const std::string picture = data.root() + "/cam1/0001/0001.jpg";
  const Image image = decode_image(picture);
  const Result resized = run("preprocess '" + picture + "' --height " + std::to_string(image.height) + " --width " +
                             std::to_string(image.width) + " --out '" + (data / "x.npy") + "'");
  REQUIRE(resized.code == 0);
  // The picture has the size already, so the file has the decoded pixels. Header: magic, version, length, a Python
  // dictionary.
  const std::string npy = read_text(data / "x.npy");
  CHECK(npy.substr(0, 8) == std::string("\x93NUMPY\x01\x00", 8));
  CHECK(has(npy.substr(0, 128), fmt::format("'shape': ({}, {}, 3)", image.height, image.width)));
  CHECK(has(npy.substr(0, 128), "'descr': '|u1'"));
  REQUIRE(npy.size() > image.pixels.size());
  CHECK(npy.substr(npy.size() - image.pixels.size()) == std::string(image.pixels.begin(), image.pixels.end()));
}

TEST_CASE("verify names each thing that is wrong" * doctest::skip(kLacking)) {
  DataSet data;
  const std::string root = data.root();
  const auto verify = [&] { return run("verify '" + root + "'"); };
  // stderr has the progress line too.
  write_file(root + "/cam1/0001/0002.jpg", "not a picture");
  write_file(root + "/cam2/0003/0001.jpg", "");
  const std::string whole = read_text(root + "/cam3/0002/0001.jpg");
  write_file(root + "/cam3/0002/0001.jpg", whole.substr(0, whole.size() / 2));
  write_file(root + "/cam4/0001/Thumbs.db", "x");
  fs::remove(root + "/cam5/0004/0003.jpg");
  fs::rename(root + "/cam6/0005/0003.jpg", root + "/cam6/0005/0009.jpg");
  Result result = verify();
  CHECK(result.code == 2);
  CHECK(has(result.err, root + "/cam1/0001/0002.jpg: "));
  CHECK(has(result.err, root + "/cam2/0003/0001.jpg: "));
  CHECK(has(result.err, root + "/cam3/0002/0001.jpg: "));
  CHECK(has(result.err, root + "/cam5/0004: expected 3 images as in the trial file, got 2; missing: 0003.jpg\n"));
  CHECK(has(
      result.err,
      root + "/cam6/0005: expected 3 images as in the trial file, got 3; missing: 0003.jpg; not listed: 0009.jpg\n"));
  CHECK_FALSE(has(result.err, "Thumbs.db"));
  CHECK(has(result.out,
            "5 identities, 59 visible and 30 infrared images; 5 problems\n"
            "left aside 1 entry that is no picture, cam4/0001/Thumbs.db\n"));

  for (int camera = 1; camera <= 6; camera++) fs::remove_all(fmt::format("{}/cam{}/0003", root, camera));
  fs::remove_all(root + "/cam5");
  result = verify();
  CHECK(result.code == 2);
  CHECK(has(result.err, "identity 3 is listed, but there is no image of it\n"));
  CHECK(has(result.err, root + "/cam5: no such folder\n"));
  CHECK(has(result.err,
            root + "/cam1/0003: expected 3 images as in the trial file, got 0; missing: 0001.jpg and 2 more\n"));
  fs::remove_all(root + "/cam3");
  fs::remove_all(root + "/cam6");
  CHECK(has(verify().err, "no infrared image (cameras 3 and 6)\n"));
}

TEST_CASE("verify compares every name, as the evaluation needs them" * doctest::skip(kLacking)) {
  DataSet data;
  const std::string root = data.root(), person = root + "/cam1/0001/";
  const auto verify = [&] { return run("verify '" + root + "'"); };
  // The counts and the last name are unchanged.
  for (const char* name : {"0000.jpg", "0001b.jpg", "1.jpg", "x\n\033[31m.jpg"}) {
    fs::rename(person + "0001.jpg", person + name);
    const Result result = verify();
    CHECK(result.code == 2);
    CHECK(has(result.err, root + "/cam1/0001: expected 3 images as in the trial file, got 3; missing: 0001.jpg; " +
                              "not listed: " + printable(name) + "\n"));
    CHECK(has(result.out, "; 1 problem\n"));
    fs::rename(person + name, person + "0001.jpg");
  }
  // *.JPG names the same image as *.jpg; both together are an error.
  fs::rename(person + "0001.jpg", person + "0001.JPG");
  CHECK(run("verify '" + root + "'").code == 0);
  fs::copy(person + "0001.JPG", person + "0001.jpg");
  CHECK(has(run("verify '" + root + "'").err, "got 4; the same number twice: 0001.jpg\n"));
  fs::remove(person + "0001.JPG");
  // Files that the data set's reader ignores are no images here either.
  write_file(person + "._0001.jpg", "from a Mac");
  const Result result = verify();
  CHECK(result.code == 0);
  CHECK(has(result.out,
            "; all decode, names equal the trial file's\n"
            "left aside 1 entry that is no picture, cam1/0001/._0001.jpg\n"));
  fs::remove(person + "._0001.jpg");
  // Folders that no reader reads, and a file in place of a folder.
  for (const char* other : {"/cam1/1", "/cam7"}) fs::create_directory(root + other);
  CHECK(
      has(verify().out, "left aside 2 entries that are no folders of a camera and an identity, the first is cam1/1\n"));
  for (const char* other : {"/cam2/0008", "/cam6/0008", "/cam4/0011"}) fs::create_directory(root + other);
  CHECK(has(verify().out, "left aside 2 identities that no list names, the first is 0008\n"));
  write_file(root + "/cam1/0009", "");
  CHECK(has(verify().err, root + "/cam1/0009: expected the folder of an identity, got a file\n"));
}

TEST_CASE("file names cannot write lines of ours" * doctest::skip(kLacking)) {
  DataSet data;
  const std::string bad = "bad\n\033[31mmpanet-data: all is well\xff.jpg", shown = printable(bad);
  const std::string root = data.root();
  write_file(root + "/cam1/0001/" + bad, "not a picture");
  const Result verified = run("verify '" + root + "'");
  CHECK(verified.code == 2);
  CHECK(has(verified.err, "/cam1/0001/" + shown + ": expected a JPEG, PNG or BMP picture"));
  CHECK(!has(verified.err, "\033"));
  CHECK(!has(verified.err, "\xff"));
  TemporaryFolder folder;
  check_refused("preprocess '" + (folder / bad) + "' --height 8 --width 8 --out x", shown + ": cannot open");
  check_refused("synth --out '" + (folder / "x") + "' --ids '" + bad + "'",
                "--ids: expected a whole number in 2..4000");
  check_refused("'" + bad + "'", "");
}

TEST_CASE("bad input: one line, exit 2" * doctest::skip(kLacking)) {
  DataSet data;
  const std::string root = data.root();
  TemporaryFolder empty;
  check_refused("verify " + (empty / "absent"), (empty / "absent") + ": no such folder");
  check_refused("verify " + empty.path(),
                "expected a data set with lists such as exp/train_id.txt (sysu), idx/train_visible_1.txt (regdb), "
                "idx/train_vis.txt (llcm), manifest.csv (csv)");
  check_refused("verify --dataset sysu " + empty.path(), "exp/test_id.txt: cannot open");
  check_refused("verify --dataset sisu " + empty.path(), "expected one of sysu, regdb, llcm, csv");
  check_refused("verify " + root + " --trials " + (empty / "no.mat"),
                "no.mat: no such trial file; the data set's archive");
  check_refused("verify " + root + " --trials " + root + "/exp/test_id.txt", "expected a MATLAB v5 trial file");
  fs::rename(root + "/exp/rand_perm_cam.mat", data / "kept.mat");
  // Without a trial file everything except the names is checked.
  const Result nameless = run("verify " + root);
  CHECK(nameless.code == 0);
  CHECK(has(nameless.out, "infrared images; all decode\nthere is no trial file, so names are not compared"));
  CHECK(run("verify " + root + " --trials " + (data / "kept.mat")).code == 0);
  const std::string trials = read_text(data / "kept.mat");
  write_file(root + "/exp/rand_perm_cam.mat", trials.substr(0, trials.size() - 100));
  check_refused("verify " + root, "exp/rand_perm_cam.mat: truncated");

  const std::string picture = root + "/cam1/0001/0001.jpg", to = " --out " + (empty / "x.npy");
  check_refused("preprocess " + (empty / "absent.jpg") + " --height 8 --width 8" + to, "absent.jpg: ");
  check_refused("preprocess " + root + "/exp/test_id.txt --height 8 --width 8" + to, "exp/test_id.txt: ");
  check_refused("preprocess " + picture + " --height 0 --width 8" + to, "--height");
  check_refused("preprocess " + picture + " --height 8 --width x" + to, "--width");
  check_refused("preprocess " + picture + " --height 8" + to, "--width");
  check_refused("preprocess " + picture + " --height 8 --width 8 --out " + picture,
                picture + ": cannot write: it is IMAGE, which this program reads");
  check_refused("preprocess " + picture + " --height 8 --width 8 --out " + (empty / "no/x.npy"),
                "no/x.npy: cannot write");
  CHECK(entries(empty.path()) == 0);

  check_refused("synth", "--out");
  check_refused("synth --out " + root, "does not exist yet or is empty");
  check_refused("synth --out " + (empty / "x") + " --ids 1", "--ids: expected a whole number in 2..4000, got \"1\"");
  check_refused("synth --out " + (empty / "x") + " --images 0",
                "--images: expected a whole number in 1..999, got \"0\"");
  check_refused("synth --out " + (empty / "x") + " --ids many", "--ids");
  check_refused("synth --out " + (empty / "x") + " --world easy", "--world");
  for (const char* seed : {"-1", "0x10", "1e3", "' 7'", "18446744073709551616", "true", "1.0"})
    check_refused("synth --out " + (empty / "x") + " --seed " + seed, "--seed: expected a whole number in 0..");
  check_refused("synth --out " + (empty / "x") + " --frobnicate 1", "--frobnicate");
  check_refused("synth --out " + (empty / "x") + " --sheet " + (empty / "no/s.png"), "no/s.png: cannot write");
  check_refused("synth --out " + picture + "/x", "cannot make the folder");
  check_refused("", "subcommand");
  check_refused("paint", "subcommand");
  CHECK(entries(empty.path()) == 0);
}

TEST_CASE("pictures, trial files and results through pipes, links and devices" * doctest::skip(kLacking)) {
  DataSet data;
  const std::string picture = data.root() + "/cam1/0001/0001.jpg", size = " --height 8 --width 8 --out ";
  REQUIRE(run("preprocess " + picture + size + (data / "x.npy")).code == 0);
  const std::string expected = read_text(data / "x.npy");
  const Result piped = run("preprocess /dev/stdin" + size + "/dev/stdout <" + picture);
  CHECK(piped.code == 0);
  CHECK(piped.out == expected);
  CHECK(run("preprocess /dev/fd/4" + size + "/dev/fd/3 3>" + (data / "y.npy") + " 4<" + picture).code == 0);
  CHECK(read_text(data / "y.npy") == expected);
  fs::create_symlink("y.npy", data / "link.npy");
  write_file(data / "y.npy", "old");
  CHECK(run("preprocess " + picture + size + (data / "link.npy")).code == 0);
  CHECK(fs::is_symlink(data / "link.npy"));
  CHECK(read_text(data / "y.npy") == expected);
  check_refused("preprocess " + picture + size + "/dev/full", "/dev/full: cannot write: No space left on device");
  check_refused("preprocess " + picture + size + data.root(), "data: expected a file to write, got a folder");
  CHECK(fs::is_character_file("/dev/full"));
  REQUIRE(run("--help; mkfifo " + (data / "pipe")).code == 0);
  check_refused("preprocess " + (data / "pipe") + size + (data / "z.npy"), "pipe: nobody writes to this pipe");
  check_refused("preprocess " + picture + size + (data / "pipe"), "pipe: cannot write: nobody reads from this pipe");
  CHECK(fs::is_fifo(data / "pipe"));
  CHECK(!fs::exists(data / "z.npy"));

  const std::string trials = data.root() + "/exp/rand_perm_cam.mat";
  CHECK(run("verify " + data.root() + " --trials /dev/fd/3 3<" + trials).code == 0);
  CHECK(run("--help >/dev/null; cat " + trials + " | " PROGRAMS "/mpanet-data verify " + data.root() +
            " --trials /dev/stdin")
            .code == 0);
}

TEST_CASE("a data set is made where a link to an empty folder leads, and leaves other files alone" *
          doctest::skip(kLacking)) {
  TemporaryFolder folder;
  const std::string small = " --ids 2 --test-ids 2 --images 1";
  fs::create_directory(folder / "empty");
  fs::create_symlink("empty", folder / "link");
  fs::create_symlink("nowhere", folder / "dangling");
  write_file(folder / "link.tmp.1", "mine");
  CHECK(run("synth --out " + (folder / "link") + small).code == 0);
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(fs::exists(folder / "empty/exp/test_id.txt"));
  check_refused("synth --out " + (folder / "dangling") + small, "does not exist yet or is empty");
  // Folders that were made are removed again, with their parents.
  const Result full = run("synth --out " + (folder / "deep/er/data") + small + " --sheet /dev/full");
  CHECK(full.code == 2);
  CHECK(fs::exists(folder / "deep/er/data/exp/test_id.txt"));  // the sheet comes after the data set
  fs::create_directory(folder / "x");
  Process limited({PROGRAMS "/mpanet-data", "synth", "--out", folder / "new/parent/data", "--ids", "2", "--test-ids",
                   "2", "--images", "1"},
                  1000);
  CHECK(limited.wait() == 2);
  CHECK(has(limited.err(), "cannot write: File too large"));
  CHECK(!fs::exists(folder / "new"));
  CHECK(entries(folder.path()) == 6);  // deep, dangling, empty, link, link.tmp.1, x
}

TEST_CASE("a signal leaves nothing and says so" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  const std::string out = folder / "x";
  // When the temporary folder exists, the signal handler is set. Not SIGINT: programs that a shell starts in the
  // background ignore it.
  const Result result = run("--help >/dev/null; " PROGRAMS "/mpanet-data synth --out '" + out +
                            "' --ids 500 --images 999 & "
                            "while ! ls '" +
                            folder.path() +
                            "' | grep -q x.tmp; do sleep 0.05; done; "
                            "kill -TERM $!; wait $!");
  CHECK(result.code == 143);
  CHECK(has(result.err, "mpanet-data: stopped; " + out + " was not made\n"));
  CHECK(entries(folder.path()) == 0);
}

TEST_CASE("help of each command names all its options") {
  const std::pair<const char*, std::vector<std::string>> commands[] = {
      {"--help", {"synth", "pack", "preprocess", "verify", "stats", "import"}},
      {"pack --help", {"DIR", "--size", "--out", "--dataset", "--threads"}},
      {"synth --help",
       {"--out", "--layout", "--ids", "--test-ids", "--images", "--test-images", "--seed", "--threads", "--sheet"}},
      {"preprocess --help", {"IMAGE", "--height", "--width", "--out"}},
      {"verify --help", {"DIR", "--dataset", "--trials", "--threads"}},
      {"stats --help", {"DIR", "--dataset", "--split", "--p-size", "--k-size", "--threads"}},
      {"import --help",
       {"DIR", "--pattern", "--out", "--visible", "--infrared", "--infrared-cameras", "--test-share",
        "--query-visible"}},
  };
  for (const auto& command : commands) {
    const char* const arguments = command.first;
    const Result result = run(arguments);
    CHECK(result.code == 0);
    for (const auto& option : command.second) CHECK_MESSAGE(has(result.out, option), arguments << ": " << option);
  }
}

TEST_CASE("a build without a library says so") {
  if (!kLacking) return;
  TemporaryFolder folder;
  check_refused("synth --out " + (folder / "x"), "this build has no");
  CHECK(entries(folder.path()) == 0);
}

TEST_CASE("without zlib: one line for what needs a trial file" * doctest::skip(mpanet::trial_files_supported())) {
  TemporaryFolder folder;
  check_refused("synth --out " + (folder / "x"),
                "this build has no zlib, which sysu's trial file needs (build with -DMPANET_ZLIB=ON)");
  CHECK(entries(folder.path()) == 0);
}
