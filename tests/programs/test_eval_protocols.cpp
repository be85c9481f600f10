// mpanet-eval's protocols, options of the ranking, comparison and galleries on disk, with the whole program.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <tuple>

#include "core/base/file.h"
#include "core/base/random.h"
#include "data/sets/npy.h"
#include "mpanet/evaluation/features.h"
#include "mpanet/evaluation/ranking.h"
#include "mpanet/evaluation/results.h"
#include "mpanet/training/train_plan.h"
#include "tests/support/eval_program.h"
#include "tests/support/evaluation_fixture.h"

using namespace mpanet;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// A folder with the features of images, each near its identity's point.
void write_random_features(const std::string& folder, const std::vector<ImageRecord>& images, double noise,
                           uint64_t seed) {
  Embeddings embeddings{8, {}};
  for (size_t i = 0; i < images.size(); i++) {
    Random own(seed, Purpose::Test, 0, static_cast<uint32_t>(i)),
        shared(1, Purpose::Test, 1, static_cast<uint32_t>(images[i].identity));
    for (int d = 0; d < 8; d++) embeddings.values.push_back(static_cast<float>(shared.normal() + noise * own.normal()));
  }
  write_features(folder, images, embeddings);
}

// A manifest of 40 identities with three queries and three gallery pictures each, and nothing else.
class CsvFolder : public TemporaryFolder {
 public:
  CsvFolder() {
    std::string manifest = "path,identity,camera,modality,split\n";
    for (int identity = 1; identity <= 40; identity++)
      for (int n = 0; n < 6; n++) {
        const bool query = n < 3;
        images.push_back(
            {fmt::format("{}/{:02d}_{}.jpg", query ? "ir" : "rgb", identity, n), identity, 1 + n % 2, query, -1});
        manifest += fmt::format("{},{},{},{},{}\n", images.back().path, identity, 1 + n % 2,
                                query ? "infrared" : "visible", query ? "query" : "gallery");
      }
    fs::create_directory(data());
    write_file(data() + "/manifest.csv", manifest);
    write_random_features(*this / "good", images, 0.5, 2);
    write_random_features(*this / "bad", images, 1.5, 3);
  }
  std::string data() const { return path() + "/data"; }
  std::string evaluate(const std::string& features, const std::string& more = "") const {
    return "--protocol csv --data '" + data() + "' --features '" + (*this / features) + "' " + more;
  }
  std::vector<ImageRecord> images;
};

json result_of(const std::string& arguments, const std::string& file) {
  const Result result = run(arguments + " --json '" + file + "'");
  REQUIRE_MESSAGE(result.code == 0, result.err);
  return json::parse(read_text(file));
}

}  // namespace

TEST_CASE("csv: no output replaces a picture of the manifest, of the training either") {
  const CsvFolder folder;
  write_file(folder.data() + "/manifest.csv",
             read_text(folder.data() + "/manifest.csv") + "rgb/t.jpg,99,1,visible,train\n");
  fs::create_directory(folder.data() + "/rgb");
  for (const char* name : {"rgb/t.jpg", "rgb/01_3.jpg", "rgb/unlisted.jpg"})
    write_file(folder.data() + "/" + name, "before");
  for (const char* name : {"rgb/t.jpg", "rgb/01_3.jpg"})
    check_refused(folder.evaluate("good", "--json '" + folder.data() + "/" + name + "'"),
                  "cannot write: it is a picture of --data");
  CHECK(run(folder.evaluate("good", "--json '" + folder.data() + "/rgb/unlisted.jpg'")).code == 0);
}

