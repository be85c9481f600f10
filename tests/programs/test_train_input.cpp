// Bad input of mpanet-train, which gives one line on stderr: data, run folders, full disks, checkpoints to resume from.
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "mpanet/files/checkpoint.h"
#include "tests/support/train_program.h"

using namespace mpanet;
using nlohmann::json;
namespace fs = std::filesystem;

TEST_SUITE("mpanet-train" * doctest::skip(kLacking)) {
  TEST_CASE("bad input before the first step: one line, exit 2, no run folder") {
    TemporaryFolder folder;
    const auto refused = [&](const Arguments& more, const std::string& words) {
      check_refused(command(folder, "run", more), words);
      CHECK(!fs::exists(folder / "run"));
    };
    refused({"--set", "weight_kl=1"}, "--set: unknown key \"weight_kl\", the nearest known key is \"weight_KL\"");
    refused({"--set", "k_size=3"}, "--set: k_size: expected an even integer in 2..4096, got 3");
    refused({"--set", "image_size=16,16"}, "config.json: image_size: expected a height and width that leave");
    refused({"--set", "p_size=5"}, "5");
    refused({"--config", folder / "absent.json"}, "absent.json: cannot open");
    refused({"--data", folder / "absent"}, folder / "absent");
    refused({"--trials", folder / "absent.mat"}, "absent.mat");
    refused({"--init", folder / "absent.safetensors"}, "absent.safetensors: cannot open");
    refused({"--precision", "f8"},
            "mpanet-train: --precision: expected one of \"auto\", \"f32\", \"tf32\", \"bf16\", \"f16\", \"f64\", got "
            "\"f8\"");
    for (const auto& [seed, shown] : {std::pair("-1", "-1"), std::pair("0x10", "\"0x10\"")})
      refused({"--seed", seed},
              std::string("mpanet-train: --seed: expected an integer in 0..9223372036854775807, got ") + shown);
    for (const char* option : {"--seed", "--init", "--trials", "--sweep", "--conv", "--config"})
      refused({option, ""}, std::string("mpanet-train: ") + option + ": expected a value, got \"\" (see --help)");
    refused({"--device", "tpu"}, "device tpu: expected cpu, emu, cuda, cuda:N or auto");
    refused({"--device", "cpu", "--conv", "fast"}, "--conv: expected native, onednn or auto, got fast");
    refused({"--device", "cpu", "--conv", "cudnn"}, "--conv cudnn: expected a GPU, got cpu");
    refused({"--device", "cpu", "--conv", "onednn", "--precision", "f64"},
            "--conv onednn: oneDNN computes f32 and tf32 here, got f64; choose native or auto");
    refused({"--device", "cpu", "--gemm", "cublas"}, "--gemm cublas: expected a GPU, got cpu");
    refused({"--device", "cpu", "--gemm", "native"}, "--gemm native: expected a GPU, got cpu");
    refused({"--device", "cpu", "--no-graph"}, "--no-graph: expected a GPU, got cpu");
    refused({"--threads", "0"}, "threads");
    refused({"--max-steps", "-1"}, "max-steps");
    refused({"--no-such-option"}, "no-such-option");
    refused({"--set", "p_size=2", "--set", "k_size=4096", "--set", "image_size=4096,4096", "--set", "data.queue=256"},
            "no batch fits");
    check_refused({PROGRAMS "/mpanet-train", "--out", folder / "run"}, "--data is needed");
    check_refused({PROGRAMS "/mpanet-train", "--data", data_set()}, "--out is needed");
    check_refused({PROGRAMS "/mpanet-train", "--data", data_set(), "--out", folder / "run"}, "--config is needed");
  }

  TEST_CASE("a picture that cannot be read ends the run with its name and the last checkpoint in place") {
    TemporaryFolder folder;
    fs::copy(data_set(), folder / "data", fs::copy_options::recursive);
    std::vector<std::string> pictures;
    for (const auto& entry : fs::recursive_directory_iterator(folder / "data/cam3"))
      if (entry.is_regular_file()) pictures.push_back(entry.path().string());
    for (const std::string& picture : pictures) write_file(picture, "no picture");
    check_refused(no_evaluation(command(folder, "run", {"--data", folder / "data"})), "/cam3/");
    CHECK(Checkpoint(folder / "run/last.safetensors").progression()->step == 0);
    CHECK(!half_written(folder / "run"));
  }

  TEST_CASE("run folders that exist, are in use, are none, or cannot be made") {
    TemporaryFolder folder;
    fs::create_directory(folder / "exists");
    check_refused(command(folder, "exists"), "the run folder exists already");
    CHECK(fs::is_empty(folder / "exists"));
    write_file(folder / "file", "x");
    check_refused(command(folder, "file/run"), "cannot make the folder");
    check_refused(command(folder, "file", {"--resume"}), "expected a run folder");
    fs::create_directory(folder / "other");
    write_file(folder / "other/notes.tmp.1", "mine");
    check_refused(command(folder, "other", {"--resume"}), "got a folder that no run made");
    CHECK(names_in(folder / "other") == std::set<std::string>{"notes.tmp.1"});

    Process process(no_evaluation(command(folder, "busy", {"--set", "num_epoch=1000"})));
    REQUIRE(process.wait_until([&] { return steps_of(folder / "busy") >= 2; }));
    check_refused(command(folder, "busy"), "is in use");
    check_refused(command(folder, "busy", {"--resume"}), "is in use");
    CHECK(process.running());
  }

  TEST_CASE("a disk that fills: the checkpoint before it survives, a new run leaves nothing") {
    TemporaryFolder folder;
    check_refused(no_evaluation(command(folder, "deep/new")), "last.safetensors: cannot write", 100000);
    CHECK(!fs::exists(folder / "deep"));
    const std::string run = folder / "run", last = run + "/last.safetensors";
    check_works(no_evaluation(command(folder, "run", {"--max-steps", "2"})));
    const std::string before = read_text(last);
    check_refused(no_evaluation(command(folder, "run", {"--resume"})), last + ": cannot write",
                  static_cast<long>(before.size()) - 100);
    CHECK(read_text(last) == before);
    CHECK(!half_written(run));
    check_works(no_evaluation(command(folder, "run", {"--resume"})));  // it resumes when there is space again
  }

  TEST_CASE("resuming refuses another configuration, other data, damaged checkpoints") {
    TemporaryFolder folder;
    const std::string run = folder / "run", last = run + "/last.safetensors";
    check_works(no_evaluation(command(folder, "run", {"--max-steps", "1"})));
    const std::string before = read_text(last);
    fs::create_directory(folder / "moved");  // the checkpoint is enough to resume
    fs::copy(last, folder / "moved");
    check_works(no_evaluation(command(folder, "moved", {"--resume", "--max-steps", "2"})));
    const auto refused = [&](const Arguments& more, const std::string& words) {
      Arguments arguments = no_evaluation(command(folder, "run", {"--resume"}));
      arguments.insert(arguments.end(), more.begin(), more.end());
      check_refused(arguments, words);
    };
    refused({"--set", "lr=0.5", "--seed", "3"}, "the run began with another lr, seed, which cannot change");
    refused({"--precision", "f64"}, "the run began with another precision");
    const std::string in_f64 = folder / "f64";
    check_works(no_evaluation(command(folder, "f64", {"--precision", "f64", "--max-steps", "1"})));
    Process kept(no_evaluation(command(folder, "f64", {"--resume", "--max-steps", "2", "--precision", "auto"})));
    CHECK(kept.wait() == 0);
    CHECK_MESSAGE(has(kept.out(), "\nprecision: f64, as the run began\n"), kept.out());
    CHECK(Checkpoint(in_f64 + "/last.safetensors").config()->precision == Precision::f64);
    CHECK(read_config(in_f64 + "/config.json").precision == Precision::f64);
    refused({"--data", data_set("2")}, "expected 5 classes, as the data set has identities for training, got 4");
    fs::copy(data_set(), folder / "data", fs::copy_options::recursive);
    const fs::path picture = read_dataset(DatasetKind::Sysu, folder / "data", Split::Train).train.front().path;
    const fs::path data = folder / "data";
    fs::copy(data / picture, data / picture.parent_path() / "0099.jpg");
    refused({"--data", folder / "data"}, "expected the training images that");
    CHECK(read_text(last) == before);

    write_file(last, before.substr(0, before.size() / 2));
    refused({}, last + ": ");
    write_file(last, std::string(8, '\xff') + before.substr(8));
    refused(
        {},
        last +
            ": expected a safetensors or .pth file; as safetensors its header would have 18446744073709551615 bytes");
    write_file(last, "");
    refused({}, last + ": expected a safetensors or .pth file, got 0 bytes");
  }
}

