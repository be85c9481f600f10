// The SYSU-MM01 protocol and its ranking against results of the authors' evaluation code (fixtures) and against small
// cases worked out by hand.
#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/random.h"
#include "core/base/threads.h"
#include "data/sets/sysu.h"
#include "kernels/cpu/packed_rows.h"
#include "mpanet/evaluation/evaluate.h"
#include "mpanet/evaluation/protocol.h"
#include "mpanet/evaluation/ranking.h"
#include "mpanet/evaluation/results.h"
#include "tests/support/evaluation_fixture.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;
using nlohmann::json;

namespace {

const SettingResult& find(const std::vector<SettingResult>& results, const std::string& name) {
  for (const SettingResult& result : results)
    if (name == result.setting.mode + (result.setting.shots == "single" ? "/1" : "/10")) return result;
  throw std::runtime_error("no result for " + name);
}

void compare(const std::vector<SettingResult>& results, const json& expected, double tolerance) {
  const std::map<std::string, const char*> names = {{"r1", "rank1"},   {"r5", "rank5"}, {"r10", "rank10"},
                                                    {"r20", "rank20"}, {"mAP", "mAP"},  {"mINP", "mINP"}};
  REQUIRE(results.size() == expected.size());
  int compared = 0;
  for (const auto& setting : expected.items()) {
    const std::string name = setting.key();
    const SettingResult& result = find(results, name);
    for (const auto& entry : setting.value().items()) {
      const std::string key = entry.key();
      const json& value = entry.value();
      CAPTURE(name);
      CAPTURE(key);
      if (key == "gallery" || key == "queries_without_match") {
        std::vector<int> ours;
        for (const TrialResult& trial : result.trials)
          ours.push_back(key == "gallery" ? trial.gallery : trial.queries_without_match);
        CHECK(value.get<std::vector<int>>() == ours);
      } else {
        const double ours = metric(results, result.setting.mode, result.setting.shots, names.at(key));
        CHECK(std::abs(ours - value.get<double>()) <= tolerance);
        compared++;
      }
    }
  }
  CHECK(compared >= 5 * static_cast<int>(expected.size()));
}

bool same_bits(const std::vector<SettingResult>& a, const std::vector<SettingResult>& b) {
  if (a.size() != b.size()) return false;
  for (size_t s = 0; s < a.size(); s++)
    for (size_t t = 0; t < a[s].trials.size(); t++)
      for (const auto& metric : kMetrics)
        if (a[s].trials[t].metrics.*metric.value != b[s].trials[t].metrics.*metric.value) return false;
  return true;
}

// A plan of one setting and trial that draws the whole gallery; embeddings are (cos, sin) of an angle in degrees.
struct Case {
  EvaluationPlan plan;
  std::vector<float> queries, gallery;
  Case() {
    plan.settings = {{"all", "multi"}};
    plan.trials = 1;
    plan.skips = [](Sighting query, Sighting gallery) { return query.camera == 3 && gallery.camera == 2; };
  }
  static void add(std::vector<float>& rows, double degrees, double length) {
    rows.push_back(static_cast<float>(length * std::cos(degrees * M_PI / 180)));
    rows.push_back(static_cast<float>(length * std::sin(degrees * M_PI / 180)));
  }
  void query(int identity, int camera, double degrees) {
    plan.queries.push_back({fmt::format("q{}", plan.queries.size()), identity, camera, true, -1});
    add(queries, degrees, 1);
  }
  void found(int identity, int camera, double degrees, double length = 1) {
    plan.gallery.push_back({fmt::format("g{}", plan.gallery.size()), identity, camera, false, -1});
    plan.drawn.push_back(1);
    add(gallery, degrees, length);
  }
  Embeddings embeddings() const {
    Embeddings all{2, queries};
    all.values.insert(all.values.end(), gallery.begin(), gallery.end());
    return all;
  }
  SettingResult run() const { return rank_embeddings(plan, embeddings())[0]; }
};

}  // namespace

