// Experiments of several runs: the runs of a command, and their summary.
#include <doctest/doctest.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <tuple>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/interrupt.h"
#include "core/base/number_list.h"
#include "mpanet/training/experiment.h"
#include "mpanet/training/experiment_summary.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text.h"

using namespace mpanet;
using nlohmann::json;

namespace {

std::vector<std::string> names_of(const ExperimentOptions& options) {
  std::vector<std::string> names;
  for (const PlannedRun& run : plan_runs(options)) names.push_back(run.name);
  return names;
}

json scores(const char* direction, double rank1) {
  return {{"direction", direction}, {"mode", "all"}, {"shots", "all"},     {"rank1", rank1}, {"rank5", nullptr},
          {"rank10", 96},           {"rank20", 98},  {"mAP", rank1 - 0.5}, {"mINP", 50}};
}

std::string evaluation(int epoch, bool best, double first, double second) {
  return json{{"kind", "evaluation"},
              {"step", epoch * 10},
              {"epoch", epoch},
              {"best", best},
              {"results",
               {scores("infrared queries, visible gallery", first),
                scores("visible queries, infrared gallery", second)}}}
             .dump() +
         "\n";
}

}  // namespace

TEST_CASE("lists of numbers") {
  using List = std::vector<int>;
  CHECK(parse_number_list("7", 1, 10) == List{7});
  CHECK(parse_number_list("1..3,10,5..5", 1, 10) == List{1, 2, 3, 10, 5});
  for (const char* text : {"", ",", "1,", "a", "0", "11", "1..11", "3..1", "1...3", "1..", "..3", "1,1", "1..3,2", " 1",
                           "1-3", "99999999999", "-1"})
    CHECK_MESSAGE(!parse_number_list(text, 1, 10), text);
}

TEST_CASE("a list of numbers that is refused says why") {
  const auto why = [](const char* text) {
    std::string words = "before";
    CHECK(!parse_number_list(text, 0, 1000000, &words));
    return words;
  };
  CHECK(why("1,1") == ", which has 1 twice");
  CHECK(why("0..1000000,7") == ", which has 7 twice");
  CHECK(why("3..1") == ", which has the range 3..1 downwards");
  CHECK(why("x") == "");
}

TEST_CASE("an experiment has a sensible number of runs") {
  std::vector<int> seeds(10000);
  for (size_t i = 0; i < seeds.size(); i++) seeds[i] = static_cast<int>(i);
  CHECK(plan_runs({{}, seeds, "", ""}).size() == 10000);
  const std::string most = "--splits, --seeds and --sweep: expected at most 10000 runs in all, got ";
  CHECK(error_of([&] { plan_runs({{1, 2}, seeds, "", ""}); }) == most + "20000");
  TemporaryFolder folder;
  write_file(folder / "s.json", R"({"lr": [0.1, 0.2, 0.3]})");
  CHECK(error_of([&] { plan_runs({{}, seeds, folder / "s.json", ""}); }) == most + "30000");
}

TEST_CASE("a signal is remembered from one run of an experiment to the next") {
  {
    const InterruptGuard experiment;
    {
      const InterruptGuard run;
      CHECK(!interrupted());
      raise(SIGUSR1);
    }
    CHECK(interrupted());
    const InterruptGuard next;
    CHECK(interrupted());
    CHECK(interrupt_exit_code() == 128 + SIGUSR1);
  }
  const InterruptGuard other;
  CHECK(!interrupted());
}

TEST_CASE("runs: all combinations, with names for folders and groups for means") {
  CHECK(names_of({{1, 3}, {}, "", ""}) == std::vector<std::string>{"split-1", "split-3"});
  CHECK(names_of({{1, 3}, {0, 5}, "", ""}) ==
        std::vector<std::string>{"split-1_seed-0", "split-1_seed-5", "split-3_seed-0", "split-3_seed-5"});
  TemporaryFolder folder;
  const std::string file = folder / "s.json";
  write_file(file, R"({"lr": [0.001, 5e-4], "depth": ["18"], "lr_step": [[80, 120], []]})");
  const auto runs = plan_runs({{}, {7}, file, ""});
  REQUIRE(runs.size() == 4);
  CHECK(runs[0].name == "lr=0.001_depth=18_lr_step=_80,120__seed-7");
  CHECK(runs[0].settings == std::vector<std::string>{"lr=0.001", "depth=18", "lr_step=[80,120]", "seed=7"});
  CHECK(runs[0].group == "lr=0.001 depth=18 lr_step=[80,120]");
  CHECK(runs[3].settings == std::vector<std::string>{"lr=0.0005", "depth=18", "lr_step=[]", "seed=7"});
  const auto refused = [&](const std::string& text, std::vector<int> splits = {}) {
    write_file(file, text);
    const std::string message = error_of([&] { plan_runs({splits, {}, file, ""}); });
    CHECK(message.find('\n') == message.npos);
    return message;
  };
  CHECK(has(refused("{\"lr\": 0.1}"), file + ": lr: expected a list of values, got 0.1"));
  CHECK(has(refused("{\"lr\": []}"), "lr: expected a list of values"));
  CHECK(has(refused("{\"lr\": [0.1, \"x\"]}"), "lr: expected a number in 0..100, got \"x\""));
  CHECK(has(refused("{\"lr\": [0.1, 0.1]}"), "lr: the value 0.1 stands twice"));
  CHECK(has(refused("{\"lr\": [1, 0.5, 1.0]}"), "lr: 1 and 1.0 are the same value"));
  CHECK(has(refused("{\"depth\": [\"18\", 18]}"), "depth: \"18\" and 18 are the same value"));
  CHECK(has(refused("{\"lr\": [1e-400]}"), "expected JSON, got a number out of range: 1e-400"));
  CHECK(has(refused("{\"rate\": [0.1]}"), "unknown key \"rate\""));
  CHECK(has(refused("{\"split\": [1]}", {1}), "split: --splits gives it too"));
  const std::string expected = file + ": expected lists of values by key such as {\"lr\": [0.001, 0.0005]}, got ";
  CHECK(refused("[1]") == expected + "[1]");
  CHECK(refused("{}") == expected + "no key");
  CHECK(has(refused("{"), file));
  CHECK(has(error_of([&] { plan_runs({{}, {}, folder / "absent", ""}); }), "absent: cannot open"));
}

