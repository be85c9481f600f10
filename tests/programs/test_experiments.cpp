// mpanet-train on RegDB, LLCM, a manifest and SYSU-MM01's layout without a trial file, and experiments of several runs.
#include <algorithm>
#include <filesystem>

#include "core/base/file.h"
#include "tests/support/train_program.h"

namespace fs = std::filesystem;
using mpanet::read_text;
using mpanet::write_file;
using nlohmann::json;

namespace {

// Four identities for training and four for the test, drawn once for each layout.
const std::string& layout(const std::string& name) {
  static TemporaryFolder folder;
  static std::map<std::string, std::string> made;
  std::string& path = made[name];
  if (!path.empty()) return path;
  path = folder / name;
  Process synth({PROGRAMS "/mpanet-data", "synth", "--layout", name, "--out", path, "--ids", "4", "--test-ids", "4",
                 "--images", "2"});
  REQUIRE_MESSAGE(synth.wait() == 0, synth.err());
  return path;
}

// A run of two epochs, evaluated after each.
Arguments run_of(const TemporaryFolder& folder, const std::string& name, const std::string& out,
                 const Arguments& more = {}) {
  Arguments all = {PROGRAMS "/mpanet-train",
                   "--config",
                   write_config(folder),
                   "--data",
                   layout(name),
                   "--out",
                   out,
                   "--threads",
                   "1",
                   "--set",
                   "dataset=" + name,
                   "num_epoch=2",
                   "eval_interval=1"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

json best_of(const std::string& run) {
  json best;
  for (const json& line : log_lines(run))
    if (line["kind"] == "evaluation" && line["best"] == true) best = line;
  return best;
}

// Removes keys from a run's inputs.json, which older versions did not write.
void drop_keys(const std::string& run, const std::vector<std::string>& keys) {
  json inputs = json::parse(read_text(run + "/inputs.json"));
  for (const std::string& key : keys) CHECK(inputs.erase(key) == 1);
  write_file(run + "/inputs.json", inputs.dump());
}

// The protocols of a run's evaluations.
std::vector<std::string> protocols_of(const std::string& run) {
  std::vector<std::string> protocols;
  for (const json& line : log_lines(run))
    if (line["kind"] == "evaluation") protocols.push_back(line["protocol"]);
  return protocols;
}

}  // namespace

TEST_CASE("every data set trains and evaluates itself" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  for (const auto& set : {std::pair("regdb", 2), std::pair("llcm", 2), std::pair("csv", 1)}) {
    const auto name = set.first;
    const int results = set.second;
    CAPTURE(name);
    check_works(run_of(folder, name, folder / name));
    CHECK(best_of(folder / name)["results"].size() == static_cast<size_t>(results));
    check_works({PROGRAMS "/mpanet-train", "--out", folder / name, "--resume", "--threads", "1"});
    Process evaluated({PROGRAMS "/mpanet-eval", "--protocol", name, "--checkpoint",
                       folder / std::string(name) + "/best.safetensors", "--data", layout(name)});
    CHECK_MESSAGE(evaluated.wait() == 0, evaluated.err());
  }
  // --data is the manifest itself.
  Arguments by_file = run_of(folder, "csv", folder / "by_file");
  by_file[4] += "/manifest.csv";
  check_works(by_file);
  check_works({PROGRAMS "/mpanet-train", "--out", folder / "by_file", "--resume", "--threads", "1"});
  CHECK(timeless(folder / "by_file") == timeless(folder / "csv"));

  fs::copy(layout("sysu"), folder / "data", fs::copy_options::recursive);
  fs::remove(folder / "data/exp/rand_perm_cam.mat");
  Arguments no_trials = run_of(folder, "sysu", folder / "agw");
  no_trials[4] = folder / "data";
  Process trained(no_trials);
  CHECK_MESSAGE(trained.wait() == 0, trained.err());
  CHECK(has(trained.out(), "there is no trial file, so evaluations are by the protocol agw"));
  CHECK(best_of(folder / "agw")["results"].size() == 2);  // all and indoor search, single shot
  no_trials[6] = folder / "other";
  no_trials.insert(no_trials.end(), {"--trials", folder / "absent.mat"});
  check_refused(no_trials, "absent.mat: no such trial file");
}

TEST_CASE("the protocol of a run's evaluations stays" * doctest::skip(kLacking)) {
  using Protocols = std::vector<std::string>;
  TemporaryFolder folder;
  const std::string data = folder / "data", file = data + "/exp/rand_perm_cam.mat", away = folder / "away.mat";
  fs::copy(layout("sysu"), data, fs::copy_options::recursive);
  const auto run = [&](const std::string& out, const Arguments& more = {}) {
    Arguments all = run_of(folder, "sysu", folder / out, more);
    all[4] = data;
    return all;
  };
  const auto go_on = [&](const std::string& out, const Arguments& more = {}) {
    Arguments all = {
        PROGRAMS "/mpanet-train", "--out", folder / out, "--resume", "--threads", "1", "--set", "num_epoch=2"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  const Arguments one_epoch = {"--set", "num_epoch=1"}, first = {"--seeds", "0", "--set", "num_epoch=1"},
                  both = {"--seeds", "0..1", "--set", "num_epoch=1"};
  check_works(run("official", one_epoch));
  fs::rename(file, away);
  check_works(run("agw", one_epoch));
  check_works(run("early", {"--max-steps", "1"}));
  check_works(run("runs", first));

  // Without the trial file: a run by it is refused until it is named.
  check_refused(go_on("official"),
                "data: expected a trial file in it, as the evaluations before were by the protocol "
                "sysu, got none; name it with --trials");
  check_works(go_on("official", {"--trials", away}));
  CHECK(protocols_of(folder / "official") == Protocols{"sysu", "sysu"});

  // With it: runs that were evaluated without it go on without.
  fs::copy(away, file);
  fs::copy(folder / "agw", folder / "older", fs::copy_options::recursive);
  check_refused(go_on("agw", {"--trials", away}),
                "--trials: expected none, as the evaluations before were by the "
                "protocol agw");
  Process process(go_on("agw"));
  CHECK(process.wait() == 0);
  CHECK(has(process.out(), "evaluations are by the protocol agw, as those before; the trial file is not used"));
  CHECK(protocols_of(folder / "agw") == Protocols{"agw", "agw"});
  CHECK(json::parse(read_text(folder / "agw/inputs.json"))["protocol"] == "agw");
  check_works(go_on("early"));  // had no evaluation
  CHECK(protocols_of(folder / "early") == Protocols{"sysu", "sysu"});
  drop_keys(folder / "older", {"protocol"});
  check_works(go_on("older"));
  CHECK(protocols_of(folder / "older") == Protocols{"agw", "sysu"});

  // All runs of an experiment have one protocol.
  Arguments trials = run("runs", both);
  trials.insert(trials.end(), {"--trials", away});
  check_refused(trials, "--trials: expected none, as the evaluations before were by the protocol agw");
  check_works(run("runs", both));
  CHECK(protocols_of(folder / "runs/seed-1") == Protocols{"agw"});
  fs::copy(folder / "official", folder / "runs/seed-2", fs::copy_options::recursive);
  check_refused(run("runs", {"--seeds", "0..2", "--set", "num_epoch=1"}),
                "seed-2: expected evaluations by the protocol agw, as those of ");
}

TEST_CASE("the runs of an experiment begin with the same weights" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  const std::string weights = folder / "weights.safetensors", other = folder / "other/last.safetensors";
  const Arguments one = {"--splits", "1", "--max-steps", "0"}, two = {"--splits", "1..2", "--max-steps", "0"};
  const auto run = [&](const std::string& out, Arguments more, const std::string& init = "") {
    if (!init.empty()) more.insert(more.end(), {"--init", init});
    return run_of(folder, "regdb", folder / out, more);
  };
  check_works(run("made", {"--max-steps", "1"}));
  check_works(run("other", {"--max-steps", "2"}));
  fs::copy(folder / "made/last.safetensors", weights);
  check_works(run("runs", one, weights));
  const std::string begun = "split-1: expected the initial weights that this run began with, those of " + weights;
  check_refused(run("runs", two), begun + ", got random ones; choose their --init or another --out");
  check_refused(run("runs", two, other), begun + ", got those of " + other);
  CHECK(!fs::exists(folder / "runs/split-2"));
  check_works(run("runs", two, folder / "made/last.safetensors"));  // the same content
  const json inputs = json::parse(read_text(folder / "runs/split-1/inputs.json"));
  CHECK(inputs["init"] == weights);
  CHECK(inputs["init_sha256"].get<std::string>().size() == 64);

  check_works(run("random", one));
  CHECK(json::parse(read_text(folder / "random/split-1/inputs.json"))["init"].is_null());
  check_refused(run("random", two, weights),
                "split-1: expected the initial weights that this run began with, random "
                "ones, got those of " +
                    weights);
  check_works(run("random", two));
}

TEST_CASE("a split's model is refused on another split's test" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  check_works(run_of(folder, "regdb", folder / "run", {"--split", "2", "--max-steps", "1"}));
  CHECK(json::parse(read_text(folder / "run/config.json"))["split"] == 2);
  const auto evaluate = [&](const Arguments& more) {
    Arguments all = {PROGRAMS "/mpanet-eval",         "--protocol", "regdb",        "--checkpoint",
                     folder / "run/last.safetensors", "--data",     layout("regdb")};
    all.insert(all.end(), more.begin(), more.end());
    Process process(all);
    const int code = process.wait();
    return std::pair(code, process.err());
  };
  CHECK(has(evaluate({}).second, "RegDB's split 2\n"));
  CHECK(evaluate({"--split", "2"}).first == 0);
  const auto [code, err] = evaluate({"--split", "3"});
  CHECK(code == 2);
  CHECK(has(err, "expected a model trained on split 3 of RegDB, got one trained on split 2: it has seen people"));
  check_refused(run_of(folder, "regdb", folder / "other", {"--split", "11"}), "--split: expected an integer in 1..10");
  check_refused(run_of(folder, "csv", folder / "other", {"--split", "2"}), "expected 1, as csv has one split, got 2");
}

TEST_CASE("an experiment: stopped, gone on with, and the same to the bit" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  const std::string whole = folder / "whole", parts = folder / "parts";
  const Arguments splits = {"--splits", "1..2"};
  Process process(run_of(folder, "regdb", whole, splits));
  REQUIRE_MESSAGE(process.wait() == 0, process.err());
  CHECK(has(process.out(), "2 of 2 runs; percent"));
  CHECK(has(process.out(), "\nstandard deviation "));
  const json summary = json::parse(read_text(whole + "/summary.json"));
  REQUIRE(summary["runs"].size() == 2);
  for (size_t run = 0; run < 2; run++) {
    const json best = best_of(fmt::format("{}/split-{}", whole, run + 1));
    CHECK(summary["runs"][run]["best"]["epoch"] == best["epoch"]);
    for (size_t direction = 0; direction < 2; direction++)
      CHECK(summary["runs"][run]["best"]["results"][direction]["mAP"] == best["results"][direction]["mAP"]);
  }

  // Killed after every step.
  Arguments stopped = run_of(folder, "regdb", parts, splits);
  stopped.insert(stopped.end(), {"--max-steps", "1"});
  check_works(stopped);
  CHECK(!fs::exists(parts + "/summary.json"));
  // What a later run would refuse is refused before the first one goes on.
  for (const auto& [name, content, words] :
       {std::tuple("vendors.json", "{", "expected JSON, broken"),
        {"vendors.json", "{}", "conv: expected a text"},
        {"provenance.json", R"({"resumed": 5})", "resumed: expected a list, got 5"},
        {"inputs.json", "7", "expected an object, got 7"}}) {
    const std::string file = parts + "/split-2/" + name, before = fs::exists(file) ? read_text(file) : "";
    write_file(file, content);
    check_refused(run_of(folder, "regdb", parts, splits), file + ": " + words);
    CHECK(steps_of(parts + "/split-1") == 1);
    fs::remove(file);
    if (!before.empty()) write_file(file, before);
  }
  check_works(run_of(folder, "regdb", parts, {"--splits", "2"}));  // a subset first
  const std::string log = parts + "/split-2/log.jsonl", logged = read_text(log);
  write_file(log, "");
  check_refused(run_of(folder, "regdb", parts, splits), log + ": expected an evaluation that chose the best model");
  CHECK(steps_of(parts + "/split-1") == 1);
  write_file(log, logged);
  CHECK(json::parse(read_text(parts + "/summary.json"))["runs"].size() == 1);
  check_works(run_of(folder, "regdb", parts, splits));
  for (const char* file : {"split-1/last.safetensors", "split-2/last.safetensors", "split-2/best.safetensors"})
    CHECK(read_text(parts + "/" + file) == read_text(whole + "/" + file));
  CHECK(json::parse(read_text(parts + "/summary.json"))["groups"] == summary["groups"]);

  // A complete run is not changed, which is said; another configuration and other initial weights are errors. Runs of
  // older versions do not tell with which weights they began.
  const auto written = fs::last_write_time(parts + "/split-1/last.safetensors");
  Arguments again = run_of(folder, "regdb", parts, splits);
  again.insert(again.end(), {"--init", whole + "/split-2/best.safetensors"});
  check_refused(again, "split-1: expected the initial weights that this run began with, random ones, got those of ");
  for (const char* run : {"/split-1", "/split-2"}) drop_keys(parts + run, {"init", "init_sha256"});
  Process complete(again);
  CHECK(complete.wait() == 0);
  for (const int split : {1, 2})
    CHECK(has(complete.out(), fmt::format("== split-{} ({} of 2) is complete: --init is not used\n", split, split)));
  CHECK(fs::last_write_time(parts + "/split-1/last.safetensors") == written);
  Process other(run_of(folder, "regdb", parts, {"--splits", "1..2", "--set", "lr=0.5"}));
  CHECK(other.wait() == 2);
  CHECK(has(other.err(), "the run began with another lr"));
  // So are other images and fewer epochs than the runs have.
  check_refused(run_of(folder, "regdb", parts, {"--splits", "1..2", "--set", "num_epoch=1"}),
                "num_epoch: expected at least the ");
  const std::string moved = folder / "moved", list = moved + "/idx/train_visible_1.txt";
  fs::copy(layout("regdb"), moved, fs::copy_options::recursive);
  std::string lines = read_text(list);
  lines.erase(lines.find_last_of('\n', lines.size() - 2) + 1);
  write_file(list, lines);
  Arguments elsewhere = run_of(folder, "regdb", parts, splits);
  *(std::find(elsewhere.begin(), elsewhere.end(), "--data") + 1) = moved;
  check_refused(elsewhere, "expected the images that this run was trained on, got another list");
  CHECK(fs::last_write_time(parts + "/split-1/last.safetensors") == written);
}

TEST_CASE("a signal after a run's last step ends the experiment" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  const std::string out = folder / "out";
  // Between two runs that take no step.
  const Arguments seeds = {"--seeds", "0..60", "--max-steps", "0"};
  Process none(run_of(folder, "regdb", out, seeds));
  REQUIRE(none.wait_until([&] { return fs::exists(out + "/seed-2/last.safetensors"); }));
  none.send(SIGUSR1);
  CHECK(none.wait() == 128 + SIGUSR1);
  CHECK(has(none.out(), ", all is saved; go on with: "));
  CHECK(!fs::exists(out + "/seed-60"));
  fs::remove_all(out);

  // In or after the last evaluation of the first run: whether or not that run ends, the second one is not trained.
  const Arguments splits = {"--splits", "1..2", "--set", "num_epoch=1"};
  Process late(run_of(folder, "regdb", out, splits));
  REQUIRE(late.wait_until([&] { return fs::exists(out + "/split-1/best.safetensors"); }));
  late.send(SIGUSR1);
  CHECK(late.wait() == 128 + SIGUSR1);
  CHECK(has(late.out(), "go on with: "));
  CHECK(steps_of(out + "/split-2") <= 1);
  Process rest(run_of(folder, "regdb", out, splits));
  CHECK_MESSAGE(rest.wait() == 0, rest.err());
  CHECK(has(rest.out(), "2 of 2 runs; percent"));
}

TEST_CASE("seeds and sweeps" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  write_file(folder / "sweep.json", R"({"lr": [0.001, 0.002]})");
  Process process(run_of(folder, "regdb", folder / "r",
                         {"--seeds", "0,4", "--sweep", folder / "sweep.json", "--set", "num_epoch=1"}));
  REQUIRE_MESSAGE(process.wait() == 0, process.err());
  CHECK(names_in(folder / "r") == std::set<std::string>{"lr=0.001_seed-0", "lr=0.001_seed-4", "lr=0.002_seed-0",
                                                        "lr=0.002_seed-4", "summary.json"});
  const json summary = json::parse(read_text(folder / "r/summary.json"));
  CHECK(summary["runs"].size() == 4);
  REQUIRE(summary["groups"].size() == 2);
  CHECK(summary["groups"][1]["set"] == "lr=0.002");
  CHECK(json::parse(read_text(folder / "r/lr=0.002_seed-4/config.json"))["lr"] == 0.002);
  CHECK(json::parse(read_text(folder / "r/lr=0.002_seed-4/config.json"))["seed"] == 4);

  const auto refused = [&](const Arguments& more, const std::string& words, const std::string& data = "regdb") {
    check_refused(run_of(folder, data, folder / "x", more), words);
    CHECK(!fs::exists(folder / "x"));
  };
  refused({"--splits", "1..11"}, "--splits: expected numbers in 1..10 such as 1,3,5..7");
  refused({"--seeds", "1,1"},
          "--seeds: expected numbers in 0..1000000 such as 1,3,5..7, got \"1,1\", which has 1 twice");
  refused({"--seeds", "3..1"}, "got \"3..1\", which has the range 3..1 downwards");
  refused({"--seeds", "0..1000000"}, "expected at most 10000 runs in all, got 1000001");
  refused({"--splits", "1", "--split", "1"}, "--splits: expected no --split beside it");
  refused({"--seeds", "1", "--seed", "1"}, "--seeds: expected no --seed beside it");
  refused({"--splits", "1..2"}, "--splits: expected the data set regdb", "csv");
  refused({"--splits", "1..2", "--set", "eval_interval=0"}, "eval_interval: expected at least 1");
  refused({"--sweep", folder / "absent.json"}, "absent.json: cannot open");
  refused({"--seeds", "0", "--sweep", folder / "sweep.json", "--set", "p_size=5"}, "lr=0.001_seed-0: p_size: expected");
  const auto sweep = [&](const char* text) {
    write_file(folder / "other.json", text);
    return folder / "other.json";
  };
  // An error in the last run is found before the first one starts.
  refused({"--sweep", sweep(R"({"p_size": [2, 4000]})")}, "p_size=4000: p_size: expected at most 4 identities a batch");
  refused({"--sweep", sweep(R"({"image_size": [[32, 16], [4096, 4096]], "k_size": [512]})")},
          "image_size=_4096,4096__k_size=512: ");
  refused({"--sweep", sweep(R"({"precision": ["f32", "f64"]})"), "--precision", "f32"},
          "precision=f32 and precision=f64 have the same configuration: an option beside --sweep, or auto, makes them "
          "equal");
  const std::string weights = folder / "r/lr=0.001_seed-0/best.safetensors";
  refused({"--sweep", sweep(R"({"depth": ["tiny", "18"]})"), "--init", weights}, "best.safetensors: tensor ");
  refused({"--seeds", "0", "--init", "/dev/null"}, "--init: expected a file, which each run reads again");
  fs::copy(layout("regdb"), folder / "data", fs::copy_options::recursive);
  fs::remove(folder / "data/idx/test_thermal_9.txt");
  Arguments broken = run_of(folder, "regdb", folder / "x", {"--splits", "8..9"});
  broken[4] = folder / "data";
  check_refused(broken, "idx/test_thermal_9.txt: cannot open");
  CHECK(!fs::exists(folder / "x"));
}

TEST_CASE("an experiment's folder and the folders and files in it" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  const Arguments splits = {"--splits", "1..2"};
  const std::string out = folder / "out";
  const auto refused = [&](const std::string& words) {
    const auto before = names_in(out);
    check_refused(run_of(folder, "regdb", out, splits), words);
    CHECK(names_in(out) == before);
  };
  fs::create_directory(out);
  write_file(out + "/split-2", "mine");
  refused("out/split-2: expected a run folder, got something else");
  fs::remove(out + "/split-2");
  fs::create_symlink(folder / "nowhere", out + "/split-2");
  refused("out/split-2: expected a run folder, got a link that leads nowhere");
  fs::remove(out + "/split-2");
  fs::create_directory(out + "/summary.json");
  refused("out/summary.json: expected the summary of an experiment, which this one replaces, got another file");
  fs::remove(out + "/summary.json");
  for (const char* text : {"mine", "{\"runs\": []}", "[]"}) {
    write_file(out + "/summary.json", text);
    refused("out/summary.json: expected the summary of an experiment, which this one replaces, got another file");
    CHECK(read_text(out + "/summary.json") == text);
  }
  fs::remove_all(out);

  check_works(run_of(folder, "regdb", out, {"--max-steps", "0"}));
  refused("out: expected a folder for the folders of several runs, got a single run's");
  fs::remove_all(out);

  // Another program trains the second split.
  check_works(run_of(folder, "regdb", out, {"--splits", "1..2", "--max-steps", "1"}));
  for (const Arguments& more : {Arguments{"--resume"}, Arguments{}})
    check_refused(run_of(folder, "regdb", out, more),
                  "out: expected a run folder, got the folder of several runs; the command that made it (--splits, "
                  "--seeds or --sweep) goes on with all of them, --out ");
  Process other(run_of(folder, "regdb", out, {"--splits", "2", "--set", "num_epoch=1000"}));
  REQUIRE(other.wait_until([&] { return steps_of(out + "/split-2") >= 2; }));
  refused("out/split-2: the run folder is in use: another program trains in it");
  CHECK(steps_of(out + "/split-1") == 1);
}
