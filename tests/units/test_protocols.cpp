// The protocols other than SYSU-MM01's official one: the images that trials draw and that filters remove, and the
// metrics, against results of the original code (fixture agw.json), values that CPython printed, and small cases
// computed by hand.
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "mpanet/evaluation/protocol.h"
#include "mpanet/evaluation/python_random.h"
#include "mpanet/evaluation/ranking.h"
#include "mpanet/evaluation/results.h"
#include "tests/support/evaluation_fixture.h"
#include "tests/support/temporary_folder.h"
// clang-format off: last, because its CHECK replaces the engine's
#include <doctest/doctest.h>
// clang-format on

using namespace mpanet;
using nlohmann::json;

namespace {

std::vector<ImageRecord> fixture_images(const json& data) {
  std::vector<ImageRecord> images;
  for (size_t i = 0; i < data["paths"].size(); i++) {
    const int camera = data["cameras"][i];
    images.push_back({data["paths"][i], data["identities"][i], camera, camera == 3 || camera == 6, -1});
  }
  return images;
}

// The plan's rows of the fixture's list, whose row i belongs to paths[i].
Embeddings fixture_embeddings(const EvaluationPlan& plan, const json& data) {
  std::map<std::string, size_t> rows;
  for (size_t i = 0; i < data["paths"].size(); i++) rows[data["paths"][i]] = i;
  Embeddings embeddings{data["dimension"], {}};
  for (const auto* list : {&plan.queries, &plan.gallery})
    for (const ImageRecord& image : *list)
      for (const auto& number : data["features"][rows.at(image.path)])
        embeddings.values.push_back(number.get<float>() / data["feature_divisor"].get<float>());
  return embeddings;
}

// The paths of the images that a trial draws.
std::set<std::string> drawn_in(const EvaluationPlan& plan, int column) {
  std::set<std::string> paths;
  for (size_t g = 0; g < plan.gallery.size(); g++)
    if (plan.drawn[g] >> column & 1) paths.insert(plan.gallery[g].path);
  return paths;
}

// Images like LLCM's: identities 1 and 2; cameras 1 and 2 of both modalities.
std::vector<ImageRecord> two_people() {
  std::vector<ImageRecord> images;
  for (const bool infrared : {true, false})
    for (const int camera : {1, 2})
      for (const int identity : {1, 2})
        for (int n = 0; n < 5; n++)
          images.push_back({fmt::format("test_{}/cam{}/{:04d}/{}.jpg", infrared ? "nir" : "vis", camera, identity, n),
                            identity, camera, infrared, -1});
  return images;
}

}  // namespace

TEST_CASE("Python's generator") {
  // print([random.getrandbits(32) ...]) of CPython 3.11 after random.seed(seed): the first three, and later ones.
  const struct {
    uint64_t seed;
    uint32_t first[3], at_623, at_624, at_1299;
  } cases[] = {
      {0u, {3626764237u, 1654615998u, 3255389356u}, 2390040247u, 2229104038u, 613370405u},
      {1u, {577090037u, 2444712010u, 3639700191u}, 802355090u, 1360367077u, 3223856108u},
      {9u, {1988601454u, 2633739374u, 1603362544u}, 1672538544u, 3815807495u, 2972128566u},
      {4294967295u, {2728839433u, 2661025012u, 872737089u}, 2365591444u, 2143983266u, 2787731301u},
      {1099511627781ull, {2166296868u, 2220160828u, 1153647273u}, 4109123319u, 2614958593u, 2589966109u},
  };
  for (const auto& expected : cases) {
    PythonRandom random(expected.seed);
    std::vector<uint32_t> bits;
    for (int i = 0; i < 1300; i++) bits.push_back(random.bits());
    CAPTURE(expected.seed);
    for (int i = 0; i < 3; i++) CHECK(bits[i] == expected.first[i]);
    CHECK(bits[623] == expected.at_623);
    CHECK(bits[624] == expected.at_624);
    CHECK(bits[1299] == expected.at_1299);
  }
  // [random.choice(range(n)) for n in sizes] after random.seed(0), 1 and 2. A choice from one item draws bits too.
  const std::vector<uint32_t> sizes = {1, 2, 3, 5, 8, 13, 20, 1, 400, 1000, 65536, 7, 7, 7, 1, 1, 16, 17};
  const std::vector<uint32_t> choices[] = {
      {0, 1, 0, 2, 7, 6, 9, 0, 183, 597, 28631, 4, 1, 2, 0, 0, 8, 4},
      {0, 0, 1, 0, 7, 12, 14, 0, 333, 388, 27519, 0, 3, 0, 0, 0, 0, 14},
      {0, 0, 0, 2, 2, 11, 9, 0, 310, 217, 4683, 4, 5, 1, 0, 0, 11, 14},
  };
  for (uint64_t seed = 0; seed < 3; seed++) {
    PythonRandom random(seed);
    std::vector<uint32_t> drawn;
    for (const uint32_t n : sizes) drawn.push_back(random.below(n));
    CHECK(drawn == choices[seed]);
  }
}