TEST_CASE("what a file of the run folder holds cannot end the program or reach the terminal raw" *
          doctest::skip(kLacking)) {
  TemporaryFolder folder;
  check_works(no_evaluation(command(folder, "run", {"--max-steps", "1"})));
  const Arguments again = no_evaluation(command(folder, "run", {"--resume", "--max-steps", "2"}));
  const std::string provenance = folder / "run/provenance.json", vendors = folder / "run/vendors.json";
  for (const auto& [content, words] : {std::pair(std::string(1000000, '['), "expected at most 32 levels of nesting"),
                                       {"{\"threads\": 1} x", "expected JSON, broken at line 1, column 16"},
                                       {"7", "expected an object, got 7"},
                                       {"{\"resumed\": 5}", "resumed: expected a list, got 5"},
                                       {"{\"resumed\": [{}, 5]}", "resumed: expected a list of objects, got 5"}}) {
    write_file(provenance, content);
    check_refused(again, provenance + ": " + words);
    CHECK(read_text(provenance) == content);
  }
  CHECK(log_lines(folder / "run").size() == 1);
  // As large as a disk: nothing of it is read.
  const std::string kept = fs::exists(vendors) ? read_text(vendors) : "";
  for (const char* name : {"vendors.json", "provenance.json", "inputs.json"}) {
    const std::string file = folder / "run/" + name, before = fs::exists(file) ? read_text(file) : "";
    write_file(file, "{");
    fs::resize_file(file, uint64_t{20} << 30);
    check_refused(again, file + ": expected at most 67108864 bytes, got 21474836480");
    fs::remove(file);
    if (!before.empty()) write_file(file, before);
  }
  write_file(vendors, R"({"conv": "native", "gemm": "native", "cpu_conv": "onednn", "choices": {}})");
  check_works(no_evaluation(command(folder, "f64", {"--precision", "f64", "--max-steps", "1"})));
  fs::copy_file(vendors, folder / "f64/vendors.json", fs::copy_options::overwrite_existing);
  check_refused(no_evaluation(command(folder, "f64", {"--precision", "f64", "--max-steps", "2", "--resume"})),
                folder /
                    "f64/vendors.json: cpu_conv: expected native or auto here, got onednn: it computes f32 and "
                    "tf32, not f64");
  fs::remove(vendors);
  if (!kept.empty()) write_file(vendors, kept);

  write_file(provenance, "{\"threads\": 1, \"commit\": \"\\u001b[31m\\n\"}");
  Process resumed(again);
  CHECK(resumed.wait() == 0);
  CHECK(has(resumed.err(), "\\x1b[31m\\n"));
  CHECK(!has(resumed.err(), "\033"));
  // A deeply nested line of the log is dropped, like every other line that is not a log entry.
  write_file(folder / "run/log.jsonl", std::string(100000, '[') + "\n");
  check_works(no_evaluation(command(folder, "run", {"--max-steps", "3", "--resume"})));
  CHECK(log_lines(folder / "run").size() == 1);
  write_file(folder / "c\033[31m\n.json", "{");
  Arguments odd = command(folder, "other");
  odd[2] = folder / "c\033[31m\n.json";
  check_refused(odd, "/c\\x1b[31m\\n.json: expected JSON, broken at line 1, column 2");
}
