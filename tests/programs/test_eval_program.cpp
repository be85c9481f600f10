// mpanet-eval as its users meet it: results in files, exit codes, and bad input answered by one line on stderr with
// nothing left behind.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/quote.h"
#include "core/base/random.h"
#include "data/pictures/image.h"
#include "data/sets/npy.h"
#include "data/sets/sysu.h"
#include "mpanet/evaluation/features.h"
#include "mpanet/files/checkpoint.h"
#include "tests/support/evaluation_fixture.h"
#include "tests/support/process.h"
#include "tests/support/shell.h"
#include "tests/support/temporary_folder.h"
// clang-format off: last, because its CHECK replaces the engine's
#include <doctest/doctest.h>
// clang-format on

using namespace mpanet;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// Builds without these libraries skip what needs them.
const bool kNoTrials = !trial_files_supported(), kNoPictures = kNoTrials || !jpeg_supported() || !png_supported();

Result run(const std::string& arguments) { return run_program("mpanet-eval", arguments); }

void check_refused(const std::string& arguments, const std::string& words) {
  CHECK(not_refused("mpanet-eval", arguments, words) == "");
}

// exp/ of two identities, 2 and 3, each with two images of cameras 1 (visible) and 3 (infrared), and their embeddings:
// every identity has a direction of its own, but identity 3's second infrared image looks like identity 2.
class Folder : public TemporaryFolder {
 public:
  Folder() {
    fs::create_directories(data() + "/exp");
    fs::create_directory(features());
    write_file(data() + "/exp/test_id.txt", "2,3\n");
    TrialFile trials;
    for (int camera = 1; camera <= kSysuCameras; camera++) trials.resize(camera, 3);
    std::vector<int32_t> numbers;
    for (int trial = 0; trial < kSysuTrials; trial++) numbers.insert(numbers.end(), {1 + trial % 2, 2 - trial % 2});
    for (const int camera : {1, 3})
      for (const int identity : {2, 3}) trials.set(camera, identity, 2, numbers);
    write_trial_file(trial_file(), trials);
    write();
  }
  std::string data() const { return path() + "/data"; }
  std::string trial_file() const { return data() + "/exp/rand_perm_cam.mat"; }
  std::string features() const { return path() + "/features"; }
  std::string csv() const { return features() + "/images.csv"; }
  std::string npy() const { return features() + "/features.npy"; }
  std::string arguments() const { return "--features '" + features() + "' --data '" + data() + "'"; }

  // Rows in no order; a training image that the protocol does not need among them.
  std::string lines =
      "path,identity,camera,modality\r\ncam3/0003/0002.jpg,3,3,infrared\r\n"
      "cam1/0002/0001.jpg,2,1,visible\r\ncam1/0001/0001.jpg,1,1,visible\r\ncam3/0002/0001.jpg,2,3,infrared\r\n"
      "cam1/0003/0002.jpg,3,1,visible\r\ncam1/0003/0001.jpg,3,1,visible\r\ncam3/0003/0001.jpg,3,3,infrared\r\n"
      "cam3/0002/0002.jpg,2,3,infrared\r\ncam1/0002/0002.jpg,2,1,visible\r\n";
  std::vector<float> numbers = {3, 1, 5, 0, 0, 0, 2, 1, 0, 1, 1, 2, 0, 3, 1, 0, 4, 1};  // (9, 2)
  void write(std::vector<int64_t> shape = {9, 2}) const {
    write_file(csv(), lines);
    OutputFile file(npy());
    write_npy(file, shape, numbers.data());
    file.commit();
  }
};

void replace(std::string& text, const std::string& before, const std::string& after) {
  const size_t at = text.find(before);
  REQUIRE(at != text.npos);
  text.replace(at, before.size(), after);
}

}  // namespace