TEST_CASE("protocol agw gives the original's galleries and numbers") {
  const json data = evaluation_fixture("agw.json");
  const EvaluationPlan plan = plan_agw(fixture_images(data));
  const std::vector<SettingResult> results = rank_embeddings(plan, fixture_embeddings(plan, data));
  REQUIRE(results.size() == 2);
  for (size_t s = 0; s < 2; s++) {
    const json& expected = data["results"][plan.settings[s].mode];
    CAPTURE(plan.settings[s].mode);
    for (int trial = 0; trial < 10; trial++) {
      std::set<std::string> paths;
      for (const int index : expected["drawn"][trial]) paths.insert(data["paths"][index]);
      CHECK(drawn_in(plan, static_cast<int>(s) * 10 + trial) == paths);
      CHECK(results[s].trials[trial].queries == expected["queries"]);
      CHECK(results[s].trials[trial].gallery == expected["gallery"]);
      CHECK(results[s].trials[trial].queries_without_match == expected["queries_without_match"]);
      // The original sums CMC in float32.
      for (const auto& metric : kMetrics)
        CHECK(std::abs(results[s].trials[trial].metrics.*metric.value -
                       expected["per_trial"][trial][metric.key].get<double>()) < 1e-4);
    }
    for (const auto& metric : kMetrics)
      CHECK(std::abs(results[s].mean.*metric.value - expected["mean"][metric.key].get<double>()) < 1e-4);
  }
  SUBCASE("indoor alone draws what it draws beside all") {
    const EvaluationPlan indoor = plan_agw(fixture_images(data), {"indoor", ""});
    for (int trial = 0; trial < 10; trial++) CHECK(drawn_in(indoor, trial) == drawn_in(plan, 10 + trial));
  }
  SUBCASE("multi shot is refused") {
    CHECK_THROWS_WITH_AS(plan_agw(fixture_images(data), {"", "multi"}),
                         "shots: protocol agw has single shot alone, got multi", UserError);
  }
}

