// mpanet-train's command line: short commands to resume, commands that can be pasted, hints for typing errors.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstring>

#include "mpanet/files/checkpoint.h"
#include "tests/support/shell.h"
#include "tests/support/train_program.h"
using namespace mpanet;
namespace fs = std::filesystem;

namespace {

constexpr const char* kTrain = PROGRAMS "/mpanet-train";

int64_t step_in(const std::string& run) { return Checkpoint(run + "/last.safetensors").progression()->step; }

// The text after `words`, up to the end of the line.
std::string after(const std::string& text, const std::string& words) {
  const size_t begin = text.find(words);
  REQUIRE_MESSAGE(begin != text.npos, text);
  return text.substr(begin + words.size(), text.find('\n', begin) - begin - words.size());
}

// Runs a pasted command in a shell with the working directory `folder`.
void check_pasted(const std::string& folder, const std::string& command) {
  Process shell({"/bin/bash", "-c", "cd " + folder + " && " + command});
  const int code = shell.wait();
  CHECK_MESSAGE(code == 0, command << "\n" << shell.err());
}

}  // namespace

TEST_SUITE("mpanet-train's command line" * doctest::skip(kLacking)) {
  TEST_CASE("--resume needs the run folder alone, from any folder, until the data set is gone") {
    TemporaryFolder folder;
    fs::copy(data_set(), folder / "data", fs::copy_options::recursive);
    const std::string run = folder / "run";
    write_config(folder);
    check_pasted(folder.path(), std::string(kTrain) + " --config config.json --data data --out run --max-steps 1");
    CHECK(nlohmann::json::parse(read_text(run + "/inputs.json"))["data"] == folder / "data");
    check_works({kTrain, "--out", run, "--resume", "--max-steps", "2"});
    CHECK(step_in(run) == 2);

    fs::rename(folder / "data", folder / "moved");
    check_refused({kTrain, "--out", run, "--resume"},
                  folder / "data: the data set of " + run + " is no longer there; where is it now? (--data)");
    check_works({kTrain, "--out", run, "--resume", "--max-steps", "3", "--data", folder / "moved"});
    check_works({kTrain, "--out", run, "--resume", "--max-steps", "4"});  // the new path is stored
    CHECK(step_in(run) == 4);

    fs::remove(run + "/inputs.json");
    check_refused({kTrain, "--out", run, "--resume"}, "--data is needed: " + run + " does not know its data set");
    for (const char* text : {"{", "[]", R"({"data": 1})"}) {
      write_file(run + "/inputs.json", text);
      check_refused({kTrain, "--out", run, "--resume"}, "inputs.json");
    }
    check_refused({kTrain, "--out", folder / "absent", "--resume"},
                  "--data is needed: there is no run in " + folder / "absent" + " to go on with");
  }

  TEST_CASE("--resume of a complete run: one line, and no file is touched; a higher num_epoch goes on") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    fs::copy(data_set(), folder / "data", fs::copy_options::recursive);
    check_works(command(folder, "run", {"--data", folder / "data"}));
    fs::rename(folder / "data", folder / "moved");  // the data set is not needed
    std::map<std::string, std::pair<std::string, fs::file_time_type>> before;
    for (const std::string& name : names_in(run))
      before[name] = {read_text(run + "/" + name), fs::last_write_time(run + "/" + name)};
    for (const Arguments& more :
         std::vector<Arguments>{{}, {"--set", "log_period=7"}, {"--threads", "2"}, {"--max-steps", "1"}}) {
      Arguments again = {kTrain, "--out", run, "--resume"};
      again.insert(again.end(), more.begin(), more.end());
      Process complete(again);
      CHECK(complete.wait() == 0);
      CHECK(complete.out() ==
            fmt::format("{} is complete: 3 epochs, step {}; a higher num_epoch goes on\n", run, step_in(run)));
      CHECK(complete.err() == "");
    }
    CHECK(names_in(run).size() == before.size());
    for (const auto& [name, was] : before) {
      CHECK(was.first == read_text(run + "/" + name));
      CHECK(was.second == fs::last_write_time(run + "/" + name));
    }
    // Neither is one of a run that has all steps up to --max-steps.
    const std::string part = folder / "part";
    check_works(command(folder, "part", {"--data", folder / "moved", "--max-steps", "1"}));
    before.clear();
    for (const std::string& name : names_in(part))
      before[name] = {read_text(part + "/" + name), fs::last_write_time(part + "/" + name)};
    for (const char* steps : {"0", "1"}) {
      Process held({kTrain, "--out", part, "--resume", "--threads", "2", "--max-steps", steps});
      CHECK(held.wait() == 0);
      CHECK_MESSAGE(has(held.out(), part + "/last.safetensors holds step 1: nothing to do up to --max-steps " + steps),
                    held.out());
    }
    CHECK(names_in(part).size() == before.size());
    for (const auto& [name, was] : before) {
      CHECK_MESSAGE(was.first == read_text(part + "/" + name), name);
      CHECK_MESSAGE(was.second == fs::last_write_time(part + "/" + name), name);
    }
    check_refused({kTrain, "--out", run, "--resume", "--set", "lr=0.5"}, "the run began with another lr");
    check_refused({kTrain, "--out", run, "--resume", "--set", "num_epoch=4"}, "is no longer there; where is it now?");
    check_works(
        {kTrain, "--out", run, "--resume", "--set", "num_epoch=4", "--threads", "1", "--data", folder / "moved"});
    CHECK(Checkpoint(run + "/last.safetensors").progression()->epoch == 5);
  }

  TEST_CASE("a trial file from elsewhere is kept too") {
    TemporaryFolder folder;
    fs::copy(data_set(), folder / "data", fs::copy_options::recursive);
    fs::rename(folder / "data/exp/rand_perm_cam.mat", folder / "trials.mat");
    check_works(
        command(folder, "run", {"--data", folder / "data", "--trials", folder / "trials.mat", "--max-steps", "1"}));
    check_works({kTrain, "--out", folder / "run", "--resume", "--max-steps", "2"});
    CHECK(step_in(folder / "run") == 2);
  }

  TEST_CASE("pictures that the evaluations leave aside are counted") {
    TemporaryFolder folder;
    fs::copy(data_set(), folder / "data", fs::copy_options::recursive);
    const std::string test_id = read_text(folder / "data/exp/test_id.txt");
    const std::string person = fmt::format("data/cam1/{:04d}", std::stoi(test_id));
    fs::copy(folder / (person + "/0001.jpg"), folder / (person + "/0999.jpg"));
    Process process(command(folder, "run", {"--data", folder / "data", "--max-steps", "1"}));
    REQUIRE(process.wait() == 0);
    CHECK(has(process.out(), "data: 1 test picture is not in the trial file or in no camera of the protocol\n"));
  }

  TEST_CASE("a pack changes no number, and a stale one is refused") {
    TemporaryFolder folder;
    const std::string data = folder / "data", pack = folder / "x.pack";
    fs::copy(data_set(), data, fs::copy_options::recursive);
    check_works({PROGRAMS "/mpanet-data", "pack", data, "--size", "32x16", "--out", pack});
    std::vector<std::string> devices = {"cpu"};
#if defined(MPANET_HAS_EMU)
    devices.emplace_back("emu");  // which is sent bytes, or holds the pack
#endif
    for (const std::string& device : devices) {
      const Arguments more = {"--data", data, "--device", device, "--set", "num_epoch=2"};
      Process decoded(command(folder, "decoded-" + device, more));
      REQUIRE_MESSAGE(decoded.wait() == 0, decoded.err());
      Arguments with_pack = more;
      with_pack.push_back("data.pack=" + pack);
      Process packed(command(folder, "packed-" + device, with_pack));
      REQUIRE_MESSAGE(packed.wait() == 0, packed.err());
      CHECK(has(packed.out(), "data: pictures are read from the pack " + pack + "\n"));
      CHECK(has(decoded.out(), "pictures: sent to emu as bytes") == (device == "emu"));
      CHECK(has(packed.out(), " lie on emu (") == (device == "emu"));
      for (const char* name : {"last", "best"}) {
        // The tensors' bytes. The header before them holds the configuration, where data.pack differs.
        const auto bytes = [&](const std::string& run) {
          const std::string file = read_text(folder / (run + device + "/" + name + ".safetensors"));
          uint64_t header = 0;
          std::memcpy(&header, file.data(), sizeof(header));
          return file.substr(8 + header);
        };
        CHECK(bytes("decoded-").size() > 1000000);
        CHECK(bytes("decoded-") == bytes("packed-"));
      }
      CHECK(timeless(folder / ("decoded-" + device)) == timeless(folder / ("packed-" + device)));
    }
    const Arguments eval = {PROGRAMS "/mpanet-eval", "--data", data, "--checkpoint",
                            folder / "packed-cpu/best.safetensors"};
    const auto results = [&](const Arguments& more) {
      Arguments all = eval;
      all.insert(all.end(), more.begin(), more.end());
      Process process(all);
      REQUIRE_MESSAGE(process.wait() == 0, process.err());
      return process.out();
    };
    CHECK(results({}) == results({"--pack", pack}));

    write_file(data + "/cam1/0001/0001.jpg", read_text(data + "/cam1/0001/0002.jpg"));
    check_refused(command(folder, "late", {"--data", data, "--set", "data.pack=" + pack}), pack + ": stale: ");
    check_refused(command(folder, "none", {"--data", data, "--set", "data.pack=" + (folder / "none")}),
                  (folder / "none") + ": cannot open: No such file or directory");
    check_refused(command(folder, "size", {"--data", data, "--set", "data.pack=" + pack, "--set", "image_size=16,32"}),
                  pack + ": expected pictures of 16x32, got 32x16");
    Process chance({PROGRAMS "/mpanet-eval", "--data", data, "--chance", "1", "--pack", pack});
    CHECK(chance.wait() == 2);
    CHECK(has(chance.err(), "--pack: only with --checkpoint"));
  }

  TEST_CASE("the command that goes on can be pasted, with every option that was given") {
    TemporaryFolder folder;
    const std::string run = folder / "it's a run";
    Process process(command(folder, "it's a run", {"--set", "num_epoch=100000", "eval_interval=0", "--device", "cpu"}));
    REQUIRE(process.wait_until([&] { return steps_of(run) >= 4; }));
    process.send(SIGINT);
    REQUIRE(process.wait() == 130);
    const std::string command = after(process.out(), "go on with: ");
    CHECK(command.ends_with(" --resume --device cpu --threads 1"));
    const int64_t step = step_in(run);
    check_pasted("/", command + " --max-steps " + std::to_string(step + 3));
    CHECK(step_in(run) == step + 3);
  }

  TEST_CASE("a changed key comes with the command for a new run from the weights") {
    TemporaryFolder folder;
    const std::string run = folder / "a run";
    check_works(no_evaluation(command(folder, "a run", {"--max-steps", "2"})));
    fs::create_directory(run + "-2");  // this name is taken
    Process process({kTrain, "--out", run, "--resume", "--set", "lr=0.5", "lr_step=[3,4]", "optimizer=sgd", "--threads",
                     "1", "--max-steps", "0"});
    REQUIRE(process.wait() == 2);
    CHECK(
        has(process.err(), "the run began with another optimizer, lr, lr_step, which cannot change when it goes on; "));
    check_pasted("/", after(process.err(), "a new run from its weights: "));
    const Checkpoint made(run + "-3/last.safetensors"), old(run + "/last.safetensors");
    CHECK(made.config()->lr == 0.5);
    CHECK(made.config()->lr_step == std::vector<int>{3, 4});
    CHECK(made.config()->optimizer.kind == OptimizerConfig::Kind::Sgd);
    CHECK(made.config()->eval_interval == 0);
    CHECK(made.file().read("classifier.weight") == old.file().read("classifier.weight"));
    check_refused({kTrain, "--out", run, "--resume", "--set", "num_parts=3"},
                  "which cannot change when it goes on; its weights do not fit the other network");
  }

  TEST_CASE("--set takes several, and again") {
    TemporaryFolder folder;
    check_works(command(folder, "run", {"--set", "lr=0.5", "lr_step=3,4", "--max-steps", "0", "--set", "lr=0.25"}));
    const TrainConfig config = read_config(folder / "run/config.json");
    CHECK(config.lr == 0.25);
    CHECK(config.lr_step == std::vector<int>{3, 4});
  }

  TEST_CASE("--config takes the name of a shipped configuration; a file of that name wins") {
    TemporaryFolder folder;
    // The shipped configuration is used: the error is about its batches, which are too large for this data set.
    check_refused({kTrain, "--config", "sysu", "--data", data_set(), "--out", folder / "run"}, "p_size: ");
    Process unknown({kTrain, "--config", "sisu", "--data", data_set(), "--out", folder / "run"});
    CHECK(unknown.wait() == 2);
    CHECK(unknown.err() ==
          "mpanet-train: --config \"sisu\": no such file; the configurations that come with the program "
          "are demo, llcm, regdb, sysu, ablation/all, ablation/base, ablation/center_cluster, ablation/mam, "
          "ablation/mutual, "
          "ablation/pam\n");
    check_refused({kTrain, "--config", "ablation/mum", "--data", data_set(), "--out", folder / "run"},
                  "--config \"ablation/mum\": no such file; the configurations that come with the program are demo, ");
    check_refused({kTrain, "--config", "elsewhere/base.json", "--data", data_set(), "--out", folder / "run"},
                  "elsewhere/base.json: cannot open: ");
    fs::rename(write_config(folder), folder / "sysu");
    check_pasted(folder.path(),
                 std::string(kTrain) + " --config sysu --data " + data_set() + " --out run --max-steps 0");
    fs::create_directory(folder / "demo");  // a folder of that name is no configuration
    check_refused({kTrain, "--config", "demo", "--data", data_set(), "--out", folder / "other"}, "p_size: ");
  }

  TEST_CASE("the shipped ablations train, each with its own terms and parameters") {
    const std::map<std::string, std::set<std::string>> terms = {
        {"base", {"ce", "total"}},
        {"mam", {"ce", "total"}},
        {"pam", {"p-reg", "ce", "total"}},
        {"mutual", {"ce", "ce-v", "ce-i", "KL", "total"}},
        {"center_cluster", {"cc", "ce", "total"}},
        {"all", {"p-reg", "cc", "ce", "ce-v", "ce-i", "KL", "total"}}};
    TemporaryFolder folder;
    for (const auto& ablation : terms) {
      const auto& [name, expected] = ablation;
      INFO(ablation.first);
      const std::string run = folder / name;
      check_works({kTrain, "--config", "ablation/" + name, "--data", data_set(), "--out", run, "--threads", "1",
                   "--max-steps", "1", "--set", "depth=tiny", "image_size=32,16", "p_size=2", "k_size=2",
                   "log_period=1"});
      std::set<std::string> logged;
      const nlohmann::json losses = log_lines(run).front()["losses"];
      for (const auto& [term, value] : losses.items()) logged.insert(term);
      CHECK(logged == expected);
      const TensorFile file(run + "/last.safetensors");
      CHECK((file.find("backbone.MAM3.channel_attention.0.weight") != nullptr) == (name == "mam" || name == "all"));
      CHECK((file.find("spatial_attention.weight") != nullptr) == (name == "pam" || name == "all"));
      CHECK((file.find("visible_classifier.weight") != nullptr) == (name == "mutual" || name == "all"));
    }
  }

  TEST_CASE("rerank=true: evaluations re-rank and say so; too few queries are refused") {
    TemporaryFolder folder;
    check_refused(command(folder, "run", {"--set", "rerank=true"}), "re-rank");
    check_works(
        {PROGRAMS "/mpanet-data", "synth", "--out", folder / "data", "--ids", "2", "--test-ids", "6", "--images", "2"});
    check_works(command(folder, "run", {"--data", folder / "data", "--set", "rerank=true", "num_epoch=1"}));
    bool evaluated = false;
    for (const nlohmann::json& line : log_lines(folder / "run"))
      if (line["kind"] == "evaluation") {
        evaluated = true;
        CHECK(has(line["best_is"], "with re-ranking"));
      }
    CHECK(evaluated);
  }

  TEST_CASE("what a run reads it does not write") {
    TemporaryFolder folder;
    const std::string run = folder / "run", best = run + "/best.safetensors";
    check_works(no_evaluation(command(folder, "run", {"--max-steps", "0"})));
    // The run begins anew, with the weights that its first evaluation would replace.
    fs::rename(run + "/last.safetensors", best);
    const std::string before = read_text(best);
    check_refused(command(folder, "run", {"--resume", "--init", best}),
                  best + ": cannot write: it is --init, which this program reads");
    CHECK(read_text(best) == before);
    // A list that is one of the run's files by a link.
    fs::copy(data_set(), folder / "data", fs::copy_options::recursive);
    fs::remove(run + "/vendors.json");
    fs::create_hard_link(folder / "data/exp/test_id.txt", run + "/vendors.json");
    check_refused(command(folder, "run", {"--resume", "--data", folder / "data"}),
                  run + "/vendors.json: cannot write: it is a list of the data set, which this program reads");
    fs::remove(run + "/vendors.json");
    // The run's own configuration and checkpoint may be given when it goes on.
    fs::rename(best, run + "/last.safetensors");
    check_works({kTrain, "--config", run + "/config.json", "--out", run, "--resume", "--init",
                 run + "/last.safetensors", "--max-steps", "1", "--threads", "1"});
    CHECK(step_in(run) == 1);
    fs::create_directory(folder / "sweep");
    write_file(folder / "sweep/summary.json", R"({"lr": [0.001, 0.002]})");
    check_refused(command(folder, "sweep", {"--sweep", folder / "sweep/summary.json"}),
                  folder / "sweep/summary.json: cannot write: it is --sweep, which this program reads");
  }

  TEST_CASE("classification off: no classifier in the checkpoint, which goes on and embeds; it stays off") {
    TemporaryFolder folder;
    const Arguments off = no_evaluation(
        command(folder, "run", {"--set", "classification=false", "center_cluster=false", "--max-steps", "1"}));
    check_works(off);
    const std::string run = folder / "run";
    const Arguments resume = {kTrain, "--out", run, "--resume", "--threads", "1", "--max-steps", "2"};
    check_works(resume);
    const Checkpoint checkpoint(run + "/last.safetensors");
    CHECK(checkpoint.progression()->step == 2);
    for (const char* name : {"classifier.weight", "optimizer.first.classifier.weight"})
      CHECK(checkpoint.file().find(name) == nullptr);
    CHECK(checkpoint.file().find("optimizer.first.visible_classifier.weight") != nullptr);
    EngineConfig embeds;
    embeds.model = checkpoint.embedding_model();
    embeds.embed_batch = 1;
    checkpoint.load_embedding(*make_engine(embeds));
    Arguments on = resume;
    on.insert(on.end(), {"--set", "classification=true"});
    check_refused(on, "the run began with another classification, which cannot change when it goes on; a new run from");
  }
}

TEST_CASE("options that are keys of the configuration, or nearly an option") {
  const auto refused = [](const std::string& arguments, const std::string& words) {
    CHECK(not_refused("mpanet-train", arguments, words) == "");
  };
  refused("--lr 0.1", "unknown option --lr, which is a key of the configuration: --set lr=0.1 (see --help)");
  refused("--lr=0.1 --out x", "--set lr=0.1");
  refused("--num-epoch 3", "--set num_epoch=3");
  refused("--data.threads 4", "--set data.threads=4");
  refused("--lr-step '3, 4'", "--set 'lr_step=3, 4'");
  refused("--triplet", "--set triplet=VALUE");
  refused("--resum", "unknown option --resum, the nearest is --resume (see --help)");
  refused("--quick", "unknown option --quick (see --help)");
  refused("runs/first", "unexpected argument runs/first (see --help)");
}
