// Input and output of mpanet-eval: bad input gives one line on stderr and leaves no files; links, pipes and descriptors
// can replace files.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "core/base/file.h"
#include "core/base/quote.h"
#include "tests/support/eval_program.h"
#include "tests/support/process.h"

using namespace mpanet;
namespace fs = std::filesystem;

namespace {

void replace(std::string& text, const std::string& before, const std::string& after) {
  const size_t at = text.find(before);
  REQUIRE(at != text.npos);
  text.replace(at, before.size(), after);
}

}  // namespace

TEST_CASE("files cannot write lines of ours") {
  if (kNoTrials) return;
  EvalFolder folder;
  const std::string forged = "\033]0;owned\a\033[31m\nmpanet-eval: all is well\xff", shown = printable(forged);
  const auto refused_without_raw_bytes = [&](const std::string& words) {
    check_refused(folder.arguments(), words);
    const std::string err = run(folder.arguments()).err;
    CHECK(!has(err, "\033"));
    CHECK(!has(err, "\a"));
    CHECK(!has(err, "\xff"));
  };
  SUBCASE("the header of features.npy") {
    std::string header = "{'descr': '" + forged + "', 'fortran_order': False, 'shape': (1,1), }";
    write_file(folder.npy(), std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header);
    refused_without_raw_bytes("expected dtype float16, float32 or float64 ('<f4' and the like), got \"'" + shown);
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1," + forged + "), }";
    write_file(folder.npy(), std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header);
    refused_without_raw_bytes("damaged .npy header: shape \"(1," + shown);
  }
  SUBCASE("a name in images.csv") {
    folder.lines += "cam1/\033[31m\xff.jpg,2,1,visible,x\r\n";
    folder.write();
    refused_without_raw_bytes("expected 4 fields (path,identity,camera,modality), got 5: \"cam1/\\x1b[31m\\xff.jpg");
  }
  SUBCASE("arguments") {
    check_refused("--features '" + forged + "' --data '" + folder.data() + "'", shown);
    check_refused("--checkpoint '" + forged + "' --data '" + folder.data() + "'", shown);
    check_refused("'--" + forged + "'", "\\x1b[31m\\n");
    check_refused("--chance '" + forged + "'", "--chance: expected a whole number in 0..");
    check_refused("--chance 0x10", "--chance: expected a whole number in 0..18446744073709551615, got \"0x10\"");
    check_refused(folder.arguments() + " --protocol '" + forged + "'", shown);
    check_refused("--checkpoint x --data '" + folder.data() + "' --device '" + forged + "'", shown);
  }
}

TEST_CASE("results through links, pipes and descriptors, trial files through pipes") {
  if (kNoTrials) return;
  const EvalFolder folder;
  const std::string json_file = folder / "result.json", json_to = folder.arguments() + " --json ";
  REQUIRE(run(json_to + json_file).code == 0);
  const std::string expected = read_text(json_file);
  const Result printed = run(json_to + "/dev/stdout");
  CHECK(printed.code == 0);
  CHECK(printed.out == expected);  // and nothing else: the table goes to stderr
  CHECK(has(printed.err, "protocol sysu"));
  CHECK(run(json_to + "/dev/fd/3 3>&1").out == expected);
  CHECK(run(json_to + "/dev/null").out.starts_with("protocol sysu"));
  CHECK(run(json_to + "/dev/fd/3 3>" + (folder / "descriptor")).code == 0);
  CHECK(read_text(folder / "descriptor") == expected);
  CHECK(run(json_to + "/proc/self/fd/3 3>&1 >/dev/null").out == expected);
  CHECK(run(json_to + "/dev/stderr").err.ends_with("\n" + expected));  // after the other output there
  fs::create_symlink("target", folder / "link");
  CHECK(run(json_to + (folder / "link")).code == 0);
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(read_text(folder / "target") == expected);
  CHECK(run("--help >/dev/null; mkfifo " + (folder / "pipe") + "; cat " + (folder / "pipe") + " >" + (folder / "read") +
            " & " PROGRAMS "/mpanet-eval " + json_to + (folder / "pipe") + "; wait")
            .code == 0);
  CHECK(read_text(folder / "read") == expected);
  CHECK(fs::is_fifo(folder / "pipe"));
  check_refused(json_to + (folder / "pipe"), "pipe: cannot write: nobody reads from this pipe");
  check_refused(json_to + "/dev/fd/9", "/dev/fd/9: cannot write: Bad file descriptor");
  const Result full = run(json_to + "/dev/full");
  CHECK(full.code == 2);
  CHECK(has(full.err, "/dev/full: cannot write: No space left on device"));
  CHECK(fs::is_character_file("/dev/full"));

  const std::string trials = folder / "trials.mat";
  fs::rename(folder.trial_file(), trials);
  const std::string with_trials = folder.arguments() + " --json " + (folder / "again.json") + " --trials ";
  CHECK(run(with_trials + "/dev/fd/3 3<" + trials).code == 0);
  CHECK(run("--help >/dev/null; cat " + trials + " | " PROGRAMS "/mpanet-eval " + with_trials + "/dev/stdin").code ==
        0);
  CHECK(read_text(folder / "again.json") == expected);
  check_refused(with_trials + "/dev/stdin </dev/null", "/dev/stdin: expected a file or a pipe, got a device");
}