TEST_CASE("a folder of features, its table and its result file") {
  if (kNoTrials) return;
  const Folder folder;
  const std::string file = folder / "result.json";
  const Result result = run(folder.arguments() + " --per-trial --json '" + file + "'");
  CHECK_MESSAGE(has(result.err, " thread"), result.err);  // how many, and nothing else
  CHECK_MESSAGE(std::count(result.err.begin(), result.err.end(), '\n') == 1, result.err);
  REQUIRE(result.code == 0);
  for (const std::string& words :
       {std::string("infrared queries, visible gallery"), std::string("squared Euclidean"), folder.features(),
        std::string("without match"), std::string("trial 9"), std::string("75.00")})
    CHECK_MESSAGE(has(result.out, words), words);
  const json results = json::parse(read_text(file))["results"];
  REQUIRE(results.size() == 4);
  const std::vector<std::pair<std::string, std::string>> order = {
      {"all", "single"}, {"all", "multi"}, {"indoor", "single"}, {"indoor", "multi"}};
  for (size_t i = 0; i < 4; i++) {
    const json& entry = results[i];
    CHECK(entry["mode"] == order[i].first);
    CHECK(entry["shots"] == order[i].second);
    CHECK(entry["queries"] == 4);
    CHECK(entry["gallery"] == (order[i].second == "single" ? 2 : 4));
    CHECK(entry["queries_without_match"] == 0);
    CHECK(entry["trials"] == 10);
    CHECK(entry["rank1"] == 75.0);
    CHECK(entry["rank5"] == 100.0);
    CHECK(entry["rank10"] == 100.0);
    CHECK(entry["rank20"] == 100.0);
    // Three queries find theirs first; the fourth at 2 of 2, or at 3 and 4 of 4.
    const bool single = order[i].second == "single";
    CHECK(entry["mAP"].get<double>() == doctest::Approx(25 * (3 + (single ? 1 / 2. : (1 / 3. + 2 / 4.) / 2))));
    CHECK(entry["mINP"].get<double>() == doctest::Approx(25 * 3.5));
    CHECK(entry["per_trial"]["rank1"] == std::vector<double>(10, 75.0));
  }
  SUBCASE("a mode and a kind of shots alone") {
    REQUIRE(run(folder.arguments() + " --mode indoor --shots multi --json '" + file + "'").code == 0);
    CHECK(json::parse(read_text(file))["results"] == json::array({results[3]}));
  }
  SUBCASE("the trial file elsewhere") {
    fs::rename(folder.trial_file(), folder / "trials.mat");
    CHECK(run(folder.arguments() + " --trials '" + (folder / "trials.mat") + "'").code == 0);
  }
  SUBCASE("saved again: the protocol's images alone, in order, with the same results") {
    const std::string saved = folder / "new/saved", again = folder / "again.json";
    REQUIRE(run(folder.arguments() + " --save-features '" + saved + "'").code == 0);
    CHECK(read_text(saved + "/images.csv") ==
          "path,identity,camera,modality\n"
          "cam3/0002/0001.jpg,2,3,infrared\ncam3/0002/0002.jpg,2,3,infrared\ncam3/0003/0001.jpg,3,3,infrared\n"
          "cam3/0003/0002.jpg,3,3,infrared\ncam1/0002/0001.jpg,2,1,visible\ncam1/0002/0002.jpg,2,1,visible\n"
          "cam1/0003/0001.jpg,3,1,visible\ncam1/0003/0002.jpg,3,1,visible\n");
    const NpyFloats numbers = read_npy(saved + "/features.npy");
    CHECK(numbers.shape == std::vector<int64_t>{8, 2});
    CHECK(numbers.values == std::vector<float>{2, 1, 1, 0, 0, 3, 3, 1, 5, 0, 4, 1, 1, 2, 0, 1});
    REQUIRE(run("--features '" + saved + "' --data '" + folder.data() + "' --json '" + again + "'").code == 0);
    CHECK(json::parse(read_text(again))["results"] == results);
  }
}

