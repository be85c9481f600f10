// Configurations of the authors' code, and YAML: keys that are used, translated, refused and ignored.
#include <doctest/doctest.h>

#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "mpanet/config/authors_config.h"
#include "mpanet/config/config_keys.h"
#include "mpanet/config/yaml.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;

namespace {

// The keys of the file that the authors published for SYSU-MM01, with its values.
constexpr const char* kSysu = R"(prefix: SYSU
fp16: true
rerank: false

# data
sample_method: identity_random
image_size: (384, 128)
p_size: 16
k_size: 8
dataset: sysu

classification: true
center_cluster: true
triplet: false
center: false
margin: 0.7
num_parts: 6
weight_sep: 0.5
update_rate: 0.2
weight_sid: 0.5
weight_KL: 2.5

drop_last_stride: true
pattern_attention: true
mutual_learning: true
modality_attention: 2

lr: 0.00035
optimizer: adam
num_epoch: 140
lr_step: [80, 120]

random_flip: true
random_crop: true
random_erase: true
color_jitter: false
padding: 10

log_period: 150
start_eval: 115
eval_interval: 5
)";

TrainConfig parse(const std::string& text) {
  std::vector<std::string> remarks;
  return parse_authors_config(text, "c.yml", remarks);
}

std::string refusal(const std::string& text) {
  const std::string message = error_of([&] { parse(text); });
  CHECK(message.find('\n') == message.npos);
  return message;
}

std::vector<std::string> remarks_of(const std::string& text) {
  std::vector<std::string> remarks;
  parse_authors_config(text, "c.yml", remarks);
  return remarks;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != text.npos);
  return text.replace(at, from.size(), to);
}

std::set<std::string> differences(const TrainConfig& a, const TrainConfig& b) {
  std::set<std::string> paths;
  for (const ConfigKey& key : config_keys())
    if (key.get(a) != key.get(b)) paths.insert(key.path);
  return paths;
}

}  // namespace