TEST_CASE("an output that is an input, or another output, is refused before anything is written") {
  if (kNoTrials) return;
  const EvalFolder folder;
  const std::string arguments = folder.arguments() + " --json ";
  for (const std::string& input : {folder.csv(), folder.npy()}) {
    const std::string before = read_text(input);
    check_refused(arguments + input, "cannot write: it is --features, which this program reads");
    fs::create_hard_link(input, folder / "link");
    check_refused(arguments + (folder / "link"), "cannot write: it is --features, which this program reads");
    fs::remove(folder / "link");
    CHECK(read_text(input) == before);
  }
  check_refused(folder.arguments() + " --save-features '" + folder.features() + "'", "it is --features, which");
  fs::create_directory(folder.data() + "/cam3");
  const std::string both = folder / "both";
  check_refused(arguments + both + " --sheet '" + folder.path() + "/./both'", "\" is --json too");
  CHECK(!fs::exists(both));
  const std::string in_data = "cannot write: it is a list of --data, which this program reads";
  for (const std::string& list : {folder.data() + "/exp/test_id.txt", folder.trial_file()}) {
    const std::string before = read_text(list);
    check_refused(arguments + list, in_data);
    CHECK(read_text(list) == before);
  }
  // Pictures, also those that the evaluation does not read: of the training, or of everything with --features.
  const std::string picture = "cannot write: it is a picture of --data";
  fs::create_directories(folder.data() + "/cam3/0001");
  fs::create_directory_symlink("cam3", folder.data() + "/cam1");
  fs::create_directory_symlink(folder.data(), folder / "again");
  const std::string training = folder.data() + "/cam3/0001/0007.JPG";
  write_file(training, "a picture");
  fs::create_symlink(training, folder / "link");
  for (const std::string& path : {training, folder / "link", folder.data() + "/cam1/0001/0007.JPG",
                                  folder.data() + "/exp/../cam3/0001/0007.JPG", folder / "again/cam3/0001/0007.JPG"})
    for (const char* option : {"--json ", "--sheet "})
      check_refused(folder.arguments() + " " + option + path, path + ": " + picture);
  CHECK(read_text(training) == "a picture");
  for (const std::string& other :
       {folder.data() + "/result.jpg", folder.data() + "/cam3/0001/result.json", folder / "result.jpg"})
    for (int again = 0; again < 2; again++) CHECK(run(arguments + other).code == 0);
  const std::string trials = folder / "trials.mat";
  fs::rename(folder.trial_file(), trials);
  check_refused(arguments + trials + " --trials " + trials, "cannot write: it is --trials, which this program reads");
}

TEST_CASE("--ranks: a column that would be there twice is refused") {
  if (kNoTrials) return;
  const EvalFolder folder;
  check_refused(folder.arguments() + " --ranks 2,3,2", "--ranks: 2 stands twice");
  for (const char* rank : {"1", "5", "10", "20"})
    check_refused(folder.arguments() + " --ranks 2," + rank, std::string("--ranks: ") + rank + " is among the results");
  CHECK(has(run(folder.arguments() + " --ranks 2,3").out, " rank2   rank3 "));
}

TEST_CASE("--list: options without an effect are refused") {
  if (kNoTrials) return;
  const EvalFolder folder;
  const std::string list = "--list --data '" + folder.data() + "'";
  const Result plain = run(list + " --protocol sysu --mode all --shots single --direction infrared-to-visible");
  REQUIRE_MESSAGE(plain.code == 0, plain.err);
  CHECK(plain.out.starts_with("path,identity,camera,modality\ncam3/"));
  for (const char* other : {"--rerank",          "--flip",
                            "--per-trial",       "--json x",
                            "--save-features x", "--sheet x.png",
                            "--chance 1",        "--ranks 2",
                            "--memory 1G",       "--distance cosine",
                            "--cmc images",      "--feature before-bn",
                            "--parts 1",         "--size 384x128",
                            "--device cpu",      "--precision f64",
                            "--batch 8",         "--threads 1",
                            "--conv native",     "--gemm native"}) {
    const std::string option = std::string(other).substr(0, std::string_view(other).find(' '));
    check_refused(list + " " + other, "--list: takes --data and what chooses the protocol, got " + option + " too");
  }
  CHECK(!fs::exists("x"));
  check_refused(list + " --checkpoint x", "--checkpoint: with --list only for regdb");
  check_refused("--list", "--data is needed");
  // An option twice.
  check_refused("--chance 1 --chance 2 --data '" + folder.data() + "'", "--chance: expected once, got 2 times");
  check_refused(folder.arguments() + " --data x", "--data: expected once, got 2 times");
}