TEST_CASE("agw: the original's numbers, with no trial file and no picture") {
  const json data = evaluation_fixture("agw.json");
  const TemporaryFolder folder;
  fs::create_directories(folder / "data/exp");
  write_file(folder / "data/exp/test_id.txt", data["test_id_txt"].get<std::string>());
  std::vector<ImageRecord> images;
  Embeddings embeddings{data["dimension"], {}};
  for (size_t i = 0; i < data["paths"].size(); i++) {
    const int camera = data["cameras"][i];
    images.push_back({data["paths"][i], data["identities"][i], camera, camera == 3 || camera == 6, -1});
    for (const auto& number : data["features"][i])
      embeddings.values.push_back(number.get<float>() / data["feature_divisor"].get<float>());
  }
  write_features(folder / "features", images, embeddings);
  const std::string arguments =
      "--protocol agw --data '" + (folder / "data") + "' --features '" + (folder / "features") + "'";
  const auto compare = [&](const json& results) {
    REQUIRE(results["results"].size() == 2);
    CHECK(results["direction"] == "infrared queries, visible gallery");
    CHECK(results["distance"] == "minus the dot product, L2-normalised");
    CHECK(results["rerank"] == "none");
    CHECK(results["flip"] == false);
    for (const json& result : results["results"]) {
      const json& expected = data["results"][result["mode"].get<std::string>()];
      CHECK(result["shots"] == "single");
      for (const char* count : {"queries", "gallery", "queries_without_match"}) CHECK(result[count] == expected[count]);
      for (const auto& [key, value] : expected["mean"].items())
        CHECK(std::abs(result[key].get<double>() - value.get<double>()) < 1e-4);
    }
  };
  compare(result_of(arguments, folder / "a.json"));
  SUBCASE("empty files of these names on disk") {
    for (const ImageRecord& image : images) {
      fs::create_directories(fs::path(folder / ("data/" + image.path)).parent_path());
      write_file(folder / ("data/" + image.path), "");
    }
    compare(result_of(arguments, folder / "b.json"));
    const Result list = run("--list --protocol agw --data '" + (folder / "data") + "'");
    CHECK(list.code == 0);
    CHECK(has(list.out, "path,identity,camera,modality\ncam3/"));
  }
  SUBCASE("refused") {
    check_refused(arguments + " --shots multi", "shots: protocol agw has single shot alone, got multi");
    check_refused(arguments + " --direction visible-to-infrared", "protocol agw has infrared-to-visible alone");
    check_refused(arguments + " --split 2", "split: protocol agw has none");
  }
}

TEST_CASE("regdb: both directions of a split, by its lists alone") {
  const TemporaryFolder folder;
  fs::create_directories(folder / "data/idx");
  std::vector<ImageRecord> images;
  for (const bool thermal : {false, true}) {
    std::string list;
    for (int identity = 1; identity <= 12; identity++)
      for (int n = 0; n < 2; n++) {
        const std::string path = fmt::format("{}/{}/{}.bmp", thermal ? "Thermal" : "Visible", identity, n);
        images.push_back({path, identity, thermal ? 3 : 2, thermal, -1});
        list += fmt::format("{} {}\n", path, identity);
      }
    write_file(folder / (thermal ? "data/idx/test_thermal_3.txt" : "data/idx/test_visible_3.txt"), list);
  }
  write_random_features(folder / "features", images, 2.5, 5);
  // Without --protocol the lists in the folder choose it.
  const std::string arguments =
      "--split 3 --data '" + (folder / "data") + "' --features '" + (folder / "features") + "'";
  const json both = result_of(arguments, folder / "both.json");
  CHECK(both["protocol"] == "regdb");
  CHECK(both["split"] == 3);
  CHECK(has(run(arguments).out, "protocol regdb, split 3: infrared queries, visible gallery; mean of 1 trial"));
  CHECK(result_of("--protocol regdb " + arguments, folder / "named.json")["results"] == both["results"]);
  REQUIRE(both["results"].size() == 2);
  CHECK(both["results"][0]["direction"] == "infrared queries, visible gallery");
  CHECK(both["results"][1]["direction"] == "visible queries, infrared gallery");
  CHECK(both["distance"] == "squared Euclidean, not normalised");
  CHECK(both["results"][0]["queries"] == 24);
  CHECK(both["results"][0]["gallery"] == 24);
  CHECK(both["results"][0]["deviation"]["mAP"].is_null());
  const json one = result_of(arguments + " --direction visible-to-infrared", folder / "one.json");
  REQUIRE(one["results"].size() == 1);
  CHECK(one["results"][0] == both["results"][1]);
  const json images_counted =
      result_of(arguments + " --distance cosine --cmc images --ranks 2,3", folder / "images.json");
  const json normalised = result_of(arguments + " --distance euclidean-unit --ranks 2", folder / "unit.json");
  for (const char* key : {"rank1", "mAP", "mINP"})
    CHECK(images_counted["results"][0][key] == normalised["results"][0][key]);
  CHECK(images_counted["results"][0]["rank5"] < normalised["results"][0]["rank5"]);
  CHECK(images_counted["results"][0].contains("rank3"));
  CHECK(both["results"][0]["mAP"] != normalised["results"][0]["mAP"]);
  const json reranked = result_of(arguments + " --rerank", folder / "rerank.json");
  CHECK(reranked["rerank"] == "k-reciprocal, k1 20, k2 6, lambda 0.3, neighbours among all images");
  const Result list = run("--list --split 3 --direction visible-to-infrared --data '" + (folder / "data") + "'");
  CHECK(has(list.out, "Thermal/12/1.bmp,12,3,infrared"));
  check_refused("--list " + arguments, "--features: with --list only for sysu, agw and llcm");
  check_refused(arguments + " --mode all", "mode: protocol regdb has none");
  check_refused(arguments + " --distance manhattan", "distance: expected euclidean-unit, euclidean or cosine");
}

