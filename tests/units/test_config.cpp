// Configuration files: defaults, names, ranges, and errors with their texts.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "mpanet/config/config.h"
#include "mpanet/config/config_keys.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text.h"

using namespace mpanet;

namespace {

std::string refusal(const std::string& text) {
  const std::string message = error_of([&] { parse_config(text, "c.json"); });
  CHECK(message.find('\n') == message.npos);
  return message;
}

std::string set_refusal(const std::string& assignment) {
  TrainConfig config;
  return error_of([&] { set_config(config, assignment); });
}

}  // namespace

TEST_CASE("sysu.json holds what the paper's authors trained with") {
  const TrainConfig c = read_config(SOURCE_DIR "/mpanet/configs/sysu.json");
  CHECK(c.model.depth == "50");
  CHECK(c.model.height == 384);
  CHECK(c.model.width == 128);
  CHECK(c.model.drop_last_stride);
  CHECK(c.model.mam == 2);
  CHECK(c.model.parts == 6);
  CHECK(c.model.center_cluster);
  CHECK(c.model.classification);
  CHECK(c.model.mutual);
  CHECK(!c.model.triplet);
  CHECK(!c.model.center);
  CHECK(c.model.margin == 0.7);
  CHECK(c.model.weight_sep == 0.5);
  CHECK(c.model.weight_sid == 0.5);
  CHECK(c.model.weight_kl == 2.5);
  CHECK(c.model.update_rate == 0.2);
  CHECK(c.p_size == 16);
  CHECK(c.k_size == 8);
  CHECK(c.optimizer.kind == OptimizerConfig::Kind::Adam);
  CHECK(c.optimizer.weight_decay == 5e-4);
  CHECK(c.lr == 3.5e-4);
  CHECK(c.lr_step == std::vector<int>{80, 120});
  CHECK(c.num_epoch == 140);
  CHECK(c.start_eval == 115);
  CHECK(c.eval_interval == 5);
  CHECK(!c.precision);                    // auto
  CHECK(c.augment() == AugmentConfig{});  // docs/method.md, section 3 is its default
  check_config(c, "sysu.json");
}

TEST_CASE("regdb.json holds what the authors trained with on RegDB; llcm.json their settings for SYSU-MM01") {
  const TrainConfig regdb = read_config(SOURCE_DIR "/mpanet/configs/regdb.json");
  check_config(regdb, "regdb.json");
  TrainConfig c = read_config(SOURCE_DIR "/mpanet/configs/sysu.json");
  const TrainConfig sysu = c;
  c.dataset = DatasetKind::RegDb;
  c.model.height = 256;
  c.p_size = 12, c.k_size = 10;
  c.lr_step = {110};
  c.log_period = 20;
  CHECK(config_line(regdb) == config_line(c));
  c = sysu;
  c.dataset = DatasetKind::Llcm;
  CHECK(config_line(read_config(SOURCE_DIR "/mpanet/configs/llcm.json")) == config_line(c));
}

TEST_CASE("a split is RegDB's, and its model belongs to it") {
  TrainConfig c;
  set_config(c, "split=3");
  CHECK(has(error_of([&] { check_config(c, "c.json"); }), "c.json: split: expected 1, as sysu has one split, got 3"));
  set_config(c, "dataset=regdb");
  check_config(c, "c.json");
  check_unseen(c, DatasetKind::RegDb, 3, "m");
  check_unseen(c, DatasetKind::Sysu, 1, "m");
  CHECK(has(error_of([&] { check_unseen(c, DatasetKind::RegDb, 1, "m"); }),
            "m: expected a model trained on split 1 of RegDB, got one trained on split 3"));
  c.dataset = DatasetKind::Sysu;
  check_unseen(c, DatasetKind::RegDb, 1, "m");
}

TEST_CASE("demo.json is valid") { check_config(read_config(SOURCE_DIR "/mpanet/configs/demo.json"), "demo.json"); }