TEST_CASE("the summary: best and last evaluations, mean and standard deviation by n - 1") {
  TemporaryFolder folder;
  ExperimentSummary summary("data", 3);
  TrainConfig config;
  for (int split = 1; split <= 3; split++) {
    config.split = split;
    // The best of each: 80, 82, 84 and 70, 71, 75; the last: 60 and 61.
    write_file(folder / "log.jsonl", "{\"kind\": \"step\", \"step\": 1}\n" + evaluation(1, true, 10, 10) +
                                         evaluation(2, true, 78 + 2 * split, split == 3 ? 75 : 69 + split) +
                                         evaluation(3, false, 60, 61));
    summary.add({fmt::format("split-{}", split), {fmt::format("split={}", split)}, ""}, config, folder / "log.jsonl");
  }
  CHECK(summary.last_line() ==
        "split-3: after epoch 2; infrared to visible: rank-1 84.00 %, mAP 83.50 %; "
        "visible to infrared: rank-1 75.00 %, mAP 74.50 %\n");
  CHECK(summary.table() ==
        "3 of 3 runs; percent, of the best evaluation of each, chosen on the test set\n"
        "                           infrared to visible    visible to infrared\n"
        "run                epoch   rank-1    mAP   mINP   rank-1    mAP   mINP\n"
        "split-1                2    80.00  79.50  50.00    70.00  69.50  50.00\n"
        "split-2                2    82.00  81.50  50.00    71.00  70.50  50.00\n"
        "split-3                2    84.00  83.50  50.00    75.00  74.50  50.00\n"
        "mean                        82.00  81.50  50.00    72.00  71.50  50.00\n"
        "standard deviation           2.00   2.00   0.00     2.65   2.65   0.00\n");
  summary.write(folder / "summary.json");
  const json all = json::parse(read_text(folder / "summary.json"));
  REQUIRE(all["runs"].size() == 3);
  CHECK(all["runs"][1]["split"] == 2);
  CHECK(all["runs"][1]["best"]["epoch"] == 2);
  CHECK(all["runs"][1]["best"]["results"][0]["rank1"] == 82);
  CHECK(all["runs"][1]["best"]["results"][0]["rank5"].is_null());
  CHECK(all["runs"][1]["last"]["results"][1]["rank1"] == 61);
  REQUIRE(all["groups"].size() == 1);
  const json& group = all["groups"][0];
  CHECK(group["runs"] == json{"split-1", "split-2", "split-3"});
  CHECK(group["best"][0]["rank1"] == json{{"mean", 82.0}, {"deviation", 2.0}});
  CHECK(group["best"][1]["rank1"]["mean"] == 72.0);
  CHECK(group["best"][1]["rank1"]["deviation"].get<double>() == doctest::Approx(std::sqrt(7.0)));  // (4 + 1 + 9) / 2
  CHECK(group["last"][1]["rank1"] == json{{"mean", 61.0}, {"deviation", 0.0}});
  CHECK(group["best"][0]["rank5"]["mean"].is_null());

  write_file(folder / "log.jsonl", "{\"kind\": \"step\", \"step\": 1}\n");
  CHECK(has(error_of([&] { read_run_result(folder / "log.jsonl"); }), "expected an evaluation that chose the best"));
  write_file(folder / "log.jsonl", "{\"kind\": \"evaluation\", \"step\": 1}\n");
  CHECK(error_of([&] { read_run_result(folder / "log.jsonl"); }) ==
        folder / "log.jsonl" + ": line 1: epoch: expected an integer, got none");
  for (const auto& [pointer, value, words] : std::vector<std::tuple<std::string, json, std::string>>{
           {"/epoch", 1e308, "epoch: expected an integer in 1..2147483647, got 1e+308"},
           {"/best", 1, "best: expected true or false, got 1"},
           {"/results", json::object(), "results: expected a list, got an object"},
           {"/results/1", 7, "results[1]: expected an object, got 7"},
           {"/results/1/mode", 7, "results[1].mode: expected a text, got 7"},
           {"/results/1/mAP", "x", "results[1].mAP: expected a number in 0..100 or null, got \"x\""},
           {"/results/1/mAP", 100.5, "results[1].mAP: expected a number in 0..100 or null, got 100.5"}}) {
    json line = json::parse(evaluation(1, true, 10, 10));
    line[json::json_pointer(pointer)] = value;
    write_file(folder / "log.jsonl", "{}\n" + line.dump() + "\n");
    CHECK(error_of([&] { read_run_result(folder / "log.jsonl"); }) == folder / "log.jsonl" + ": line 2: " + words);
  }
}
