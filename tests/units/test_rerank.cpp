// Re-ranking against the published code's distances and metrics (fixture rerank_sysu.json), and against a direct
// transcription of its definition (docs/method.md, section 5) in double with full matrices.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/base/threads.h"
#include "mpanet/evaluation/protocol.h"
#include "mpanet/evaluation/ranking.h"
#include "mpanet/evaluation/rerank.h"
#include "tests/support/evaluation_fixture.h"
#include "tests/support/temporary_folder.h"
// clang-format off: last, because its CHECK replaces the engine's
#include <doctest/doctest.h>
// clang-format on

using namespace mpanet;
using nlohmann::json;

namespace {

using Matrix = std::vector<std::vector<double>>;

Matrix squared_distances(const Embeddings& embeddings, bool normalised) {
  const size_t rows = embeddings.values.size() / embeddings.dimension;
  Matrix points(rows, std::vector<double>(embeddings.dimension));
  for (size_t r = 0; r < rows; r++) {
    double square = 0;
    for (int d = 0; d < embeddings.dimension; d++) square += std::pow(embeddings.row(r)[d], 2);
    for (int d = 0; d < embeddings.dimension; d++)
      points[r][d] = embeddings.row(r)[d] / (normalised ? std::sqrt(square) : 1);
  }
  Matrix distances(rows, std::vector<double>(rows));
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < rows; j++)
      for (int d = 0; d < embeddings.dimension; d++) distances[i][j] += std::pow(points[i][d] - points[j][d], 2);
  return distances;
}

// The definition: the first `queries` images are queries, images [0, candidates) can be neighbours.
Matrix slow_rerank(Matrix original, size_t queries, size_t candidates) {
  const size_t images = original.size();
  for (auto& row : original) {
    const double largest = *std::max_element(row.begin(), row.end());
    for (double& value : row) value /= largest;
  }
  const auto list = [&](size_t i, size_t length) {
    std::vector<size_t> order;
    for (size_t j = 0; j < candidates; j++) order.push_back(j);
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return original[i][a] < original[i][b]; });
    order.resize(length);
    return order;
  };
  const auto reciprocal = [&](size_t i, size_t k) {
    std::set<size_t> set;
    for (const size_t j : list(i, k + 1)) {
      const auto back = list(j, k + 1);
      if (std::count(back.begin(), back.end(), i)) set.insert(j);
    }
    return set;
  };
  Matrix weights(images, std::vector<double>(images)), means = weights;
  for (size_t i = 0; i < images; i++) {
    const std::set<size_t> near = reciprocal(i, 20);
    std::set<size_t> all = near;
    for (const size_t c : near) {
      const std::set<size_t> addition = reciprocal(c, 10);
      size_t common = 0;
      for (const size_t j : addition) common += near.count(j);
      if (3 * common > 2 * addition.size()) all.insert(addition.begin(), addition.end());
    }
    double sum = 0;
    for (const size_t j : all) sum += std::exp(-original[i][j]);
    for (const size_t j : all) weights[i][j] = std::exp(-original[i][j]) / sum;
  }
  for (size_t i = 0; i < images; i++)
    for (const size_t neighbour : list(i, 6))
      for (size_t j = 0; j < images; j++) means[i][j] += weights[neighbour][j] / 6;
  Matrix finals(queries, std::vector<double>(images - queries));
  for (size_t q = 0; q < queries; q++)
    for (size_t g = queries; g < images; g++) {
      double minima = 0;
      for (size_t j = 0; j < images; j++) minima += std::min(means[q][j], means[g][j]);
      finals[q][g - queries] = 0.7 * (1 - minima / (2 - minima)) + 0.3 * original[q][g];
    }
  return finals;
}

// A plan of one trial.
EvaluationPlan plain_plan(int queries, int gallery, bool gallery_neighbours, Distance distance) {
  EvaluationPlan plan;
  plan.settings = {{"all", "all"}};
  plan.trials = 1;
  for (int q = 0; q < queries; q++) plan.queries.push_back({fmt::format("q{}", q), q % 7, 3, true, -1});
  for (int g = 0; g < gallery; g++) plan.gallery.push_back({fmt::format("g{}", g), g % 7, 1, false, -1});
  plan.drawn.assign(gallery, 1);
  plan.rerank = true;
  plan.gallery_neighbours = gallery_neighbours;
  plan.distance = distance;
  return plan;
}

// Noise around a point per identity, so that some neighbourhoods are reciprocal.
Embeddings clustered(const EvaluationPlan& plan, uint64_t seed) {
  Embeddings embeddings{6, {}};
  for (const auto* list : {&plan.queries, &plan.gallery})
    for (const ImageRecord& image : *list) {
      Random own(seed, Purpose::Test, 0, static_cast<uint32_t>(embeddings.values.size())),
          shared(seed, Purpose::Test, 1, static_cast<uint32_t>(image.identity));
      for (int d = 0; d < 6; d++) embeddings.values.push_back(static_cast<float>(shared.normal() + 0.6 * own.normal()));
    }
  return embeddings;
}

double largest_difference(const std::vector<float>& got, const Matrix& want) {
  double largest = 0;
  const size_t columns = want.front().size();
  REQUIRE(got.size() == want.size() * columns);
  for (size_t i = 0; i < got.size(); i++)
    largest = std::max(largest, std::abs(got[i] - want[i / columns][i % columns]));
  return largest;
}

// Float32 distances and weights near 1 have errors of about 1e-7. A neighbour on the other side of a list's end would
// change a result by more than 1e-3; no two of these random distances are so close.
constexpr double kTolerance = 2e-6;

}  // namespace