TEST_SUITE("the authors' configuration files" * doctest::skip(!yaml_supported())) {
  TEST_CASE("their file for SYSU-MM01 is sysu.json, in f16 and with its own logging") {
    const TrainConfig theirs = parse(kSysu), ours = read_config(SOURCE_DIR "/mpanet/configs/sysu.json");
    CHECK(differences(theirs, ours) == std::set<std::string>{"precision", "log_period", "checkpoint_every"});
    CHECK(theirs.precision == Precision::f16);
    CHECK(theirs.log_period == 150);
    check_config(theirs, "c.yml");
    CHECK(remarks_of(kSysu) == std::vector<std::string>{"c.yml: ignored: prefix in line 1 (--out names the run)",
                                                        "c.yml: here: fp16 true is precision f16",
                                                        "c.yml: not in the file, the authors' defaults: wd 0.0005"});
  }

  TEST_CASE("their file for RegDB: what differs") {
    std::string text = kSysu;
    const std::pair<const char*, const char*> changes[] = {
        {"prefix: SYSU", "prefix: RegDB"}, {"(384, 128)", "(256, 128)"}, {"p_size: 16", "p_size: 12"},
        {"k_size: 8", "k_size: 10"},       {"[80, 120]", "[110]"},       {"log_period: 150", "log_period: 20"}};
    for (const auto& [from, to] : changes) text = replaced(text, from, to);
    TrainConfig expected = parse(kSysu);
    for (const char* assignment : {"image_size=256,128", "p_size=12", "k_size=10", "lr_step=110", "log_period=20"})
      set_config(expected, assignment);
    CHECK(differences(parse(text), expected).empty());
  }

  TEST_CASE("a missing key has the authors' default, not mpanet's") {
    const TrainConfig c = parse("dataset: sysu\n");
    CHECK(c.model.margin == 0.3);
    CHECK(c.optimizer.kind == OptimizerConfig::Kind::Sgd);
    CHECK(c.optimizer.momentum == 0.9);
    CHECK(c.optimizer.weight_decay == 5e-4);
    CHECK(c.lr == 0.1);
    CHECK(c.lr_step == std::vector<int>{40});
    CHECK(c.num_epoch == 60);
    CHECK(c.model.weight_kl == 3.0);
    CHECK(c.model.weight_sid == 1.0);
    CHECK(c.model.weight_sep == 1.0);
    CHECK(c.model.update_rate == 1.0);
    CHECK(c.model.classification);
    CHECK(!c.model.center_cluster);
    CHECK(!c.model.triplet);
    CHECK(!c.model.center);
    CHECK(!c.model.drop_last_stride);
    CHECK(c.model.parts == 0);
    CHECK(c.model.mam == 0);
    CHECK(!c.model.mutual);
    CHECK(c.eval_interval == 0);
    CHECK(c.start_eval == 60);
    CHECK(c.log_period == 10);
    CHECK(!c.rerank);
    CHECK(parse("rerank: true").rerank);
    CHECK(c.padding == 10);
    CHECK(c.p_size == 16);
    CHECK(c.k_size == 8);
    CHECK(c.precision == Precision::f32);
    CHECK(c.model.height == 384);
    CHECK(c.model.width == 128);
    CHECK(c.random_flip);
    CHECK(c.random_crop);
    CHECK(c.random_erase);
    CHECK(c.model.depth == "50");
    CHECK(parse("pattern_attention: true").model.parts == 6);
    CHECK(parse("pattern_attention: true\nnum_parts: 4").model.parts == 4);
    CHECK(parse("pattern_attention: false\nnum_parts: 4").model.parts == 0);
  }

  TEST_CASE("values as PyYAML and yacs read them") {
    CHECK(parse("image_size: [256, 128]").model.height == 256);
    CHECK(parse("image_size: \"(256, 128)\"").model.height == 256);
    CHECK(parse("image_size: '(256,128,)'").model.width == 128);
    CHECK(parse("image_size:\n  - 256\n  - 128").model.width == 128);
    CHECK(parse("lr: 1e-3").lr == 1e-3);
    CHECK(parse("lr: 1").lr == 1);
    CHECK(parse("lr: .5").lr == 0.5);
    CHECK(parse("p_size: \"12\"").p_size == 12);
    CHECK(parse("triplet: yes").model.triplet);
    CHECK(parse("triplet: True").model.triplet);
    CHECK(parse("lr_step: (30, 50)").lr_step == std::vector<int>{30, 50});
    CHECK(parse("lr_step: []").lr_step.empty());
    CHECK(parse("lr_step: &a [30]").lr_step == std::vector<int>{30});
    CHECK(parse("p_size: &n 4\nk_size: *n").k_size == 4);
    CHECK(parse("\xEF\xBB\xBF"
                "p_size: 4\r\nk_size: 2\r\n")
              .k_size == 2);
    CHECK(parse("{p_size: 4, k_size: 2}").k_size == 2);
    for (const char* value : {"0", "-1", "-7"}) CHECK(parse(std::string("eval_interval: ") + value).eval_interval == 0);
  }

  TEST_CASE("what cannot be followed: file, line, key, reason") {
    CHECK(refusal("p_size: 4\ncolor_jitter: true") ==
          "c.yml line 2: color_jitter: expected false, got true: brightness, contrast and saturation are never changed "
          "here");
    CHECK(
        refusal("sample_method: random") ==
        "c.yml line 1: sample_method: expected \"identity_random\", got \"random\": batches are drawn by identity here "
        "(docs/method.md, section 3)");
    CHECK(parse("dataset: regdb").dataset == DatasetKind::RegDb);
    CHECK(refusal("dataset: market") == "c.yml line 1: dataset: expected \"sysu\" or \"regdb\", got \"market\"");
    CHECK(refusal("dataset: llcm").starts_with("c.yml line 1: dataset: expected \"sysu\" or \"regdb\""));
    CHECK(refusal("p_size: 0") == "c.yml line 1: p_size: expected an integer in 1..4096, got 0");
    CHECK(refusal("\np_size: 010") == "c.yml line 2: p_size: expected an integer in 1..4096, got \"010\"");
    CHECK(refusal("image_size: 384") ==
          "c.yml line 1: image_size: expected [height, width], two integers in 16..4096, got 384");
    CHECK(refusal("fp16: 1") == "c.yml line 1: fp16: expected true or false, got 1");
    CHECK(refusal("pattern_attention: maybe") ==
          "c.yml line 1: pattern_attention: expected true or false, got \"maybe\"");
    CHECK(refusal("eval_interval: 1.5") == "c.yml line 1: eval_interval: expected an integer in 0..100000, got 1.5");
    CHECK(refusal("marign: 0.7") == "c.yml line 1: unknown key \"marign\", the nearest known key is \"margin\"");
    CHECK(refusal("nonsense: 0.7") ==
          "c.yml line 1: unknown key \"nonsense\": a YAML file holds the authors' keys (docs/using.md)");
    CHECK(refusal("seed: 3") ==
          "c.yml line 1: seed is a key of mpanet and none of the authors': use --set seed=..., or a JSON file");
  }

  TEST_CASE("what is no such file") {
    CHECK(refusal("") == "c.yml: expected a mapping of keys to values, got nothing");
    CHECK(refusal("# nothing\n") == "c.yml: expected a mapping of keys to values, got nothing");
    CHECK(refusal("- p_size") == "c.yml line 1: expected a mapping of keys to values");
    CHECK(refusal("p_size: 4\np_size: 5") == "c.yml line 2: \"p_size\" is already in line 1");
    CHECK(refusal("p_size: 4\n---\nk_size: 4") == "c.yml line 2: expected one document, got a second one");
    CHECK(refusal("p_size: [1, 2\nk_size: 4").starts_with("c.yml line 2: expected YAML: "));
    CHECK(refusal("p_size: 4\n\tk_size: 4").starts_with("c.yml line 2: expected YAML: "));
    CHECK(refusal("p_size: !!int 4") == "c.yml line 1: expected a value without a tag, got \"tag:yaml.org,2002:int\"");
    CHECK(refusal("p_size: !!python/object/apply:os.system [ls]").find("without a tag") != std::string::npos);
    CHECK(refusal("p_size: *a") == "c.yml line 1: expected an anchor before its alias \"a\"");
    CHECK(refusal("p_size: &a [*a]") == "c.yml line 1: expected an anchor before its alias \"a\"");
    CHECK(refusal("? [1]\n: 2") == "c.yml line 1: expected a key, got no scalar");
    CHECK(refusal("p_size: {a: 1, a: 2}") == "c.yml line 1: \"a\" is already in line 1");
    CHECK(refusal("<<: 1").starts_with("c.yml line 1: unknown key \"<<\""));
    CHECK(refusal("p_size: " + std::string(100, '[')) == "c.yml line 1: expected at most 8 levels of nesting");
    CHECK(refusal("p_size: " + std::string(500000, '[')) == "c.yml line 1: expected at most 8 levels of nesting");
    CHECK(refusal("p_size: \"\xff\"").starts_with("c.yml line 1: expected YAML: "));
    for (const std::string_view mark : {"\xff\xfe", "\xfe\xff"}) {
      std::string text(mark);
      for (const char c : std::string_view("p_size: 4"))
        text += mark[0] == '\xff' ? std::string{c, '\0'} : std::string{'\0', c};
      CHECK(refusal(text) == "c.yml: expected YAML in UTF-8, got UTF-16");
    }
    CHECK(refusal("\xef\xbb\xbfp_size: 4") == "");
    CHECK(refusal("p_size: " + std::string(2 << 20, '1')) ==
          "c.yml: expected at most 1048576 bytes of YAML, got 2097160");
    std::string list = "p_size: [";
    for (int i = 0; i < 20000; i++) list += "1,";
    CHECK(refusal(list + "]") == "c.yml line 1: expected at most 10000 values");
  }

  TEST_CASE("aliases that multiply are refused before they take memory") {
    std::string text = "a: &a [x, x, x, x, x, x, x, x, x]\n";
    for (char c = 'b'; c <= 'i'; c++) {
      const std::string before(1, static_cast<char>(c - 1));
      text += std::string(1, c) + ": &" + c + " [";
      for (int i = 0; i < 9; i++) text += (i > 0 ? ", *" : "*") + before;
      text += "]\n";
    }
    CHECK(refusal(text) == "c.yml line 5: expected at most 10000 values");
  }

  TEST_CASE("a file is YAML by its suffix, or by its text when no suffix says JSON") {
    TemporaryFolder folder;
    const auto read = [&](const std::string& name, const std::string& text) {
      write_file(folder / name, text);
      return read_config(folder / name);
    };
    CHECK(read("a.yml", "p_size: 4").p_size == 4);
    CHECK(read("a.yaml", "p_size: 4").p_size == 4);
    CHECK(read("none", "# by the authors\np_size: 4").lr == 0.1);
    CHECK(read("json", " {\"p_size\": 4}").lr == 3.5e-4);
    CHECK(error_of([&] { read("a.json", "p_size: 4"); }).find("expected JSON") != std::string::npos);
    CHECK(error_of([&] { read("b.yml", "p_size: 4\nk_size: 3"); }).starts_with(folder / "b.yml line 2: k_size: "));
    // The run folder has mpanet's configuration in place of such a file.
    const TrainConfig c = read("sysu.yml", kSysu);
    CHECK(differences(read("config.json", config_file_text(c)), c).empty());
  }
}

TEST_CASE("without libyaml: one line" * doctest::skip(yaml_supported())) {
  CHECK(refusal("p_size: 4") == "c.yml: this build has no libyaml and cannot read YAML (build with -DMPANET_YAML=ON)");
}

TEST_CASE("the authors' keys in a JSON file or --set name what mpanet has") {
  CHECK(error_of([] { parse_config(R"({"fp16": true})", "c.json"); }) ==
        "c.json: fp16 is a key of the authors' files (.yml); mpanet has precision \"f16\" for true");
  TrainConfig c;
  CHECK(error_of([&] { set_config(c, "pattern_attention=false"); }) ==
        "--set: pattern_attention is a key of the authors' files (.yml); mpanet has num_parts 0 for false");
  CHECK(error_of([&] { set_config(c, "batch_size=3"); }) ==
        "--set: batch_size is a key of the authors' files (.yml); mpanet has none: a batch has p_size times k_size "
        "pictures");
}