TEST_CASE("a folder gives the authors' numbers of the small data set") {
  if (kNoTrials) return;
  const json data = evaluation_fixture("eval_small.json");
  const TrialFile trials = small_trials(data);
  const TemporaryFolder folder;
  fs::create_directories(folder / "data/exp");
  std::string ids;
  for (const int id : data["test_ids"]) ids += (ids.empty() ? "" : ",") + std::to_string(id);
  write_file(folder / "data/exp/test_id.txt", ids + "\n");
  write_trial_file(folder / "data/exp/rand_perm_cam.mat", trials);
  const EvaluationPlan plan = plan_sysu(data["test_ids"], trials);
  write_features(folder / "features", images_of({plan}), made_up_embeddings(plan, data));
  const Result result = run("--features '" + (folder / "features") + "' --data '" + (folder / "data") + "' --json '" +
                            (folder / "result.json") + "'");
  REQUIRE(result.code == 0);
  for (const json& entry : json::parse(read_text(folder / "result.json"))["results"]) {
    const std::string name = entry["mode"].get<std::string>() + (entry["shots"] == "single" ? "/1" : "/10");
    const json& expected = data["results"][name];
    // Nothing but the rounding of sums in double.
    for (const auto& [ours, theirs] : {std::pair("rank1", "r1"), std::pair("rank5", "r5"), std::pair("rank10", "r10"),
                                       std::pair("rank20", "r20"), std::pair("mAP", "mAP"), std::pair("mINP", "mINP")})
      CHECK(std::abs(entry[ours].get<double>() - expected[theirs].get<double>()) < 1e-9);
    CHECK(entry["queries"] == data["queries"]);
    CHECK(entry["gallery"] == expected["gallery"][0]);
    CHECK(entry["queries_without_match"] == expected["queries_without_match"][0]);
  }
}

TEST_CASE("chance by seed") {
  if (kNoTrials) return;
  const Folder folder;
  const auto chance = [&](const std::string& seed) {
    return run("--chance " + seed + " --data '" + folder.data() + "'");
  };
  REQUIRE(chance("1").code == 0);
  CHECK(has(chance("1").out, "random"));
  CHECK(chance("1").out == chance("1").out);
  CHECK(chance("1").out != chance("2").out);
}

TEST_CASE("options that make no sense") {
  const TemporaryFolder folder;
  check_refused("", "--checkpoint, --features and --chance");
  check_refused("--data '" + folder.path() + "'", "--checkpoint, --features and --chance");
  check_refused("--checkpoint a --features b --data c", "--checkpoint, --features and --chance");
  check_refused("--features a", "--data is needed");
  check_refused("--features a --data b --size 64x32", "--size");
  check_refused("--checkpoint a --data b --device tpu", "device tpu: expected cpu, emu");
  check_refused("--checkpoint a --data b --precision f8", "--precision: expected f32, f64");
  check_refused("--checkpoint a --data b --batch 0", "--batch");
  check_refused("--checkpoint a --data b --fast", "--fast");
  check_refused("--features a --data b --json no/such/folder/f.json",
                "f.json: cannot write: there is no folder no/such/folder");
  check_refused("--features a --data b --protocol market", "unknown protocol 'market', expected one of: sysu, agw");
  check_refused("--features a --data '" + (folder / "none") + "'", "none");
  const Result help = run("--help");
  CHECK(help.code == 0);
  for (const char* words : {"--checkpoint", "--features", "--save-features", "path,identity,camera,modality"})
    CHECK(has(help.out, words));
}

