// Ranking on a GPU's kernels (the emulation's, or the device that MPANET_TEST_DEVICE names) gives the CPU's numbers:
// ties, zeros, every distance, several blocks and galleries that are merged from several sorted runs. Where numbers are
// integers, every product is exact and no rounding can move an image.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "core/base/error.h"
#include "core/base/random.h"
#include "mpanet/evaluation/evaluate.h"
#include "mpanet/evaluation/ranking.h"
#include "mpanet/evaluation/results.h"
#include "mpanet/network/ranker.h"
#include "tests/support/evaluation_fixture.h"
#include "tests/support/find_gpu.h"

using namespace mpanet;

namespace {

const std::optional<Device> kGpu = find_gpu();
const bool kLacking = !kGpu || kGpu->backend == Backend::cpu;

void check_same(const std::vector<SettingResult>& a, const std::vector<SettingResult>& b) {
  const auto same = [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); };
  REQUIRE(a.size() == b.size());
  for (size_t s = 0; s < a.size(); s++) {
    REQUIRE(a[s].trials.size() == b[s].trials.size());
    for (size_t t = 0; t < a[s].trials.size(); t++)
      for (const MetricName& name : kMetrics)
        CHECK(same(a[s].trials[t].metrics.*name.value, b[s].trials[t].metrics.*name.value));
    REQUIRE(a[s].per_query.size() == b[s].per_query.size());
    int different = 0;
    for (size_t q = 0; q < a[s].per_query.size(); q++)
      different += !same(a[s].per_query[q].mean.mAP, b[s].per_query[q].mean.mAP);
    CHECK(different == 0);
  }
}

struct Made {
  EvaluationPlan plan;
  Embeddings embeddings;
};

// Rows of -1 and 1, whose length in `dimension` = 4^k is a power of two. With few numbers many similarities are equal.
Made make(int queries, int gallery, int dimension, uint32_t seed) {
  Made made;
  Random random(seed, Purpose::Test, 0, 0);
  made.plan.settings = {{"all", "all"}};
  made.plan.trials = 2;
  for (int i = 0; i < queries; i++)
    made.plan.queries.push_back({fmt::format("q{}", i), static_cast<int>(random.below(7)), 3, true, -1});
  for (int i = 0; i < gallery; i++) {
    made.plan.gallery.push_back({fmt::format("g{}", i), static_cast<int>(random.below(7)), 1, false, -1});
    made.plan.drawn.push_back(1 + random.below(3));
  }
  made.embeddings.dimension = dimension;
  for (int i = 0; i < (queries + gallery) * dimension; i++)
    made.embeddings.values.push_back(random.below(2) == 0 ? -1.0f : 1.0f);
  return made;
}

}  // namespace

TEST_CASE("the authors' numbers, from a GPU's kernels" * doctest::skip(kLacking)) {
  const nlohmann::json data = evaluation_fixture("eval_small.json");
  const EvaluationPlan plan = plan_sysu(data["test_ids"], small_trials(data));
  const auto results = rank_embeddings(plan, made_up_embeddings(plan, data), *kGpu);
  const std::map<std::string, const char*> names = {
      {"r1", "rank1"}, {"r10", "rank10"}, {"mAP", "mAP"}, {"mINP", "mINP"}};
  int compared = 0;
  for (const SettingResult& result : results) {
    const auto& expected = data["results"][result.setting.mode + (result.setting.shots == "single" ? "/1" : "/10")];
    for (const auto& [key, name] : names) {
      // No two distances are so close that float32 swaps them, so errors are only the rounding of sums in double.
      const double ours = metric(results, result.setting.mode, result.setting.shots, name);
      CHECK(std::abs(ours - expected[key].get<double>()) <= 1e-9);
      compared++;
    }
  }
  CHECK(compared == 16);
}

TEST_CASE("ties, several blocks of queries, a gallery of several sorted runs" * doctest::skip(kLacking)) {
  for (const auto& [queries, images] : {std::pair(1, 1), std::pair(485, 33), std::pair(3, 2100)}) {
    const int gallery = images;  // lambdas of clang 14 capture no structured binding
    const Made made = make(queries, gallery, 16, static_cast<uint32_t>(gallery));
    CAPTURE(gallery);
    check_same(rank_embeddings(made.plan, made.embeddings), rank_embeddings(made.plan, made.embeddings, *kGpu));
  }
}