TEST_CASE("the ablations are sysu.json but for the parts that their names leave out") {
  const std::string folder = SOURCE_DIR "/mpanet/configs/";
  const TrainConfig whole = read_config(folder + "sysu.json");
  const auto differing = [&](const std::string& name) {
    const auto paths = fixed_differences(whole, read_config(folder + "ablation/" + name + ".json"));
    return std::set<std::string>(paths.begin(), paths.end());
  };
  const std::set<std::string> parts = {"modality_attention", "num_parts", "center_cluster", "mutual_learning"};
  const auto but = [&](const std::string& kept) {
    std::set<std::string> others = parts;
    CHECK(others.erase(kept) == 1);
    return others;
  };
  CHECK(differing("base") == parts);
  CHECK(differing("mam") == but("modality_attention"));
  CHECK(differing("pam") == but("num_parts"));
  CHECK(differing("mutual") == but("mutual_learning"));
  CHECK(differing("center_cluster") == but("center_cluster"));
  CHECK(differing("all").empty());
  const TrainConfig base = read_config(folder + "ablation/base.json");
  CHECK(base.model.mam == 0);
  CHECK(base.model.parts == 0);
  CHECK(!base.model.center_cluster);
  CHECK(!base.model.mutual);
  CHECK(base.model.classification);
}

TEST_CASE("rates and evaluations by epoch") {
  const TrainConfig c;
  CHECK(c.learning_rate(1) == 3.5e-4);
  CHECK(c.learning_rate(80) == 3.5e-4);
  CHECK(c.learning_rate(81) == doctest::Approx(3.5e-5).epsilon(1e-12));
  CHECK(c.learning_rate(120) == doctest::Approx(3.5e-5).epsilon(1e-12));
  CHECK(c.learning_rate(121) == doctest::Approx(3.5e-6).epsilon(1e-12));
  std::set<int> evaluated;
  for (int epoch = 1; epoch <= c.num_epoch; epoch++)
    if (c.evaluates_after(epoch)) evaluated.insert(epoch);
  CHECK(evaluated == std::set<int>{120, 125, 130, 135, 140});
  TrainConfig odd = c;
  odd.num_epoch = 117;  // the last epoch is always evaluated
  CHECK(odd.evaluates_after(117));
  CHECK(!odd.evaluates_after(116));
  odd.eval_interval = 0;
  CHECK(!odd.evaluates_after(117));
}

TEST_CASE("unknown keys name the nearest known one, where it is near") {
  CHECK(refusal(R"({"weight_kl": 1})") == R"(c.json: unknown key "weight_kl", the nearest known key is "weight_KL")");
  CHECK(refusal(R"({"p_sise": 1})") == R"(c.json: unknown key "p_sise", the nearest known key is "p_size")");
  CHECK(refusal(R"({"data": {"pad_valeu": 1}})") ==
        R"(c.json: unknown key "data.pad_valeu", the nearest known key is "data.pad_value")");
  CHECK(refusal(R"({"pad_value": 1})") ==
        R"(c.json: unknown key "pad_value", the nearest known key is "data.pad_value")");
  CHECK(refusal(R"({"data.pad_value": [1, 2, 3]})") ==
        R"(c.json: unknown key "data.pad_value": in a file levels are nested objects, dots are for --set)");
  CHECK(set_refusal("data={\"threads\": 4}") == "--set: data is a group of keys; expected data.KEY=VALUE");
  for (const char* key : {"a\\nb", "foo", "x", ""})
    CHECK(refusal(fmt::format("{{\"{}\": 1}}", key)) ==
          fmt::format("c.json: unknown key \"{}\" (mpanet-train --help-config lists all keys)", key));
  CHECK(refusal(fmt::format("{{\"{}\": 1}}", std::string(100000, 'p'))).ends_with("lists all keys)"));
  CHECK(set_refusal("sede=1") == R"(--set: unknown key "sede", the nearest known key is "seed")");
  CHECK(set_refusal("sed=1") == R"(--set: unknown key "sed", the nearest known key is "seed")");
}