TEST_CASE("features by the names of a tree whose pictures end in .JPG or .png") {
  if (kNoTrials) return;
  EvalFolder folder;
  const Result before = run(folder.arguments());
  REQUIRE(before.code == 0);
  for (const char* ending : {".JPG", ".png"}) {
    EvalFolder other;
    for (size_t at; (at = other.lines.find(".jpg")) != std::string::npos;) other.lines.replace(at, 4, ending);
    other.write();
    const Result after = run(other.arguments() + " --json '" + (other / "x.json") + "'");
    CHECK_MESSAGE(after.code == 0, after.err);
    CHECK(after.out.substr(after.out.find("flip")) == before.out.substr(before.out.find("flip")));
    CHECK(has(read_text(other / "x.json"), std::string("cam3/0002/0001") + ending));
  }
  // A row with the trial file's own name comes before another of the same stem.
  folder.lines += "cam1/0002/0002.png,9,9,infrared\r\n";
  folder.numbers.insert(folder.numbers.end(), {7, 7});
  folder.write({10, 2});
  CHECK(run(folder.arguments()).out == before.out);
}

TEST_CASE("a name that JSON cannot hold is found before the evaluation") {
  if (kNoTrials) return;
  const EvalFolder folder;
  const std::string odd = folder / "features\xff";
  fs::rename(folder.features(), odd);
  const std::string arguments = "--data '" + folder.data() + "' --features '" + odd + "'";
  check_refused(arguments + " --json " + (folder / "result.json"), "--json: expected a name in UTF-8");
  check_refused("--data '" + folder.data() + "' --checkpoint 'odd\xff' --json " + (folder / "result.json"),
                "--json: expected a name in UTF-8");
  CHECK(!fs::exists(folder / "result.json"));
  CHECK(run(arguments).code == 0);
}

TEST_CASE("--save-features that fails leaves the folder as it was") {
  if (kNoTrials) return;
  EvalFolder folder;
  const auto state = [&] {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(folder / "saved"))
      files[entry.path().filename()] = read_text(entry.path());
    return files;
  };
  const auto save = [&](const std::string& to, long limit) {
    Process process(
        {PROGRAMS "/mpanet-eval", "--features", folder.features(), "--data", folder.data(), "--save-features", to},
        limit);
    const int code = process.wait();
    return code == 0 ? "" : process.err();
  };
  REQUIRE(save(folder / "saved", -1) == "");
  write_file(folder / "saved/notes", "mine");
  const auto before = state();
  CHECK(before.size() == 3);
  folder.numbers[2] = 7;
  folder.write();
  // Space for one of the two files: the numbers have 192 bytes, the list 304.
  CHECK(has(save(folder / "saved", 250), "images.csv: cannot write: File too large"));
  CHECK(has(save(folder / "saved", 100), "cannot write: File too large"));
  CHECK(state() == before);
  CHECK(has(save(folder / "new/er", 250), "cannot write: File too large"));
  CHECK(!fs::exists(folder / "new"));
  CHECK(save(folder / "saved", -1) == "");
  const auto after = state();
  CHECK(after.size() == 3);
  CHECK(after != before);
}

