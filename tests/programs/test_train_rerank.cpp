// The configuration key rerank: evaluations between epochs give what mpanet-eval --rerank gives.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/train_program.h"

using namespace mpanet;
using nlohmann::json;

TEST_CASE("evaluations during training re-rank where the configuration says so" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  // 8 test identities with 4 infrared pictures each: enough neighbours.
  const std::string data = folder / "data", run = folder / "run", file = folder / "result.json";
  Process synth({PROGRAMS "/mpanet-data", "synth", "--out", data, "--ids", "4", "--test-ids", "8", "--images", "2"});
  REQUIRE_MESSAGE(synth.wait() == 0, synth.err());
  Process train({PROGRAMS "/mpanet-train", "--config", write_config(folder), "--data", data, "--out", run, "--threads",
                 "1", "--set", "rerank=true", "num_epoch=1"});
  REQUIRE_MESSAGE(train.wait() == 0, train.err());
  json evaluation;
  for (const json& line : log_lines(run))
    if (line["kind"] == "evaluation") evaluation = line;
  REQUIRE(evaluation["results"].size() == 4);
  const auto results = [&](const char* option) {
    Process eval({PROGRAMS "/mpanet-eval", "--checkpoint", run + "/best.safetensors", "--data", data, "--threads", "1",
                  "--json", file, option});
    REQUIRE_MESSAGE(eval.wait() == 0, eval.err());
    return json::parse(read_text(file))["results"];
  };
  const json reranked = results("--rerank"), plain = results("--per-trial");
  for (size_t s = 0; s < 4; s++) CHECK(evaluation["results"][s]["mAP"] == reranked[s]["mAP"]);
  CHECK(evaluation["results"][0]["mAP"] != plain[0]["mAP"]);

  // The tests' own data set has eight queries.
  Process refused(command(folder, "few", {"--set", "rerank=true"}));
  CHECK(refused.wait() == 2);
  CHECK_MESSAGE(has(refused.err(), "expected at least 21 queries, got 8"), refused.err());
  CHECK(!std::filesystem::exists(folder / "few"));
}