TEST_CASE("every distance, with zeros among the rows and lengths that differ" * doctest::skip(kLacking)) {
  for (const Distance distance : {Distance::UnitEuclidean, Distance::Cosine, Distance::Euclidean}) {
    Made made = make(9, 70, 16, 5);
    made.plan.distance = distance;
    Random random(6, Purpose::Test, 0, 0);
    for (int row = 0; row < 79; row++) {
      const float factor = row % 11 == 3 ? 0.0f : std::ldexp(1.0f, static_cast<int>(random.below(3)));
      for (int i = 0; i < 16; i++) made.embeddings.values[static_cast<size_t>(row) * 16 + i] *= factor;
    }
    CAPTURE(name_of(distance));
    check_same(rank_embeddings(made.plan, made.embeddings), rank_embeddings(made.plan, made.embeddings, *kGpu));
  }
}

TEST_CASE("the order itself: by offset minus the doubled product, then by index" * doctest::skip(kLacking)) {
  // The gallery, and the queries before and after it.
  const DeviceRows matrix(*kGpu, {1, 0, 2, 0, 0, 1, 2, 0, -4, 0, 0, 0, 0, 2}, 2);
  size_t needed = 0;
  const RankerGallery gallery = {{1, 2, 3, 4, 5}, {0.5, 1, 0.5, 0.25, 7}, {0, 0, 0, 0, -2}};
  const auto ranker = make_ranker(matrix, gallery, 3, &needed);
  REQUIRE(ranker != nullptr);
  CHECK(needed > 0);
  std::vector<int32_t> order(10);
  const std::vector<int32_t> queries = {0, 6};
  const std::vector<double> factors = {1, 1};
  ranker->rank(queries.data(), factors.data(), 2, order.data());
  // distances: -2, 0, -2, 2, -2 and 0, -4, 0, 0, -2
  CHECK(order == std::vector<int32_t>{0, 2, 4, 1, 3, 1, 4, 0, 2, 3});
  // A block with fewer queries than the one before.
  order.resize(5);
  ranker->rank(queries.data() + 1, factors.data(), 1, order.data());
  CHECK(order == std::vector<int32_t>{1, 4, 0, 2, 3});
}

TEST_CASE("modes by trials out of one matrix, whose rows stand in another order than the plans'" *
          doctest::skip(kLacking)) {
  // Two plans share images, as the two directions of a protocol do.
  const Made made = make(60, 150, 16, 11);
  EvaluationPlan plan = made.plan;
  plan.settings = {{"all", "single"}, {"all", "multi"}, {"indoor", "single"}, {"indoor", "multi"}};
  plan.trials = 10;
  Random random(12, Purpose::Test, 0, 0);
  for (uint64_t& drawn : plan.drawn)
    drawn = (uint64_t{random.bits()} << 32 | random.bits()) & ((uint64_t{1} << 40) - 1);
  EvaluationPlan back = plan;
  back.queries.assign(plan.gallery.begin(), plan.gallery.begin() + 70);
  back.gallery = plan.queries;
  back.drawn.assign(back.gallery.size(), (uint64_t{1} << 40) - 1);
  std::vector<ImageRecord> images = plan.gallery;
  images.insert(images.end(), plan.queries.rbegin(), plan.queries.rend());
  Embeddings embeddings;
  embeddings.dimension = 16;
  for (size_t i = 0; i < images.size(); i++)
    for (int d = 0; d < 16; d++) embeddings.values.push_back(made.embeddings.row(i)[d]);
  const auto host = rank_plans({plan, back}, images, embeddings);
  REQUIRE(host.size() == 2);
  CHECK(host[0].size() == 4);
  CHECK(host[0][0].trials.size() == 10);
  Embeddings there{16, {}, put_on_device(embeddings, *kGpu)};
  for (const Embeddings* given : {&embeddings, &there}) {
    const auto ranked = rank_plans({plan, back}, images, *given, *kGpu);
    REQUIRE(ranked.size() == 2);
    for (size_t p = 0; p < 2; p++) check_same(host[p], ranked[p]);
  }
  // Re-ranking is the CPU's, which reads the rows.
  back.rerank = true;
  back.trials = 1;
  back.settings = {{"all", "all"}};
  std::fill(back.drawn.begin(), back.drawn.end(), 1);
  check_same(rank_plans({back, plan}, images, embeddings)[0], rank_plans({back, plan}, images, there, *kGpu)[0]);
}

TEST_CASE("a number that is not finite is refused as on the CPU" * doctest::skip(kLacking)) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Made made = make(3, 20, 16, 3);
    made.embeddings.values[5 * 16 + 7] = bad;
    for (const Device device : {Device(Backend::cpu), *kGpu})
      CHECK_THROWS_WITH_AS(rank_embeddings(made.plan, made.embeddings, device),
                           doctest::Contains(" has a number that is not finite"), CheckError);
  }
}