TEST_CASE("regdb: both directions, unnormalised, every image of the other modality") {
  std::vector<ImageRecord> test;
  for (const int identity : {1, 2})
    for (const bool infrared : {false, true})
      test.push_back({fmt::format("{}/{}.bmp", infrared ? "Thermal" : "Visible", identity), identity, infrared ? 3 : 2,
                      infrared, -1});
  const EvaluationPlan plan = plan_regdb(test, Direction::VisibleToInfrared);
  CHECK(plan.direction == "visible queries, infrared gallery");
  REQUIRE(plan.queries.size() == 2);
  REQUIRE(plan.gallery.size() == 2);
  CHECK(!plan.queries[0].infrared);
  // Queries (1, 0) and (0, 4). By direction the second is found first; by squared distance it is the first gallery
  // image, at 1 + 9 = 10 against 0 + 36.
  const Embeddings embeddings{2, {1, 0, 0, 4, 1, 1, 0, 10}};
  CHECK(rank_embeddings(plan, embeddings)[0].mean.rank1 == 50);
  EvaluationPlan normalised = plan;
  normalised.distance = Distance::UnitEuclidean;
  CHECK(rank_embeddings(normalised, embeddings)[0].mean.rank1 == 100);
  CHECK(plan_regdb(test, Direction::InfraredToVisible).queries[0].infrared);

  SUBCASE("of any length: neither too large nor too small for float32") {
    for (const float scale : {1e-30f, 1e30f}) {
      Embeddings scaled = embeddings;
      for (float& value : scaled.values) value *= scale;
      CHECK(rank_embeddings(plan, scaled)[0].mean.rank1 == 50);
      CHECK(top_matches(plan, scaled, {1}, 0, 0, 2)[0] == std::vector<int>{0, 1});
    }
  }
  SUBCASE("one image of any length leaves the order of the others") {
    EvaluationPlan far = plan;
    far.gallery.push_back({"Thermal/3.bmp", 3, 3, true, -1});
    far.drawn.push_back(far.drawn[0]);
    for (const float length : {1e10f, 1e24f, 1e34f}) {
      const Embeddings embedded{2, {1, 0, 0, 4, 1, 1, 0, 10, length, 0}};
      for (const auto& order : top_matches(far, embedded, {0, 1}, 0, 0, 3)) CHECK(order == std::vector<int>{0, 1, 2});
    }
  }
  SUBCASE("the deviation of one trial is none") {
    const auto results = rank_embeddings(plan, embeddings);
    CHECK(std::isnan(results[0].deviation.mAP));
    CHECK(results_json({{plan, results}}, {})["results"][0]["deviation"]["mAP"].dump() == "null");
  }
}

TEST_CASE("CMC by images counts every wrong image before the first right one") {
  std::vector<ImageRecord> test = {{"q", 1, 3, true, -1}};
  for (int n = 0; n < 7; n++) test.push_back({fmt::format("v{}", n), n < 6 ? 2 : 1, 2, false, -1});
  EvaluationPlan plan = plan_regdb(test, Direction::InfraredToVisible);
  plan.more_ranks = {2, 6, 7};
  Embeddings embeddings{1, {0}};
  for (int n = 0; n < 7; n++) embeddings.values.push_back(static_cast<float>(n));
  const Metrics identities = rank_embeddings(plan, embeddings)[0].mean;
  CHECK(identities.rank5 == 100);
  CHECK(identities.more == std::vector<double>{100, 100, 100});
  plan.cmc = CmcUnit::Images;
  const Metrics images = rank_embeddings(plan, embeddings)[0].mean;
  CHECK(images.rank5 == 0);
  CHECK(images.more == std::vector<double>{0, 0, 100});
  CHECK(images.rank10 == 100);
  CHECK(images.mAP == identities.mAP);
  CHECK(images.mINP == identities.mINP);
}

TEST_CASE("llcm draws one image per identity and camera, and hides the query's own camera of the same identity") {
  const EvaluationPlan plan = plan_llcm(two_people(), Direction::InfraredToVisible, false);
  CHECK(plan.trials == 10);
  for (int trial = 0; trial < 10; trial++) {
    CHECK(drawn_in(plan, trial).size() == 4);
    // In the order of identities, then cameras.
    PythonRandom random(trial);
    for (const int identity : {1, 2})
      for (const int camera : {1, 2})
        CHECK(drawn_in(plan, trial)
                  .count(fmt::format("test_vis/cam{}/{:04d}/{}.jpg", camera, identity, random.below(5))) == 1);
  }
  CHECK(plan.skips({1, 1}, {1, 1}));
  CHECK(!plan.skips({1, 1}, {1, 2}));
  CHECK(!plan.skips({1, 1}, {2, 1}));
  // All distances are equal. The right image is the identity's image of the other camera; there are two of the other
  // identity.
  const size_t rows = plan.queries.size() + plan.gallery.size();
  const auto results = rank_embeddings(plan, {1, std::vector<float>(rows, 1)});
  CHECK(results[0].trials[3].queries == 20);
  CHECK(results[0].trials[3].gallery == 4);
  CHECK(results[0].trials[3].queries_without_match == 0);
  // The gallery's order is cam1/1, cam1/2, cam2/1, cam2/2. Queries of 1/cam1 have it at rank 2 of 3, 1/cam2 at 1,
  // 2/cam1 at 3, 2/cam2 at 2.
  CHECK(results[0].mean.mAP == doctest::Approx(100 * (1 / 2. + 1 + 1 / 3. + 1 / 2.) / 4));
}

