// mpanet-eval as a program: results on stdout and in files, options. test_eval_input tests bad input, test_eval_network
// networks.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "data/sets/npy.h"
#include "mpanet/evaluation/features.h"
#include "tests/support/eval_program.h"
#include "tests/support/evaluation_fixture.h"

using namespace mpanet;
using nlohmann::json;
namespace fs = std::filesystem;

TEST_CASE("a folder of features, its table and its result file") {
  if (kNoTrials) return;
  const EvalFolder folder;
  const std::string file = folder / "result.json";
  const Result result = run(folder.arguments() + " --per-trial --json '" + file + "'");
  CHECK_MESSAGE(has(result.err, " thread"), result.err);  // only the line about threads
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
    // Three queries have their match at rank 1; the fourth at rank 2 of 2, or at 3 and 4 of 4.
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
    // Only the rounding of sums in double.
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
  const EvalFolder folder;
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
  check_refused("--checkpoint a --data b --precision f8",
                "--precision: expected auto, f32, tf32, bf16, f16 or f64, got f8");
  check_refused("--checkpoint a --data b --batch 0", "--batch");
  check_refused("--checkpoint a --data b --fast", "--fast");
  check_refused("--features a --data b --json no/such/folder/f.json",
                "f.json: cannot write: there is no folder no/such/folder");
  check_refused("--features a --data b --protocol market",
                "unknown protocol 'market', expected one of: sysu, agw, regdb");
  check_refused("--features a --data '" + (folder / "none") + "'", "none");
  const Result help = run("--help");
  CHECK(help.code == 0);
  for (const char* words : {"--checkpoint", "--features", "--save-features", "path,identity,camera,modality"})
    CHECK(has(help.out, words));
}