TEST_CASE("the small data set gives the authors' numbers") {
  const json data = evaluation_fixture("eval_small.json");
  const EvaluationPlan plan = plan_sysu(data["test_ids"], small_trials(data));
  CHECK(plan.queries.size() == data["queries"].get<size_t>());
  CHECK(plan.queries.size() + plan.gallery.size() == data["images"].get<size_t>());
  const auto results = rank_embeddings(plan, made_up_embeddings(plan, data));
  // No two distances are so close that float32 swaps them, so errors are only the rounding of sums in double.
  compare(results, data["results"], 1e-9);

  SUBCASE("a chosen mode and kind of shots alone") {
    const EvaluationPlan part = plan_sysu(data["test_ids"], small_trials(data), {"indoor", "multi"});
    const auto alone = rank_embeddings(part, made_up_embeddings(part, data));
    compare(alone,
            {
                {"indoor/10", data["results"]["indoor/10"]},
            },
            1e-9);
  }
  SUBCASE("any number of threads gives the same bits") {
    const int before = omp_get_max_threads();
    for (const int threads : {1, 2, 5}) {
      choose_threads(threads);
      CHECK(same_bits(results, rank_embeddings(plan, made_up_embeddings(plan, data))));
    }
    choose_threads(before);
  }
}

TEST_CASE("the real test set's lists give the authors' numbers" * doctest::skip(!trial_files_supported())) {
  const char* path = std::getenv("MPANET_SYSU_TRIALS");
  if (!path) {
    MESSAGE("skipped: MPANET_SYSU_TRIALS does not name SYSU-MM01's rand_perm_cam.mat");
    return;
  }
  const json data = evaluation_fixture("eval_sysu.json");
  const EvaluationPlan plan = plan_sysu(data["test_ids"], read_trial_file(path));
  CHECK(plan.queries.size() == data["queries"].get<size_t>());
  CHECK(plan.gallery.size() == data["gallery_images"].get<size_t>());
  const auto results = rank_embeddings(plan, made_up_embeddings(plan, data));
  // 25 million float32 distances have near ties. A swap moves one query in one trial: 100 / (2,208 * 10) = 0.0045.
  compare(results, data["results"], 0.01);
  // docs/method.md, section 5.
  CHECK(find(results, "all/1").trials[9].gallery == 301);
  CHECK(find(results, "all/10").trials[9].gallery == 3010);
  CHECK(find(results, "indoor/1").trials[9].gallery == 112);
  CHECK(find(results, "indoor/10").trials[9].gallery == 1120);
  CHECK(find(results, "all/1").trials[9].queries_without_match == 0);
  CHECK(find(results, "indoor/10").trials[9].queries_without_match == 1595);
}

TEST_CASE("CMC, mAP and mINP of a list worked out by hand") {
  Case hand;
  hand.found(2, 1, 10);  // g0
  hand.found(1, 1, 20);  // g1
  hand.found(2, 4, 30);  // g2
  hand.found(3, 2, 5);   // g3: queries of camera 3 ignore it
  hand.found(1, 4, 40);  // g4
  SUBCASE("camera 6 sees everything: g3 g0 g1 g2 g4") {
    hand.query(1, 6, 0);
    const SettingResult result = hand.run();
    CHECK(result.mean.rank1 == 0);
    CHECK(result.mean.rank5 == 100);
    CHECK(result.mean.mAP == doctest::Approx(100 * (1 / 3. + 2 / 5.) / 2));
    CHECK(result.mean.mINP == doctest::Approx(100 * 2 / 5.));
    CHECK(top_matches(hand.plan, hand.embeddings(), {0}, 0, 0, 10)[0] == std::vector<int>{3, 0, 1, 2, 4});
  }
  SUBCASE("camera 3 does not see camera 2: g0 g1 g2 g4") {
    hand.query(1, 3, 0);
    const SettingResult result = hand.run();
    CHECK(result.mean.rank1 == 0);
    CHECK(result.mean.mAP == doctest::Approx(100 * (1 / 2. + 2 / 4.) / 2));
    CHECK(result.mean.mINP == doctest::Approx(100 * 2 / 4.));
    CHECK(top_matches(hand.plan, hand.embeddings(), {0}, 0, 0, 2)[0] == std::vector<int>{0, 1});
  }
  SUBCASE("queries without a right image are counted and left out") {
    hand.query(1, 6, 22);  // g1 first
    hand.query(3, 3, 0);   // its only image is by the camera that it ignores
    hand.query(9, 6, 0);   // an identity that the gallery does not have
    const SettingResult result = hand.run();
    CHECK(result.trials[0].queries == 3);
    CHECK(result.trials[0].gallery == 5);
    CHECK(result.trials[0].queries_without_match == 2);
    CHECK(result.mean.rank1 == 100);
  }
  SUBCASE("no query has a right image") {
    hand.query(9, 6, 0);
    const auto results = rank_embeddings(hand.plan, hand.embeddings());
    CHECK(std::isnan(results[0].mean.rank1));
    CHECK(results_json({{hand.plan, results}}, {"f", false, ""})["results"][0]["mAP"].dump() == "null");
    CHECK(results_table({hand.plan, results}, {"f", false, ""}, false).find("nan") == std::string::npos);
  }
}