TEST_CASE("llcm-released: visible to infrared, other queries in each trial") {
  const EvaluationPlan plan = plan_llcm(two_people(), Direction::VisibleToInfrared, true);
  CHECK(plan.protocol == "llcm-released");
  CHECK(plan.gallery.size() == 20);
  CHECK(!plan.gallery[0].infrared);
  std::set<uint64_t> masks(plan.asked.begin(), plan.asked.end());
  CHECK(masks.size() > 2);
  const size_t rows = plan.queries.size() + plan.gallery.size();
  const auto results = rank_embeddings(plan, {1, std::vector<float>(rows, 1)});
  int asked = 0;
  for (const QueryResult& query : results[0].per_query) asked += query.trials;
  CHECK(asked == 40);
  for (const TrialResult& trial : results[0].trials) {
    CHECK(trial.queries == 4);
    CHECK(trial.gallery == 20);
  }
  // The other direction is the same as in llcm.
  const EvaluationPlan other = plan_llcm(two_people(), Direction::InfraredToVisible, true);
  CHECK(other.asked.empty());
  CHECK(drawn_in(other, 4) == drawn_in(plan_llcm(two_people(), Direction::InfraredToVisible, false), 4));
}

TEST_CASE("csv: sides by role, filter and single shot as options") {
  std::vector<ImageRecord> test = two_people();
  for (ImageRecord& image : test) image.role = image.infrared ? Role::Query : Role::Gallery;
  test[0].role = Role::Gallery;  // an infrared image in the gallery
  const EvaluationPlan whole = plan_csv(test);
  CHECK(whole.queries.size() == 19);
  CHECK(whole.gallery.size() == 21);
  CHECK(whole.direction == "infrared queries, mixed (1 infrared, 20 visible) gallery");
  CHECK(whole.trials == 1);
  CHECK(!whole.skips);
  const EvaluationPlan part = plan_csv(test, {Direction::InfraredToVisible, true, true});
  CHECK(part.direction == "infrared queries, visible gallery");
  CHECK(part.trials == 10);
  CHECK(drawn_in(part, 0).size() == 4);
  CHECK(part.skips({1, 1}, {1, 1}));
  CHECK_THROWS_WITH_AS(plan_csv(test, {Direction::VisibleToInfrared, false, false}),
                       "protocol csv: the test set has no visible query picture: nothing to query with", UserError);
}

TEST_CASE("a deviation over trials, and each query's own values") {
  // Two trials; the query finds its image first, then second.
  EvaluationPlan plan;
  plan.settings = {{"all", "single"}};
  plan.trials = 2;
  plan.queries = {{"q", 1, 6, true, -1}, {"other", 9, 6, true, -1}};
  plan.gallery = {{"a", 2, 1, false, -1}, {"b", 1, 1, false, -1}, {"c", 3, 1, false, -1}};
  plan.drawn = {0b10, 0b11, 0b01};
  const SettingResult result = rank_embeddings(plan, {2, {1, 0, 1, 0, 1, 0, 1, 1, 0, 1}})[0];
  CHECK(result.trials[0].metrics.mAP == 100);
  CHECK(result.trials[1].metrics.mAP == 50);
  CHECK(result.deviation.mAP == doctest::Approx(std::sqrt(25. * 25 * 2)));
  CHECK(result.deviation.rank5 == 0);
  CHECK(result.per_query[0].trials == 2);
  CHECK(result.per_query[0].mean.mAP == 75);
  CHECK(result.per_query[0].mean.rank1 == 50);
  CHECK(result.per_query[1].trials == 0);
  CHECK(std::isnan(result.per_query[1].mean.mAP));
}
