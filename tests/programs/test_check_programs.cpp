// gradcheck, opcheck and parity as programs: exit codes, and one line for bad input.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/support/built.h"
#include "tests/support/process.h"
#include "tests/support/text.h"

namespace {

struct Result {
  int code;
  std::string out, err;
};

Result run(std::vector<std::string> arguments) {
  arguments[0].insert(0, PROGRAMS "/");
  Process process(arguments);
  const int code = process.wait();
  return {code, process.out(), process.err()};
}

TEST_CASE("--version is that of all programs, with the name") {
  for (const char* name : {"gradcheck", "opcheck", "parity"}) {
    const Result version = run({name, "--version"});
    CAPTURE(name);
    CHECK(version.code == 0);
    CHECK(version.err == "");
    CHECK(version.out.starts_with(std::string(name) + " (mpanet "));
    CHECK(has(version.out, "\ncompiler: "));
  }
}

TEST_CASE("gradcheck lists, filters and checks") {
  const Result list = run({"gradcheck", "--list"});
  CHECK(list.code == 0);
  for (const char* op : {"conv2d ",
                         "batch_norm_2d ",
                         "batch_norm_1d ",
                         "conv_bn_act ",
                         "relu ",
                         "max_pool ",
                         "global_mean ",
                         "linear ",
                         "sigmoid ",
                         "instance_norm ",
                         "modality_alleviation ",
                         "pattern_alignment ",
                         "separation_loss ",
                         "center_cluster_loss ",
                         "triplet_loss ",
                         "center_loss ",
                         "cross_entropy ",
                         "cross_entropy_of ",
                         "mutual_kl ",
                         "weighted_sum ",
                         "network "})
    CHECK_MESSAGE(has(list.out, op), op);
  const Result few = run({"gradcheck", "--list", "--filter", "sigmoid"});
  CHECK(few.code == 0);
  CHECK(std::count(few.out.begin(), few.out.end(), '\n') < 10);
  const Result checked = run({"gradcheck", "--device", "cpu", "--filter", "sigmoid"});
  CHECK(checked.code == 0);
  CHECK(has(checked.out, "\nsigmoid "));
  CHECK(has(checked.out, "\n0 of "));
}

TEST_CASE("gradcheck refuses what it does not know") {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"gradcheck", "--fliter", "x"},
                                                    {"gradcheck", "--device", "tpu"},
                                                    {"gradcheck", "--filter"},
                                                    {"gradcheck", "--filter", "no such op"}}) {
    const Result result = run(arguments);
    CHECK(result.code == 2);
    CHECK(!result.err.empty());
  }
}

TEST_CASE("opcheck lists, filters and checks in every precision") {
  const Result list = run({"opcheck", "--list"});
  CHECK(list.code == 0);
  CHECK(list.out == run({"opcheck", "--list", "--precision", "f64"}).out);
  CHECK(has(list.out, "conv_bn_act "));
  CHECK(has(list.out, "residual_block "));
  for (const char* precision : {"f64", "f32", "tf32", "bf16", "f16"}) {
    if (!mpanet::is_built(precision)) continue;
    const Result checked = run({"opcheck", "--precision", precision, "--filter", "sigmoid", "--seeds", "2"});
    CHECK(checked.code == 0);
    CHECK(has(checked.out, std::string(precision) + " on cpu, 2 runs"));
    CHECK(has(checked.out, "\n0 of "));
  }
}

TEST_CASE("opcheck compares every gradient of a network in every precision, and says how many") {
  std::string counts;
  for (const char* precision : {"f32", "tf32", "bf16", "f16"}) {
    if (!mpanet::is_built(precision)) continue;
    const Result checked = run({"opcheck", "--precision", precision, "--filter", "network"});
    CHECK(checked.code == 0);
    const size_t at = checked.out.find(" tensors compared, ");
    REQUIRE(at != std::string::npos);
    const size_t line = checked.out.rfind('\n', at) + 1;
    const std::string said = checked.out.substr(line, checked.out.find('\n', at) - line);
    if (counts.empty()) counts = said;
    CHECK(said == counts);  // no precision leaves one out
    CHECK(!has(said, " 0 of them gradients"));
  }
}

TEST_CASE("opcheck refuses what it does not know") {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"opcheck", "--precision", "f8"},
                                                    {"opcheck", "--device", "tpu"},
                                                    {"opcheck", "--seeds", "0"},
                                                    {"opcheck", "--filter", "no such op"}}) {
    const Result result = run(arguments);
    CHECK(result.code == 2);
    CHECK(!result.err.empty());
  }
}

TEST_CASE("a test of kernels fails on a device that cannot be used") {
  for (const char* device : {"cuda:99", "tpu"}) {
    Process process({"/usr/bin/env", std::string("MPANET_TEST_DEVICE=") + device, PROGRAMS "/test_tools_f32"});
    CHECK(process.wait() != 0);
    CHECK(has(process.out(), std::string("device ") + device));
  }
}

// scripts/gpu-check reports exit code 1 as a wrong result.
TEST_CASE("the test of the CUDA runtime tells a device that cannot be used from a wrong result") {
  Process process({"/usr/bin/env", "MPANET_TEST_DEVICE=cuda:99", PROGRAMS "/test_cuda_runtime"});
  CHECK(process.wait() == 2);
  CHECK(has(process.err(), "test_cuda_runtime: device cuda"));
}

TEST_CASE("a check says which device it runs on") {
  for (const char* program : {"gradcheck", "opcheck"})
    CHECK(has(run({program, "--device", "cpu", "--filter", "sigmoid 1x1"}).out, "on cpu"));
}

TEST_CASE("parity tells a wrong number from a file that is no fixture") {
  const std::string path = TEST_FIXTURES "/tiny.json";
  const Result equal = run({"parity", path});
  CHECK(equal.code == 0);
  CHECK(has(equal.out, "equal f64"));

  const TemporaryFolder folder;
  const std::string altered = folder / "altered.json", cut = folder / "cut.json";
  nlohmann::json fixture = nlohmann::json::parse(mpanet::read_text(path));
  nlohmann::json& number = fixture.at("steps").at(0).at("ce");
  number = number.get<double>() * (1 + 1e-5);
  mpanet::write_file(altered, fixture.dump());
  const Result different = run({"parity", altered});
  CHECK(different.code == 1);
  CHECK(has(different.out, "DIFFERENT"));
  CHECK(has(different.out, "step 0 ce"));

  mpanet::write_file(cut, mpanet::read_text(path).substr(0, 1000));
  for (const std::string& file : {cut, folder / "missing.json", std::string(TEST_FIXTURES "/eval_small.json")}) {
    const Result refused = run({"parity", file});
    CHECK(refused.code == 2);
    CHECK(has(refused.err, "parity: "));
    CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') == 1);
  }
  CHECK(run({"parity"}).code == 2);
  CHECK(run({"parity", path, "--precision", "f128"}).code == 2);
}

}  // namespace