TEST_CASE("the published code's distances and metrics") {
  const json data = evaluation_fixture("rerank_sysu.json");
  EvaluationPlan plan;
  plan.settings = {{"all", "multi"}};
  plan.trials = 1;
  plan.skips = [](Sighting query, Sighting gallery) { return query.camera == 3 && gallery.camera == 2; };
  plan.gallery_neighbours = false;
  Embeddings embeddings{data["dimension"], {}};
  for (const char* side : {"query", "gallery"})
    for (size_t i = 0; i < data[side]["identities"].size(); i++) {
      const bool query = side == std::string("query");
      auto& list = query ? plan.queries : plan.gallery;
      list.push_back({fmt::format("{}{}", side, i), data[side]["identities"][i], data[side]["cameras"][i], query, -1});
      for (const auto& number : data[side]["features"][i])
        embeddings.values.push_back(number.get<float>() / data["feature_divisor"].get<float>());
    }
  plan.drawn.assign(plan.gallery.size(), 1);
  const auto compare = [&](const json& expected) {
    const Metrics mean = rank_embeddings(plan, embeddings)[0].mean;
    for (const auto& metric : kMetrics)
      if (expected.contains(metric.key))
        CHECK(std::abs(mean.*metric.value - expected[metric.key].get<double>()) < 1e-4);
  };
  compare(data["results"]["without_reranking"]);
  plan.rerank = true;
  compare(data["results"]["reranked"]);
  const std::vector<double> expected = data["final"];
  const std::vector<float> finals = reranked_distances(plan, embeddings, 0);
  REQUIRE(finals.size() == expected.size());
  double largest = 0;
  for (size_t i = 0; i < finals.size(); i++) largest = std::max(largest, std::abs(finals[i] - expected[i]));
  CHECK(largest < 1e-5);
}

TEST_CASE("equal to the definition on small random cases") {
  for (uint64_t seed = 1; seed <= 12; seed++) {
    CAPTURE(seed);
    const int queries = 21 + static_cast<int>(seed * 5 % 23), gallery = 9 + static_cast<int>(seed * 7 % 31);
    {
      const EvaluationPlan plan = plain_plan(queries, gallery, false, Distance::UnitEuclidean);
      const Embeddings embeddings = clustered(plan, seed);
      CHECK(largest_difference(reranked_distances(plan, embeddings, 0),
                               slow_rerank(squared_distances(embeddings, true), queries, queries)) < kTolerance);
    }
    {
      const EvaluationPlan plan = plain_plan(queries, gallery, true, Distance::Euclidean);
      const Embeddings embeddings = clustered(plan, seed);
      CHECK(largest_difference(reranked_distances(plan, embeddings, 0),
                               slow_rerank(squared_distances(embeddings, false), queries, queries + gallery)) <
            kTolerance);
    }
  }
}

TEST_CASE("each trial by itself") {
  // Two trials with different galleries and queries, against plans of one trial each.
  for (const bool gallery_neighbours : {false, true}) {
    EvaluationPlan both = plain_plan(40, 30, gallery_neighbours, Distance::UnitEuclidean);
    both.trials = 2;
    for (size_t q = 0; q < 40; q++) both.asked.push_back(q < 5 ? 0b01 : q < 12 ? 0b10 : 0b11);
    for (size_t g = 0; g < 30; g++) both.drawn[g] = g % 3 == 0 ? 0b01 : g % 3 == 1 ? 0b10 : 0b11;
    const Embeddings embeddings = clustered(both, 77);
    const SettingResult together = rank_embeddings(both, embeddings)[0];
    for (int trial = 0; trial < 2; trial++) {
      EvaluationPlan one = plain_plan(0, 0, gallery_neighbours, Distance::UnitEuclidean);
      Embeddings own{6, {}};
      for (size_t i = 0; i < 70; i++) {
        const uint64_t mask = i < 40 ? both.asked[i] : both.drawn[i - 40];
        if (!(mask >> trial & 1)) continue;
        (i < 40 ? one.queries : one.gallery).push_back(i < 40 ? both.queries[i] : both.gallery[i - 40]);
        own.values.insert(own.values.end(), embeddings.row(i), embeddings.row(i + 1));
      }
      one.drawn.assign(one.gallery.size(), 1);
      const std::vector<float> finals = reranked_distances(both, embeddings, trial);
      CHECK(finals == reranked_distances(one, own, 0));
      CHECK(together.trials[trial].metrics.mAP == rank_embeddings(one, own)[0].mean.mAP);
    }
  }
}

TEST_CASE("too few neighbours are refused, equal images are not") {
  CHECK_THROWS_WITH_AS(check_rerank(plain_plan(20, 30, false, Distance::UnitEuclidean)),
                       "re-ranking looks for 20 neighbours: expected at least 21 queries, got 20", UserError);
  check_rerank(plain_plan(20, 1, true, Distance::UnitEuclidean));
  CHECK_THROWS_WITH_AS(check_rerank(plain_plan(15, 5, true, Distance::UnitEuclidean)),
                       "re-ranking looks for 20 neighbours: expected at least 21 images, got 20", UserError);
  for (const Distance distance : {Distance::UnitEuclidean, Distance::Euclidean})
    for (const float value : {0.0f, 3.0f}) {
      const EvaluationPlan plan = plain_plan(25, 25, true, distance);
      const std::vector<float> finals = reranked_distances(plan, {2, std::vector<float>(100, value)}, 0);
      CHECK(std::all_of(finals.begin(), finals.end(), [](float final) { return std::isfinite(final); }));
    }
}