TEST_CASE("bad data sets and folders of features") {
  if (kNoTrials) return;
  EvalFolder folder;
  const std::string arguments = folder.arguments() + " --json '" + (folder / "result.json") + "'";
  SUBCASE("mode and shots") {
    check_refused(arguments + " --mode outdoor", "mode: expected all or indoor, got 'outdoor'");
    check_refused(arguments + " --shots 10", "shots: expected single or multi, got '10'");
  }
  SUBCASE("nowhere to write") {
    check_refused(folder.arguments() + " --save-features '" + folder.csv() + "/f'",
                  "images.csv/f: cannot make the folder");
    write_file(folder / "file", "x");
    check_refused(folder.arguments() + " --save-features '" + (folder / "file") + "'",
                  "file: cannot make the folder: Not a directory");
    check_refused(folder.arguments() + " --sheet '" + (folder / "file/s.png") + "'", "s.png: cannot write");
    check_refused(folder.arguments() + " --json '" + folder.features() + "'",
                  "features: expected a file to write, got a folder");
  }
  SUBCASE("no trial file") {
    fs::remove(folder.trial_file());
    check_refused(arguments, "rand_perm_cam.mat");
    check_refused(arguments + " --trials nowhere.mat", "nowhere.mat: no such trial file");
  }
  SUBCASE("no list of test identities") {
    fs::remove(folder.data() + "/exp/test_id.txt");
    check_refused(arguments, "test_id.txt");
  }
  SUBCASE("no features") {
    fs::remove(folder.npy());
    check_refused(arguments, "features.npy");
    fs::remove(folder.csv());
    check_refused(arguments, "images.csv");
  }
  SUBCASE("other numbers of rows") {
    folder.write({8, 2});
    check_refused(arguments, "features.npy: expected 9 rows, one per line of images.csv, got 8");
    folder.write({18});
    check_refused(arguments, "features.npy: expected the shape (images, numbers), got (18)");
  }
  SUBCASE("numbers that are none") {
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      folder.numbers[5] = bad;
      folder.write();
      check_refused(arguments, "features.npy: row 2 (\"cam1/0001/0001.jpg\"), column 1 is ");
    }
  }
  SUBCASE("an image missing") {
    replace(folder.lines, "cam1/0003/0002.jpg", "cam1/0003/0009.jpg");
    folder.write();
    check_refused(arguments, "images.csv: cam1/0003/0002.jpg is missing");
  }
  SUBCASE("a path twice") {
    replace(folder.lines, "cam1/0003/0002.jpg", "cam1/0003/0001.jpg");
    folder.write();
    check_refused(arguments, "images.csv line 7: \"cam1/0003/0001.jpg\" is already in line 6");
  }
  SUBCASE("another header") {
    replace(folder.lines, "path,identity,camera,modality", "path,id,camera,modality");
    folder.write();
    check_refused(arguments, "images.csv line 1: expected the header 'path,identity,camera,modality', got \"path,id,");
  }
  SUBCASE("malformed lines") {
    const std::string good = "cam1/0002/0001.jpg,2,1,visible";
    for (const auto& [line, words] :
         {std::pair("cam1/0002/0001.jpg,2,1", "expected 4 fields"),
          std::pair("cam1/0002/0001.jpg,2,1,visible,1", "expected 4 fields"),
          std::pair(",2,1,visible", "the path is empty"),
          std::pair("cam1/0002/0001.jpg,two,1,visible", "expected an identity from 0"),
          std::pair("cam1/0002/0001.jpg,2,-1,visible", "expected a camera from 0"),
          std::pair("\"cam1/0002/0001.jpg,2,1,visible", "the quote that opens here is never closed"),
          std::pair("cam1/0002/0001.jpg,2,1,thermal", "expected visible or infrared")}) {
      EvalFolder fresh;
      replace(fresh.lines, good, line);
      fresh.write();
      check_refused(fresh.arguments(), std::string("images.csv line 3: ") + words);
    }
  }
  SUBCASE("a list as a spreadsheet writes it") {
    const Result before = run(arguments);
    REQUIRE_MESSAGE(before.code == 0, before.err);
    std::string rows;
    for (const char c : folder.lines) rows += c == '\n' ? "\n\r\n" : std::string(1, c);  // blank lines
    replace(rows, "cam1/0002/0001.jpg,2,1,visible", "\"cam1/0002/0001.jpg\", 2 ,01,visible,,");
    folder.lines = "\xef\xbb\xbf\r\n" + rows;
    folder.write();
    const Result after = run(arguments);
    CHECK_MESSAGE(after.code == 0, after.err);
    CHECK(after.out == before.out);
    fs::remove(folder / "result.json");
    replace(folder.lines, "cam1/0003/0002.jpg,3,1", "cam1/0003/0002.jpg,x,1");
    folder.write();
    check_refused(arguments, "images.csv line 12: expected an identity from 0, got \"x\"");
  }
  SUBCASE("float64 beyond float32's range") {
    std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (9, 2), }\n", numbers;
    for (const double bad : {1e300, 1e-300}) {
      std::vector<double> values(folder.numbers.begin(), folder.numbers.end());
      values[6] = bad, values[7] = bad;
      numbers.assign(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double));
      write_file(folder.npy(),
                 std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header + numbers);
      check_refused(arguments, fmt::format("features.npy: row 3, column 0 is {}", bad));
    }
  }
  SUBCASE("an identity, camera or modality that is another's") {
    const std::string good = "cam1/0002/0001.jpg,2,1,visible";
    for (const char* line :
         {"cam1/0002/0001.jpg,3,1,visible", "cam1/0002/0001.jpg,2,2,visible", "cam1/0002/0001.jpg,2,1,infrared"}) {
      EvalFolder fresh;
      replace(fresh.lines, good, line);
      fresh.write();
      check_refused(fresh.arguments(), "images.csv line 3: expected identity 2, camera 1, visible for cam1/0002");
    }
  }
  CHECK(!fs::exists(folder / "result.json"));
}