TEST_CASE("files cannot write lines of ours") {
  if (kNoTrials) return;
  Folder folder;
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
    refused_without_raw_bytes("expected dtype '<f4' (float32), got \"'" + shown);
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
  const Folder folder;
  const std::string json_file = folder / "result.json", json_to = folder.arguments() + " --json ";
  REQUIRE(run(json_to + json_file).code == 0);
  const std::string expected = read_text(json_file);
  const Result printed = run(json_to + "/dev/stdout");
  CHECK(printed.code == 0);
  CHECK(printed.out.ends_with("\n" + expected));
  CHECK(printed.out.starts_with("protocol sysu"));  // the table first
  CHECK(run(json_to + "/dev/fd/3 3>" + (folder / "descriptor")).code == 0);
  CHECK(read_text(folder / "descriptor") == expected);
  CHECK(run(json_to + "/proc/self/fd/3 3>&1 >/dev/null").out == expected);
  CHECK(run(json_to + "/dev/stderr").err.ends_with("\n" + expected));  // after what is said there anyway
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

TEST_CASE("a name that JSON cannot hold is found before the evaluation") {
  if (kNoTrials) return;
  const Folder folder;
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
  Folder folder;
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
  // Room for one of the two files: the numbers take 192 bytes, the list 304.
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
  Folder folder;
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
    check_refused(arguments, "images.csv line 7: \"cam1/0003/0001.jpg\" stands in line 6 already");
  }
  SUBCASE("another header") {
    replace(folder.lines, "path,identity,camera,modality", "path,id,camera,modality");
    folder.write();
    check_refused(arguments, "images.csv: expected the header 'path,identity,camera,modality', got \"path,id,");
  }
  SUBCASE("malformed lines") {
    const std::string good = "cam1/0002/0001.jpg,2,1,visible";
    for (const auto& [line, words] :
         {std::pair("cam1/0002/0001.jpg,2,1", "expected 4 fields"),
          std::pair("cam1/0002/0001.jpg,2,1,visible,1", "expected 4 fields"), std::pair("", "expected 4 fields"),
          std::pair(",2,1,visible", "the path is empty"),
          std::pair("cam1/0002/0001.jpg,two,1,visible", "expected an identity from 1"),
          std::pair("cam1/0002/0001.jpg,2,0,visible", "expected a camera from 1"),
          std::pair("cam1/0002/0001.jpg,2,1,thermal", "expected visible or infrared")}) {
      Folder fresh;
      replace(fresh.lines, good, line);
      fresh.write();
      check_refused(fresh.arguments(), std::string("images.csv line 3: ") + words);
    }
  }
  SUBCASE("an identity, camera or modality that is another's") {
    const std::string good = "cam1/0002/0001.jpg,2,1,visible";
    for (const char* line :
         {"cam1/0002/0001.jpg,3,1,visible", "cam1/0002/0001.jpg,2,2,visible", "cam1/0002/0001.jpg,2,1,infrared"}) {
      Folder fresh;
      replace(fresh.lines, good, line);
      fresh.write();
      check_refused(fresh.arguments(), "images.csv line 3: expected identity 2, camera 1, visible for cam1/0002");
    }
  }
  CHECK(!fs::exists(folder / "result.json"));
}

namespace {

// The same two identities with pictures on disk, and a network that fits pictures of 48x32.
class Pictures : public Folder {
 public:
  Pictures() {
    Random random(1, Purpose::Test, 0, 0);
    for (const int camera : {1, 3})
      for (const int identity : {2, 3})
        for (const int number : {1, 2}) {
          Image image{30 + number, 12 + camera, std::vector<uint8_t>((30 + number) * (12 + camera) * 3)};
          for (uint8_t& value : image.pixels) value = static_cast<uint8_t>(random.below(128) + 60 * (identity - 2));
          const fs::path file = data() + "/" + sysu_path(camera, identity, number);
          fs::create_directories(file.parent_path());
          write_jpeg(file.string(), image, 90);
        }
    TrainConfig config;
    config.model.depth = "tiny";
    config.model.height = 48;
    config.model.width = 32;
    config.model.classes = 7;  // the data set has two identities: evaluation does not care
    EngineConfig engine_config;
    engine_config.model = config.model;
    engine_config.embed_batch = 1;
    const auto engine = make_engine(engine_config);
    engine->initialize(3);
    save_model(checkpoint(), *engine, config, 0);
  }
  std::string checkpoint() const { return path() + "/best.safetensors"; }
  std::string network() const { return "--checkpoint '" + checkpoint() + "' --data '" + data() + "'"; }
};

NpyFloats saved_features(const Pictures& folder, const std::string& options) {
  const std::string saved = folder / "saved";
  REQUIRE(run(folder.network() + " --save-features '" + saved + "' " + options).code == 0);
  return read_npy(saved + "/features.npy");
}

double largest_difference(const NpyFloats& a, const NpyFloats& b) {
  REQUIRE(a.shape == b.shape);
  double largest = 0;
  for (size_t i = 0; i < a.values.size(); i++)
    largest = std::max(largest, std::abs(static_cast<double>(a.values[i]) - b.values[i]));
  return largest;
}

}  // namespace