TEST_CASE("the memory for two directions: all embeddings, and a copy for one of them") {
  EvaluationPlan there, back;
  for (int i = 0; i < 1000; i++) {
    there.queries.push_back({fmt::format("t{}", i), i, 1, true, -1});
    there.gallery.push_back({fmt::format("v{}", i), i, 2, false, -1});
    there.drawn.push_back(1);
  }
  there.settings = {{"all", "all"}};
  there.trials = 1;
  back = there;
  std::swap(back.queries, back.gallery);
  const size_t one = ranking_bytes({there}, 2048), both = ranking_bytes({there, back}, 2048);
  CHECK(ranking_bytes({back}, 2048) == one);
  CHECK(both == one + 2000 * 2048 * sizeof(float));
  const Workload one_way = workload_of({}, {}, {there}), two_ways = workload_of({}, {}, {there, back});
  CHECK(one_way.evaluated == 2000);
  CHECK(one_way.copied == 1000);
  CHECK(two_ways.evaluated == 2000);
  CHECK(two_ways.copied == 3000);
}

TEST_CASE("csv: a gallery on disk ranks as one in memory") {
  const CsvFolder folder;
  const json whole = result_of(folder.evaluate("good"), folder / "whole.json");
  CHECK(whole["results"][0]["queries"] == 120);
  CHECK(whole["results"][0]["gallery"] == 120);
  CHECK(whole["direction"] == "infrared queries, visible gallery");
  check_refused(folder.evaluate("good", "--memory much"), "--memory: expected a size such as 512M or 2G, got \"much\"");
  SUBCASE("in blocks, when memory is too little for all") {
    Embeddings wide{1 << 15, {}};  // 840 rows and copies of 128 KiB
    Random random(7, Purpose::Test, 0, 0);
    for (size_t i = 0; i < folder.images.size() << 15; i++)
      wide.values.push_back(static_cast<float>(random.below(1000)) - 500);
    write_features(folder / "wide", folder.images, wide);
    const json all = result_of(folder.evaluate("wide"), folder / "all.json");
    // The memory that the program reports before ranking, plus 70 MiB.
    const std::string refusal = run(folder.evaluate("wide", "--memory 1M")).err;
    const size_t at = refusal.find("less than the ");
    REQUIRE_MESSAGE(at != std::string::npos, refusal);
    const int held = static_cast<int>(std::stod(refusal.substr(at + 14)));
    const std::string memory = fmt::format("--memory {}M", held + 70);
    const Result streamed = run(folder.evaluate("wide", memory + " --json '" + (folder / "streamed.json") + "'"));
    REQUIRE_MESSAGE(streamed.code == 0, streamed.err);
    CHECK_MESSAGE(has(streamed.err, "ranked in blocks from disk"), streamed.err);
    CHECK(json::parse(read_text(folder / "streamed.json")) == all);
    check_refused(folder.evaluate("wide", memory + " --rerank"),
                  "--memory: --rerank, --sheet and --save-features need");
    const Result little = run(folder.evaluate("wide", fmt::format("--memory {}M", held + 10)));
    CHECK(little.code == 2);
    CHECK_MESSAGE(has(little.err, "are too little for this ranking"), little.err);
  }
  SUBCASE("single shot, and a query's own camera hidden") {
    const json drawn = result_of(folder.evaluate("good", "--single-shot --camera-filter"), folder / "drawn.json");
    CHECK(drawn["results"][0]["trials"] == 10);
    CHECK(drawn["results"][0]["gallery"] == 80);
  }
  SUBCASE("the manifest itself") {
    const std::string arguments =
        "--protocol csv --data '" + folder.data() + "/manifest.csv' --features '" + (folder / "good") + "'";
    CHECK(result_of(arguments, folder / "manifest.json")["results"] == whole["results"]);
  }
}