TEST_CASE("CMC counts identities, not images") {
  Case hand;
  for (int i = 0; i < 30; i++) hand.found(2 + i % 4, 1, 10 + i);  // four other identities, 30 images
  hand.found(1, 1, 60);
  hand.query(1, 6, 0);
  const SettingResult result = hand.run();
  CHECK(result.mean.rank1 == 0);
  CHECK(result.mean.rank5 == 100);  // fifth identity, 31st image
  CHECK(result.mean.rank10 == 100);
  CHECK(result.mean.rank20 == 100);  // beyond the number of identities
  CHECK(result.mean.mAP == doctest::Approx(100 / 31.));
}

// There are more ignored images than a panel of any instruction set has, and more queries than a block of the ranking.
// Both are in the order of a data set's files, by camera, so that whole panels are ignored.
TEST_CASE("a camera's images that a camera's queries ignore do not count, however many they are") {
  Case hand;
  for (int i = 0; i < 30; i++) hand.found(2 + i % 4, 1, 30 + i);
  hand.found(1, 1, 70);
  for (int i = 0; i < 300; i++) hand.found(1, 2, 20);
  hand.found(7, 4, 90);
  constexpr size_t kIgnoring = 500;
  for (size_t i = 0; i < kIgnoring; i++) hand.query(1, 3, i < 20 ? 0 : 10);
  for (int i = 0; i < 40; i++) hand.query(1, 6, 0);
  const SettingResult result = hand.run();
  for (size_t q = 0; q < kIgnoring + 40; q++) {
    CAPTURE(q);
    const Metrics& one = result.per_query[q].mean;
    CHECK(one.rank1 == (q < kIgnoring ? 0 : 100));
    CHECK(one.mAP == doctest::Approx(q < kIgnoring ? 100 / 31. : 100 * (300 + 301 / 331.) / 301));
    CHECK(one.mINP == doctest::Approx(q < kIgnoring ? 100 / 31. : 100 * 301 / 331.));
  }
}

TEST_CASE("only what a trial draws is ranked in it") {
  Case hand;
  hand.plan.settings = {{"all", "single"}, {"indoor", "single"}};
  hand.plan.trials = 2;
  hand.found(2, 1, 10);
  hand.found(1, 1, 20);
  hand.found(1, 4, 30);
  hand.plan.drawn = {0b0101, 0b1010, 0b0101};  // columns: all 0, all 1, indoor 0, indoor 1
  hand.query(1, 6, 0);
  hand.plan.drawn = {0b0111, 0b1011, 0b0100};
  // all: g0 g1 in both trials. indoor: g0 g2, then only g1.
  CHECK(rank_embeddings(hand.plan, hand.embeddings())[1].trials[0].gallery == 2);
  CHECK(rank_embeddings(hand.plan, hand.embeddings())[1].trials[1].gallery == 1);
  hand.plan.drawn = {0b0101, 0b1011, 0b1110};
  const auto results = rank_embeddings(hand.plan, hand.embeddings());
  CHECK(results[0].trials[0].metrics.rank1 == 0);    // g0 g1
  CHECK(results[0].trials[1].metrics.rank1 == 100);  // g1 g2
  CHECK(results[0].trials[1].metrics.mAP == 100);
  CHECK(results[0].mean.rank1 == 50);
  CHECK(results[1].trials[0].metrics.mAP == 50);  // g0 g2
  CHECK(results[1].trials[1].metrics.mAP == 100);
}