TEST_CASE("a network, its features and its sheet") {
  if (kNoPictures) return;
  const Pictures folder;
  const std::string json_file = folder / "result.json", sheet = folder / "sheet.png", saved = folder / "saved";
  const Result result =
      run(folder.network() + " --json '" + json_file + "' --sheet '" + sheet + "' --save-features '" + saved + "'");
  REQUIRE_MESSAGE(result.code == 0, result.err);
  CHECK(has(result.out, "best.safetensors"));
  const json results = json::parse(read_text(json_file))["results"];
  CHECK(results[0]["queries"] == 4);
  CHECK(results[1]["gallery"] == 4);
  const NpyFloats features = read_npy(saved + "/features.npy");
  CHECK(features.shape == std::vector<int64_t>{8, 7 * 128});  // six pattern parts and the mean, 128 channels
  CHECK(decode_image(sheet).width > 11 * 48);

  SUBCASE("the folder it saved gives the same results") {
    REQUIRE(run("--features '" + saved + "' --data '" + folder.data() + "' --json '" + json_file + "'").code == 0);
    CHECK(json::parse(read_text(json_file))["results"] == results);
  }
  SUBCASE("other batches and threads give the same embeddings, double nearly the same") {
    // Sums of 128 channels' products in float32: about 1e-6 of values near 1.
    CHECK(largest_difference(features, saved_features(folder, "--batch 3 --threads 1")) < 1e-4);
    const double to_double = largest_difference(features, saved_features(folder, "--precision f64"));
    CHECK(to_double < 1e-3);
    CHECK(to_double > 0);
  }
  SUBCASE("another size of pictures gives other embeddings") {
    CHECK(largest_difference(features, saved_features(folder, "--size 64x32")) > 1e-2);
    check_refused(folder.network() + " --size 48", "--size: expected HEIGHTxWIDTH");
  }
}

TEST_CASE("bad networks and pictures") {
  if (kNoPictures) return;
  const Pictures folder;
  const std::string json_file = folder / "result.json", arguments = folder.network() + " --json '" + json_file + "'";
  const std::string picture = folder.data() + "/cam3/0002/0002.jpg";
  SUBCASE("a picture missing") {
    fs::remove(picture);
    check_refused(arguments, "cam3/0002/0002.jpg: no such picture");
  }
  SUBCASE("a checkpoint that is none") {
    write_file(folder.checkpoint(), "no tensors");
    check_refused(arguments, "best.safetensors");
    fs::remove(folder.checkpoint());
    check_refused(arguments, "best.safetensors");
  }
  SUBCASE("a checkpoint cut short") {
    fs::resize_file(folder.checkpoint(), fs::file_size(folder.checkpoint()) - 8);
    check_refused(arguments, "best.safetensors");
  }
  SUBCASE("a picture that is none, met while embedding") {
    write_file(picture, "no picture");
    const Result result = run(arguments);
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    CHECK(has(result.err.substr(result.err.find("mpanet-eval: ")), "cam3/0002/0002.jpg"));
  }
  CHECK(!fs::exists(json_file));
}