TEST_CASE("results side by side") {
  const CsvFolder folder;
  const std::string good = folder / "good.json", bad = folder / "bad.json";
  const json better = result_of(folder.evaluate("good"), good), worse = result_of(folder.evaluate("bad"), bad);
  const Result result = run("--compare '" + good + "' '" + bad + "'");
  REQUIRE_MESSAGE(result.code == 0, result.err);
  const double difference = worse["results"][0]["mAP"].get<double>() - better["results"][0]["mAP"].get<double>();
  REQUIRE(difference < -5);
  CHECK_MESSAGE(has(result.out, fmt::format("{:+.2f} [-", difference)), result.out);
  CHECK(has(result.out, "120 queries"));
  CHECK(run("--compare '" + good + "' '" + bad + "'").out == result.out);
  SUBCASE("the interval is the bootstrap's: that of a mean of many differences") {
    // The normal approximation. 10,000 resamples of 120 queries agree with it to a tenth of the width.
    const json &a = better["results"][0]["per_query"]["mAP"], &b = worse["results"][0]["per_query"]["mAP"];
    double sum = 0, squares = 0;
    for (size_t q = 0; q < a.size(); q++) {
      const double d = b[q].get<double>() - a[q].get<double>();
      sum += d, squares += d * d;
    }
    const double n = static_cast<double>(a.size()), mean = sum / n,
                 half = 1.96 * std::sqrt((squares / n - mean * mean) / n);
    const size_t at = result.out.find(fmt::format("{:+.2f} [", difference));
    REQUIRE(at != std::string::npos);
    const size_t open = result.out.find('[', at), comma = result.out.find(',', open);
    CHECK(std::abs(std::stod(result.out.substr(open + 1)) - (mean - half)) < 0.2 * half);
    CHECK(std::abs(std::stod(result.out.substr(comma + 1)) - (mean + half)) < 0.2 * half);
  }
  SUBCASE("the same results differ by nothing") {
    CHECK(has(run("--compare '" + good + "' '" + good + "'").out, "+0.00 [+0.00, +0.00]"));
  }
  SUBCASE("a result that the first file lacks is named") {
    json more = better;
    more["results"].push_back(more["results"][0]);
    more["results"][1]["shots"] = "multi";
    write_file(folder / "more.json", more.dump());
    const std::string name = "'all multi: " + more["results"][0]["direction"].get<std::string>() + "'";
    CHECK(has(run("--compare '" + good + "' '" + (folder / "more.json") + "'").out,
              "\nnot compared, as A lacks it: B has " + name + "\n"));
    check_refused("--compare '" + (folder / "more.json") + "' '" + good + "'", "good.json: no result of " + name);
  }
  SUBCASE("results that count something else are refused") {
    const auto named = [&](const char* name) { return "'" + (folder / name) + "'"; };
    const json images = result_of(folder.evaluate("good", "--cmc images"), folder / "images.json"),
               filtered = result_of(folder.evaluate("good", "--camera-filter"), folder / "filtered.json"),
               drawn = result_of(folder.evaluate("good", "--single-shot"), folder / "drawn.json");
    CHECK(better["camera_filter"] == false);
    CHECK(better["single_shot"] == false);
    CHECK(filtered["camera_filter"] == true);
    CHECK(drawn["single_shot"] == true);
    check_refused("--compare '" + good + "' " + named("images.json"),
                  "images.json: CMC counts every image, but in " + good + " it counts each identity once");
    check_refused("--compare '" + good + "' " + named("filtered.json"),
                  "filtered.json: with --camera-filter, but " + good + " lacks it");
    check_refused("--compare " + named("filtered.json") + " '" + bad + "'", "bad.json: without --camera-filter, but ");
    check_refused("--compare '" + good + "' " + named("drawn.json"), "drawn.json: with --single-shot, but ");
    CHECK(has(run(folder.evaluate("good", "--camera-filter")).out,
              "CMC counts each identity once; camera filter on; gallery whole\n"));
    CHECK(has(run(folder.evaluate("good", "--single-shot")).out, "; camera filter off; gallery single shot\n"));
    CHECK(has(result.out, "CMC counts each identity once; camera filter off; gallery whole\n"));
    // A file of an older program does not say it.
    json older = filtered;
    for (const char* key : {"camera_filter", "single_shot", "cmc"}) older.erase(key);
    write_file(folder / "older.json", older.dump());
    CHECK(run("--compare '" + good + "' " + named("older.json")).code == 0);
  }
  SUBCASE("refused") {
    check_refused("--compare '" + good + "' '" + (folder / "absent.json") + "'", "absent.json");
    for (const char* other : {"--json c.json", "--rerank", "--list", "--threads 2", "--protocol csv"})
      check_refused("--compare '" + good + "' '" + bad + "' " + other,
                    "--compare: takes result files alone, got " +
                        std::string(other).substr(0, std::string_view(other).find(' ')) + " too");
    write_file(folder / "other.json", "{\"a\": 1}");
    check_refused("--compare '" + good + "' '" + (folder / "other.json") + "'",
                  "expected a result file of mpanet-eval");
    json other = better;
    other["protocol"] = "agw";
    write_file(folder / "agw.json", other.dump());
    check_refused("--compare '" + good + "' '" + (folder / "agw.json") + "'", "protocol agw, but ");
    other = better;
    other["split"] = 2;
    write_file(folder / "split.json", other.dump());
    check_refused("--compare '" + good + "' '" + (folder / "split.json") + "'", "split.json: split 2 of RegDB, but ");
    other["split"] = 11;
    write_file(folder / "split.json", other.dump());
    check_refused("--compare '" + good + "' '" + (folder / "split.json") + "'", "split: expected an integer in 1..10");
    other = better;
    other["queries"].begin().value()[0] = "elsewhere.jpg";
    write_file(folder / "queries.json", other.dump());
    check_refused("--compare '" + good + "' '" + (folder / "queries.json") + "'", "no query ");
    // One line with file and key, whichever file it is.
    const std::string changed = folder / "changed.json";
    const auto refused = [&](const json& results, const std::string& words) {
      write_file(changed, results.dump());
      for (const std::string& files : {"'" + good + "' '" + changed + "'", "'" + changed + "' '" + good + "'"}) {
        check_refused("--compare " + files, changed + ": " + words);
        CHECK(!has(run("--compare " + files).err, "json.exception"));
      }
    };
    const std::string direction = better["results"][0]["direction"];
    for (const auto& [pointer, value, words] : std::vector<std::tuple<std::string, json, std::string>>{
             {"/protocol", 7, "protocol: expected a text, got 7"},
             {"/flip", "yes", "flip: expected true or false, got \"yes\""},
             {"/results", json::array(), "results: expected at least one, got an empty list"},
             {"/results", 7, "results: expected a list, got 7"},
             {"/results/0", 7, "results[0]: expected an object, got 7"},
             {"/results/0/mode", nullptr, "results[0].mode: expected a text, got null"},
             {"/results/0/mAP", nullptr, "results[0].mAP: expected a number, as trials count queries, got null"},
             {"/results/0/mAP", 1e308, "results[0].mAP: expected a number in 0..100 or null, got 1e+308"},
             {"/results/0/trials", 0, "results[0].trials: expected an integer in 1..64, got 0"},
             {"/results/0/per_query/mAP/3", nullptr,
              "results[0].per_query.mAP[3]: expected a number, as trials count this query, got null"},
             {"/results/0/per_query/mAP/3", -1, "results[0].per_query.mAP[3]: expected a number in 0..100 or null"},
             {"/results/0/per_query/mAP/3", "x", "results[0].per_query.mAP[3]: expected a number in 0..100 or null"},
             {"/results/0/per_query/mAP", json::array(),
              "results[0].per_query.mAP: expected a value for each of 120 queries, got 0"},
             {"/results/0/per_query/trials/3", 1.5, "results[0].per_query.trials[3]: expected an integer in 0..1"},
             {"/results/0/per_query/trials/3", 2, "results[0].per_query.trials[3]: expected an integer in 0..1, got 2"},
             {"/results/0/per_query/trials/3", 0,
              "results[0].per_query.mAP[3]: expected null, as no trial counts this"},
             {"/results/0/per_query", 7, "results[0].per_query: expected an object, got 7"},
             {"/queries", 7, "queries: expected an object, got 7"},
             {"/queries/" + direction + "/3", 7, "queries." + direction + "[3]: expected a path, got 7"},
             {"/queries/" + direction, 7, "queries." + direction + ": expected a list, got 7"},
             {"/results/1", better["results"][0], "results[1]: the result '"}}) {
      json other_value = better;
      other_value[json::json_pointer(pointer)] = value;
      refused(other_value, words);
    }
    other = better;
    other["queries"][direction][3] = other["queries"][direction][2];
    refused(other, "queries." + direction + "[3]: the query ");
    other = better;
    other["results"][0].erase("per_query");
    refused(other, "results[0].per_query: expected an object, got none");
    other = better;
    other["queries"].erase(direction);
    refused(other, "queries." + direction + ": expected a list, got none");
  }
}