TEST_CASE("ties rank in gallery order wherever the images stand") {
  // 211 images (no multiple of any block) of three embeddings in 64 dimensions, one in each of the three groups.
  Case many;
  Random random(1, Purpose::Test, 0, 0);
  constexpr int kDimension = 64;
  std::vector<std::vector<float>> groups(3, std::vector<float>(kDimension));
  for (auto& group : groups)
    for (float& value : group) value = static_cast<float>(random.normal());
  Embeddings embeddings{kDimension, {}};
  std::vector<float> gallery;
  std::vector<int> group_of;
  for (int g = 0; g < 211; g++) {
    group_of.push_back(static_cast<int>(random.below(3)));
    many.found(g, 1, 0);
    gallery.insert(gallery.end(), groups[group_of[g]].begin(), groups[group_of[g]].end());
  }
  for (int q = 0; q < 53; q++) {  // groups by falling distance: 0, 1, 2
    many.query(q, 6, 0);
    for (int d = 0; d < kDimension; d++) embeddings.values.push_back(3 * groups[0][d] + groups[1][d] - groups[2][d]);
  }
  embeddings.values.insert(embeddings.values.end(), gallery.begin(), gallery.end());
  std::vector<int> expected;
  for (const int group : {0, 1, 2})
    for (int g = 0; g < 211; g++)
      if (group_of[g] == group) expected.push_back(g);
  std::vector<int> queries(53);
  std::iota(queries.begin(), queries.end(), 0);
  for (const auto& matches : top_matches(many.plan, embeddings, queries, 0, 0, 211)) CHECK(matches == expected);
}

TEST_CASE("embeddings of any length, zeros included") {
  Case odd;
  odd.query(1, 6, 0);
  SUBCASE("direction alone counts") {
    odd.found(2, 1, 30, 1e-30);
    odd.found(1, 1, 20, 1e30);
    odd.found(3, 1, 10, 1e-3);
    CHECK(top_matches(odd.plan, odd.embeddings(), {0}, 0, 0, 3)[0] == std::vector<int>{2, 1, 0});
  }
  SUBCASE("zeros lie at distance 1: between 59 and 61 degrees") {
    odd.found(2, 1, 61);
    odd.found(1, 1, 0, 0);
    odd.found(3, 1, 59);
    CHECK(top_matches(odd.plan, odd.embeddings(), {0}, 0, 0, 3)[0] == std::vector<int>{2, 1, 0});
  }
  SUBCASE("a zero query is nearest to zeros and equally far from the rest") {
    odd.query(1, 6, 0);
    odd.queries[2] = odd.queries[3] = 0;
    odd.found(2, 1, 170);
    odd.found(1, 1, 0, 0);
    odd.found(3, 1, 10);
    CHECK(top_matches(odd.plan, odd.embeddings(), {1}, 0, 0, 3)[0] == std::vector<int>{1, 0, 2});
  }
  SUBCASE("numbers that are not finite are no embedding") {
    odd.found(1, 1, 10);
    odd.gallery[1] = NAN;
    CHECK_THROWS_AS(odd.run(), CheckError);
  }
}

// A filter that does not want the products of left rows from kFirstLeft on with right rows below kLastRight.
constexpr int kFirstLeft = 9, kLastRight = 101;
bool is_wanted(int left, int right) { return left < kFirstLeft || right >= kLastRight; }

void check_products_of_whole_numbers(const PairFilter& wanted) {
  constexpr int kRows = 61, kColumns = 131;
  for (const int k : {1, 15, 16, 17, 131, 256, 257, 1111}) {
    std::vector<float> a(kRows * k), b(kColumns * k);
    Random random(2, Purpose::Test, 0, k);
    for (auto* values : {&a, &b})
      for (float& value : *values) value = static_cast<float>(random.below(21)) - 10;
    PackedRows left(PackedRows::Side::Left, kRows + 7, k), right(PackedRows::Side::Right, kColumns, k);
    left.assign(a.data(), std::vector<double>(kRows, 2).data(), kRows);
    right.assign(b.data(), std::vector<double>(kColumns, -1).data(), kColumns);
    const int stride = right.padded_rows() + 5;
    std::vector<float> products(left.padded_rows() * stride, 7);
    multiply(left, right, products.data(), stride, wanted);
    int wrong = 0, left_out = 0;
    for (int i = 0; i < kRows; i++) {
      for (int j = 0; j < kColumns; j++) {
        int sum = 0;
        for (int x = 0; x < k; x++) sum += static_cast<int>(a[i * k + x] * b[j * k + x]);
        const bool zero = wanted && !wanted(i, j) && products[i * stride + j] == 0;
        wrong += !zero && products[i * stride + j] != static_cast<float>(-2 * sum);
        left_out += zero && sum != 0;
      }
      for (int j = right.padded_rows(); j < stride; j++) wrong += products[i * stride + j] != 7;
    }
    for (int i = kRows * stride; i < left.padded_rows() * stride; i++) wrong += products[i] != 7;
    CHECK(wrong == 0);
    CHECK((left_out > 0) == (wanted != nullptr));
  }
}

