// mpanet-train as a program: the files of a run, resuming after kill -9 and Ctrl-C to the same bits, and bad input,
// which gives one line on stderr and leaves no files.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/random.h"
#include "data/pictures/image.h"
#include "data/sets/matfile.h"
#include "mpanet/files/checkpoint.h"
#include "tests/support/train_program.h"

using namespace mpanet;
using nlohmann::json;
namespace fs = std::filesystem;

TEST_SUITE("mpanet-train" * doctest::skip(kLacking)) {
  TEST_CASE("a whole run: checkpoints, log, configuration, provenance") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    Process process(command(folder, "run", {"--seed", "7"}));
    REQUIRE_MESSAGE(process.wait() == 0, process.err());
    const std::string out = process.out();
    CHECK(has(out, "data: 4 identities"));
    CHECK(has(out, "batches of 2 x 2 in epoch 1"));
    CHECK(has(out, "memory: parameters and gradients"));
    CHECK(has(out, ", checkpoint "));
    CHECK(has(out, "the 3 epochs of the whole run"));
    CHECK(has(out, "chosen on the test set"));
    std::set<std::string> files{"best.safetensors", "config.json",      "events.out.tfevents.mpanet",
                                "inputs.json",      "last.safetensors", "lock",
                                "log.csv",          "log.jsonl",        "provenance.json"};
    const json written = json::parse(read_text(run + "/provenance.json"));
    if (!written["libraries"]["oneDNN"].is_null()) files.insert("vendors.json");  // it runs some convolutions
    CHECK(names_in(run) == files);
    const std::string table = read_text(run + "/log.csv");
    CHECK(std::count(table.begin(), table.end(), '\n') == static_cast<ptrdiff_t>(log_lines(run).size()) + 1);

    const Checkpoint last(run + "/last.safetensors"), best(run + "/best.safetensors");
    CHECK(last.progression()->epoch == 4);  // the one after the last
    CHECK(last.progression()->batch == 0);
    CHECK(!best.progression());
    CHECK(config_line(read_config(run + "/config.json")) == config_line(*last.config()));
    CHECK(last.config()->seed == 7);

    std::vector<int64_t> steps, epochs, evaluations;
    std::pair<double, int> highest = {-1, 0};  // rank-1 and its epoch
    for (const json& line : log_lines(run)) {
      const std::string kind = line["kind"];
      (kind == "step" ? steps : kind == "epoch" ? epochs : evaluations).push_back(line["step"]);
      if (kind == "evaluation") {
        CHECK(has(line["best_is"], "chosen on the test set"));
        const json& all_single = line["results"][0];
        CHECK(all_single["mode"] == "all");
        CHECK(all_single["shots"] == "single");
        const double rank1 = all_single["rank1"];
        CHECK(line["best"] == (rank1 > highest.first));
        if (rank1 > highest.first) highest = {rank1, line["epoch"]};
      }
      if (kind != "evaluation") CHECK(line["losses"].size() == 7);
    }
    CHECK(last.progression()->best_rank1 == highest.first);
    CHECK(last.progression()->best_epoch == highest.second);
    CHECK(epochs.size() == 3);
    CHECK(evaluations == std::vector<int64_t>{epochs[1], epochs[2]});  // eval_interval 2, and the last epoch
    CHECK(steps.size() == static_cast<size_t>(epochs.back()));
    CHECK(last.progression()->step == epochs.back());

    const json provenance = json::parse(read_text(run + "/provenance.json"));
    for (const char* key : {"program", "commit", "compiler", "build", "instruction_set", "processor", "libraries"})
      CHECK(provenance.contains(key));
    CHECK(provenance["threads"] == 1);
    CHECK(provenance["seed"] == 7);
  }

  TEST_CASE("40 steps killed again and again end in the same bytes as 40 in one go") {
    TemporaryFolder folder;
    const Arguments more = {"--set", "num_epoch=9", "--set", "log_period=4", "--max-steps", "40"};
    check_works(command(folder, "whole", more));
    Arguments again = command(folder, "killed", more);
    again.push_back("--resume");
    const std::string run = folder / "killed";
    Random random(1, Purpose::Test, 0, 0);
    int killed = 0;
    for (int i = 0; i < 12; i++) {
      Process process(again);
      if (i % 3 == 0) {  // kills in the middle of a write, if it sees one
        process.wait_until([&] { return half_written(run); });
      } else {  // kills at a random time, after a new step or at once
        const size_t lines = fs::exists(run + "/log.jsonl") ? timeless(run).size() : 0;
        if (i % 3 == 1)
          process.wait_until([&] { return fs::exists(run + "/log.jsonl") && log_lines(run).size() > lines; });
        std::this_thread::sleep_for(std::chrono::milliseconds(random.below(100)));
      }
      killed += process.running();
      process.send(SIGKILL);
    }
    CHECK(killed > 0);
    check_works(again);
    for (const char* name : {"/last.safetensors", "/best.safetensors"})
      CHECK(read_text(folder / "whole" + name) == read_text(run + name));
    CHECK(Checkpoint(run + "/last.safetensors").progression()->step == 40);
    CHECK(timeless(folder / "whole") == timeless(run));
    CHECK(!half_written(run));
  }

  TEST_CASE("Ctrl-C finishes the step, saves and exits 130; resuming gives the bytes of one go") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    const Arguments more = {"--set", "num_epoch=1000", "--set", "eval_interval=0"};
    Process process(command(folder, "run", more));
    REQUIRE(process.wait_until([&] { return steps_of(run) >= 4; }));
    process.send(SIGINT);
    CHECK(process.wait() == 130);
    CHECK(has(process.out(), "interrupted after step"));
    CHECK(has(process.out(), "--out " + run + " --resume"));
    CHECK(process.err().empty());
    const int64_t step = Checkpoint(run + "/last.safetensors").progression()->step;
    CHECK(step >= 4);

    const std::string stop = std::to_string(step + 5);
    check_works({PROGRAMS "/mpanet-train", "--out", run, "--threads", "1", "--resume", "--max-steps", stop});
    Arguments whole = command(folder, "whole", more);
    whole.insert(whole.end(), {"--max-steps", stop});
    check_works(whole);
    CHECK(read_text(run + "/last.safetensors") == read_text(folder / "whole" + "/last.safetensors"));
  }

  TEST_CASE("--max-steps 0 writes the initial network; precision and seed make it another one") {
    TemporaryFolder folder;
    const auto initial = [&](const std::string& run, const Arguments& more) {
      Arguments arguments = no_evaluation(command(folder, run, {"--max-steps", "0"}));
      arguments.insert(arguments.end(), more.begin(), more.end());
      check_works(arguments);
      return read_text(folder / run + "/last.safetensors");
    };
    const std::string first = initial("a", {});
    CHECK(first == initial("b", {}));
    // auto, the default: resolved, and as if it had been given.
    CHECK(first == initial("f32", {"--precision", "f32"}));
    CHECK(read_config(folder / "a/config.json").precision == Precision::f32);
    Process process(no_evaluation(command(folder, "said", {"--max-steps", "0", "--device", "cpu"})));
    CHECK(process.wait() == 0);
    CHECK_MESSAGE(has(process.out(), "\nprecision: f32 (auto: on a CPU)\n"), process.out());
    CHECK(first != initial("c", {"--seed", "2"}));
    CHECK(first != initial("d", {"--precision", "f64"}));
    CHECK(Checkpoint(folder / "a/last.safetensors").progression()->step == 0);
    CHECK(Checkpoint(folder / "d/last.safetensors").file().find("classifier.weight")->dtype == Dtype::F64);
  }

  TEST_CASE("--init says what it takes; a run starts from it") {
    TemporaryFolder folder;
    check_works(no_evaluation(command(folder, "first", {"--max-steps", "2"})));
    const std::string weights = folder / "first/last.safetensors";
    Process process(no_evaluation(command(folder, "second", {"--max-steps", "0", "--seed", "9", "--init", weights})));
    CHECK(process.wait() == 0);
    const std::string list = folder / "second/initial.txt", out = process.out();
    CHECK(has(out, weights + ": 75 tensors taken, 105 not used, 0 drawn at random; their names are in " + list + "\n"));
    CHECK(!has(out, "backbone."));
    const std::string names = read_text(list);
    CHECK(std::count(names.begin(), names.end(), '\n') == 180);
    CHECK(has(names, "\ntaken backbone.bn1.weight\n"));
    CHECK(has(names, "\nleft \"optimizer.first.backbone.conv1.weight\"\n"));
    CHECK(TensorFile(weights).read("backbone.conv1.weight") ==
          TensorFile(folder / "second/last.safetensors").read("backbone.conv1.weight"));
    const TensorFile second(folder / "second/last.safetensors");
    const std::vector<double> moments = second.read("optimizer.first.backbone.conv1.weight");
    CHECK(std::count(moments.begin(), moments.end(), 0.0) == static_cast<std::ptrdiff_t>(moments.size()));
  }

  TEST_CASE("another number of threads warns, and goes on") {
    TemporaryFolder folder;
    check_works(no_evaluation(command(folder, "run", {"--max-steps", "1"})));
    Process process({PROGRAMS "/mpanet-train", "--data", data_set(), "--out", folder / "run", "--threads", "2",
                     "--resume", "--max-steps", "2"});
    CHECK(process.wait() == 0);
    CHECK(has(process.err(), "warning: threads: 1 before, 2 now"));
    const json provenance = json::parse(read_text(folder / "run/provenance.json"));
    CHECK(provenance["threads"] == 1);
    CHECK(provenance["resumed"][0]["threads"] == 2);
    CHECK(provenance["resumed"][0]["step"] == 1);
  }

  TEST_CASE("--conv on a CPU: the run folder has what ran, and a run that goes on keeps it") {
    TemporaryFolder folder;
    const auto go = [&](const std::string& run, const Arguments& more) {
      check_works(no_evaluation(command(folder, run, more)));
      return json::parse(read_text(folder / run + "/provenance.json"));
    };
    CHECK(go("run", {"--precision", "f32", "--conv", "native", "--max-steps", "1"})["convolutions"] == "native");
    const std::string vendors = read_text(folder / "run/vendors.json");
    CHECK(json::parse(vendors)["cpu_conv"] == "native");
    const json later = go("run", {"--precision", "f32", "--resume", "--max-steps", "2"});
    CHECK(later["resumed"][0]["convolutions"] == "native");
    CHECK(read_text(folder / "run/vendors.json") == vendors);
    if (later["libraries"]["oneDNN"].is_null()) {
      CHECK(go("auto", {"--precision", "f32", "--max-steps", "1"})["convolutions"] == "native");
      return check_refused(command(folder, "library", {"--precision", "f32", "--conv", "onednn"}),
                           "--conv onednn: this build has no oneDNN (MPANET_ONEDNN)");
    }
    CHECK(go("auto", {"--precision", "f32", "--max-steps", "1"})["convolutions"] == "native, onednn");
    CHECK(go("library", {"--precision", "f32", "--conv", "onednn", "--max-steps", "1"})["convolutions"] == "onednn");
    CHECK(json::parse(read_text(folder / "library/vendors.json"))["cpu_conv"] == "onednn");
  }

  TEST_CASE("another device and another machine warn in one line, and the run goes on") {
    TemporaryFolder folder;
    check_works(no_evaluation(command(folder, "run", {"--max-steps", "1"})));
    json provenance = json::parse(read_text(folder / "run/provenance.json"));
    CHECK(provenance["device"] == "cpu");
    provenance["device"] = "cuda:0";
    provenance["gpu"] = "Some GPU";
    provenance["processor"] = "Some Processor";
    write_file(folder / "run/provenance.json", provenance.dump());
    Process process({PROGRAMS "/mpanet-train", "--data", data_set(), "--out", folder / "run", "--threads", "1",
                     "--resume", "--max-steps", "2"});
    CHECK(process.wait() == 0);
    const std::string said = process.err();
    CHECK(has(said,
              "warning: device: \"cuda:0\" before, \"cpu\" now; gpu: \"Some GPU\" before, null now; "
              "processor: \"Some Processor\" before, \""));
    CHECK(std::count(said.begin(), said.end(), '\n') == 1);
  }

  TEST_CASE("configuration, trial file and weights through pipes") {
    TemporaryFolder folder;
    check_works(no_evaluation(command(folder, "first", {"--max-steps", "0"})));
    const auto piped = [&](const std::string& run, const std::string& options) {
      const std::string script = "cat '" + (folder / "config.json") +
                                 "' | " PROGRAMS "/mpanet-train --config /dev/stdin" + " --data '" + data_set() +
                                 "' --threads 1 --max-steps 0 --out '" + (folder / run) + "' " + options;
      check_works({"/bin/sh", "-c", script});
      return read_text(folder / run + "/last.safetensors");
    };
    const std::string first = folder / "first/last.safetensors", whole = piped("whole", "");
    CHECK(piped("trials", "--trials /dev/fd/3 3<'" + data_set() + "/exp/rand_perm_cam.mat'") == whole);
    const std::string weights = piped("weights", "--seed 9 --init /dev/fd/3 3<'" + first + "'");
    CHECK(piped("same", "--seed 9 --init '" + first + "'") == weights);
    CHECK(piped("others", "--seed 9") != weights);
    check_refused(command(folder, "run", {"--config", "/dev/fd/9"}), "/dev/fd/9: cannot open: No such file");
  }

  TEST_CASE("weights that training cannot go on from never replace the last good file; the message names its step") {
    TemporaryFolder folder;
    const std::string last = folder / "run/last.safetensors";
    Arguments diverging =
        no_evaluation(command(folder, "run", {"--set", "optimizer=sgd", "--set", "lr=100", "--set", "wd=10"}));
    diverging.insert(diverging.end(), {"--set", "checkpoint_every=1", "--set", "num_epoch=1000"});
    for (int start = 0; start < 2; start++) {
      CAPTURE(start);
      Process process(diverging);
      CHECK(process.wait() == 2);
      const Checkpoint checkpoint(last);
      const int64_t step = checkpoint.progression()->step;
      CHECK(step > 0);
      CHECK_MESSAGE(has(process.err(), fmt::format("{} still holds step {};", last, step)), process.err());
      for (const auto& [name, entry] : checkpoint.file().tensors()) read_finite(checkpoint.file(), name);
      diverging.push_back("--resume");
    }
  }

  TEST_CASE("a loss that is no longer finite stops the run and keeps the checkpoint before") {
    TemporaryFolder folder;
    check_refused(
        no_evaluation(command(folder, "run", {"--set", "optimizer=sgd", "--set", "lr=100", "--set", "wd=10"})),
        "still holds step");
    const Checkpoint last(folder / "run/last.safetensors");
    for (const auto& [name, entry] : last.file().tensors()) read_finite(last.file(), name);
  }
}

TEST_CASE("--version and --help-config answer without any input") {
  Process version({PROGRAMS "/mpanet-train", "--version"});
  CHECK(version.wait() == 0);
  for (const char* word :
       {"commit: ", "compiler: gcc", "instruction_set: ", "oneDNN: ", "libpng: ", "zlib: ", "nlohmann_json: "})
    CHECK(has(version.out(), word));
  Process help({PROGRAMS "/mpanet-train", "--help-config"});
  CHECK(help.wait() == 0);
  CHECK(has(help.out(), "weight_KL (default 2.5)"));
  Process options({PROGRAMS "/mpanet-train", "--help"});
  CHECK(options.wait() == 0);
  CHECK(has(options.out(), "These keys may change then:\nnum_epoch, start_eval, eval_interval, "));
  CHECK(has(options.out(), "data.threads, data.queue,\ndata.cache_mib, data.pack, data.embed_batch\n\nExit code 0"));
}