TEST_CASE("wrong types and ranges: key, what is allowed, what was given") {
  CHECK(refusal(R"({"p_size": 0})") == "c.json: p_size: expected an integer in 1..4096, got 0");
  CHECK(refusal(R"({"p_size": 16.0})") == "c.json: p_size: expected an integer in 1..4096, got 16.0");
  CHECK(refusal(R"({"p_size": "16"})") == "c.json: p_size: expected an integer in 1..4096, got \"16\"");
  CHECK(refusal(R"({"p_size": 18446744073709551615})") ==
        "c.json: p_size: expected an integer in 1..4096, got 18446744073709551615");
  CHECK(refusal(R"({"k_size": 7})") == "c.json: k_size: expected an even integer in 2..4096, got 7");
  CHECK(refusal(R"({"margin": -0.1})") == "c.json: margin: expected a number in 0..1000, got -0.1");
  CHECK(refusal(R"({"margin": null})") == "c.json: margin: expected a number in 0..1000, got null");
  CHECK(refusal(R"({"triplet": 1})") == "c.json: triplet: expected true or false, got 1");
  CHECK(refusal(R"({"depth": "51"})") ==
        R"(c.json: depth: expected one of "tiny", "18", "34", "50", "101", "152", got "51")");
  CHECK(refusal(R"({"image_size": [384]})") ==
        "c.json: image_size: expected [height, width], two integers in 16..4096, got [384]");
  CHECK(refusal(R"({"lr_step": [120, 80]})") ==
        "c.json: lr_step: expected a list of ascending integers in 1..100000, got [120,80]");
  CHECK(refusal(R"({"lr_step": [80, 80]})") != "");
  CHECK(refusal(R"({"data": {"pad_value": [127, 127, 256]}})") ==
        "c.json: data.pad_value: expected [red, green, blue], three integers in 0..255, got [127,127,256]");
  CHECK(refusal(R"({"data": 3})") == "c.json: data: expected an object, got 3");
  CHECK(refusal(R"({"seed": -1})") == "c.json: seed: expected an integer in 0..9223372036854775807, got -1");
  CHECK(refusal(R"({"modality_attention": 3})") == "c.json: modality_attention: expected an integer in 0..2, got 3");
  CHECK(refusal(R"({"num_parts": 9})") == "c.json: num_parts: expected an integer in 0..8, got 9");
}

TEST_CASE("texts that are no configuration") {
  CHECK(refusal("") == "c.json: expected JSON, broken at line 1, column 1");
  CHECK(refusal("{\n  \"p_size\": 4,\n  }") == "c.json: expected JSON, broken at line 3, column 3");
  CHECK(refusal("[]") == "c.json: expected a JSON object, got []");
  CHECK(refusal(R"({"p_size": 4, "p_size": 8})") == "c.json: the name \"p_size\" is given twice");
  CHECK(refusal(std::string("{\"p_size\": 4}\0, \"nonsense\": 8}", 30)) ==
        "c.json: expected JSON, got a NUL byte at line 1, column 14");
  CHECK(error_of([] { read_config("/absent/c.json"); }) == "/absent/c.json: cannot open: No such file or directory");
}

TEST_CASE("--set takes the same values with the same checks") {
  TrainConfig c;
  set_config(c, "depth=tiny");
  CHECK(c.model.depth == "tiny");
  set_config(c, "depth=18");
  CHECK(c.model.depth == "18");
  set_config(c, "lr_step=3,5");
  CHECK(c.lr_step == std::vector<int>{3, 5});
  set_config(c, "lr_step=[4, 6]");
  CHECK(c.lr_step == std::vector<int>{4, 6});
  set_config(c, "lr_step=");
  CHECK(c.lr_step.empty());
  set_config(c, "image_size=144,72");
  CHECK(c.model.height == 144);
  CHECK(c.model.width == 72);
  set_config(c, "data.pad_value=127,0,0");
  CHECK(c.pad_value == std::array<int, 3>{127, 0, 0});
  set_config(c, "lr=1e-3");
  CHECK(c.lr == 1e-3);
  set_config(c, "random_erase=false");
  CHECK(c.augment().erase_probability == 0);
  set_config(c, "random_crop=false");
  CHECK(c.augment().padding == 0);
  set_config(c, "optimizer=sgd");
  CHECK(c.optimizer.kind == OptimizerConfig::Kind::Sgd);
  CHECK(set_refusal("p_size=many") == "--set: p_size: expected an integer in 1..4096, got \"many\"");
  CHECK(set_refusal("p_size") == "--set: expected key=value, got \"p_size\"");
  CHECK(set_refusal("=3") == "--set: expected key=value, got \"=3\"");
  // Decimal, like all numbers on command lines.
  for (const char* text : {"0x10", "1e1", "16.0", " 16", "16 ", "+16", "016", "inf", "true", "99999999999999999999"})
    CHECK(
        set_refusal(std::string("p_size=") + text).starts_with("--set: p_size: expected an integer in 1..4096, got "));
  for (const char* text : {"nan", "inf", "1e999", "0x1p3", " 0.1", "0.1 ", "+0.1", "0,1"})
    CHECK(set_refusal(std::string("lr=") + text).starts_with("--set: lr: expected a number in 0..100, got "));
  // A deeply nested value is no list, and must not exhaust the stack.
  CHECK(set_refusal("lr_step=" + std::string(1000000, '[')).find("expected a list") != std::string::npos);
}