TEST_CASE("products of whole numbers are exact with every instruction set") {
  for (const cpu::PanelKernels* kernels : cpu::all_panel_kernels()) {
    CAPTURE(kernels->instruction_set);
    cpu::force_panel_kernels(kernels);
    check_products_of_whole_numbers({});
    check_products_of_whole_numbers(is_wanted);
  }
  cpu::force_panel_kernels(nullptr);
}

TEST_CASE("what the protocol refuses") {
  const json data = evaluation_fixture("eval_small.json");
  const TrialFile trials = small_trials(data);
  const std::vector<int> ids = data["test_ids"];
  CHECK_THROWS_WITH_AS(plan_sysu(ids, trials, {"outdoor", ""}), "mode: expected all or indoor, got 'outdoor'",
                       UserError);
  CHECK_THROWS_WITH_AS(plan_sysu(ids, trials, {"", "1"}), "shots: expected single or multi, got '1'", UserError);
  ProtocolOptions unknown;
  unknown.protocol = "market";
  CHECK_THROWS_WITH_AS(plan_evaluations(unknown),
                       "unknown protocol 'market', expected one of: sysu, agw, regdb, llcm, llcm-released, csv",
                       UserError);
  for (const auto& [camera, words] : {std::pair(1, "no infrared image"), std::pair(3, "no visible image")}) {
    TrialFile one;
    for (int c = 1; c <= kSysuCameras; c++) one.resize(c, 1);
    one.set(camera, 1, 1, std::vector<int32_t>(kSysuTrials, 1));
    CHECK(error_of([&] { plan_sysu({1}, one); }).find(words) != std::string::npos);
  }
  EvaluationPlan plan = plan_sysu(ids, trials);
  auto on_disk = sysu_test_images(ids, trials);
  CHECK(match_images(plan, on_disk) == 0);
  on_disk.push_back({"cam6/9999/0001.jpg", 9999, 6, true, -1});
  on_disk[2].path.replace(on_disk[2].path.size() - 3, 3, "JPG");
  CHECK(match_images(plan, on_disk) == 1);
  const auto images = images_of({plan});
  CHECK(std::count_if(images.begin(), images.end(), [](const auto& i) { return i.path.ends_with(".JPG"); }) == 1);
  on_disk.erase(on_disk.begin(), on_disk.begin() + 2);
  CHECK_THROWS_WITH_AS(match_images(plan, on_disk),
                       "cam1/0002/0001.jpg: no such picture, but the trial file lists it (2 of the 1119 that the "
                       "protocol needs are missing)",
                       UserError);
}

TEST_CASE("random embeddings give chance") {
  const json data = evaluation_fixture("eval_small.json");
  const EvaluationPlan plan = plan_sysu(data["test_ids"], small_trials(data));
  const auto a = rank_embeddings(plan, chance_embeddings(images_of({plan}).size(), 1));
  CHECK(same_bits(a, rank_embeddings(plan, chance_embeddings(images_of({plan}).size(), 1))));
  CHECK(!same_bits(a, rank_embeddings(plan, chance_embeddings(images_of({plan}).size(), 2))));
  // Chance is the fraction of matches in the gallery, 4 % here. The standard deviation of ten trials of 385 queries is
  // far less than half of it.
  CHECK(metric(a, "all", "single", "rank1") > 1);
  CHECK(metric(a, "all", "single", "rank1") < 7);
}