TEST_CASE("sizes the network cannot take") {
  TrainConfig c;
  c.model.height = c.model.width = 16;  // the backbone's output has one position
  const std::string message = error_of([&] { check_config(c, "c.json"); });
  CHECK(message.starts_with("c.json: image_size: "));
  CHECK(message.find("16") != message.npos);
}

TEST_CASE("at least one term of the loss is left") {
  TrainConfig c;
  for (const char* off : {"center_cluster=false", "classification=false", "mutual_learning=false"}) set_config(c, off);
  check_config(c, "c.json");  // p-reg
  TrainConfig no_weight = c;
  for (const char* assignment : {"weight_sep=0", "mutual_learning=true", "weight_sid=0", "weight_KL=0"})
    set_config(no_weight, assignment);
  set_config(c, "num_parts=1");
  for (const TrainConfig& none : {c, no_weight})
    CHECK(error_of([&] { check_config(none, "c.json"); }) ==
          "c.json: the loss has no term left: expected one of center_cluster, classification, mutual_learning, "
          "triplet, center or num_parts of 2 and more, with a weight above 0");
  for (const char* on : {"center_cluster=true", "classification=true", "mutual_learning=true", "triplet=true",
                         "center=true", "num_parts=2"}) {
    TrainConfig one = c;
    set_config(one, on);
    check_config(one, "c.json");
  }
}

TEST_CASE("what is written reads back, in the file and in one line") {
  TrainConfig c;
  for (const char* assignment :
       {"depth=tiny", "image_size=144,72", "lr=0.1", "wd=0.001", "lr_step=7", "seed=9223372036854775807",
        "precision=f64", "data.cache_mib=12", "data.pack=a/b c.pack", "weight_KL=0.30000000000000004", "num_parts=0",
        "center_cluster=false", "classification=false"})
    set_config(c, assignment);
  for (const std::string& text : {config_file_text(c), config_line(c)}) {
    const TrainConfig back = parse_config(text, "written");
    CHECK(config_line(back) == config_line(c));
    CHECK(back.seed == 9223372036854775807u);
    CHECK(!back.model.center_cluster);
    CHECK(!back.model.classification);
    CHECK(back.model.weight_kl == 0.30000000000000004);
    CHECK(back.precision == Precision::f64);
  }
  CHECK(config_line(c).find('\n') == std::string::npos);
}

TEST_CASE("resuming: which keys may change") {
  TrainConfig before, now;
  set_config(now, "num_epoch=200");
  set_config(now, "data.threads=7");
  CHECK(fixed_differences(before, now).empty());
  set_config(now, "lr=1");
  set_config(now, "data.pad_value=127,0,0");
  CHECK(fixed_differences(before, now) == std::vector<std::string>{"lr", "data.pad_value"});
  CHECK(changeable_keys() == std::vector<std::string>{"num_epoch", "start_eval", "eval_interval", "log_period",
                                                      "checkpoint_every", "checkpoint_seconds", "data.threads",
                                                      "data.queue", "data.cache_mib", "data.pack", "data.embed_batch"});
}

TEST_CASE("every key is in the help once, with its default") {
  std::set<std::string> paths;
  for (const ConfigKey& key : config_keys()) {
    CHECK(paths.insert(key.path).second);
    CHECK(config_help().find(key.path + " (default ") != std::string::npos);
    TrainConfig c;
    CHECK(key.set(c, key.get(c)));  // a default is an allowed value
  }
}
