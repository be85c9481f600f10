// Calibration: logistic curves against closed forms and finite differences, the pairs and identities of plans, the
// file.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/random.h"
#include "core/base/sha256.h"
#include "mpanet/evaluation/calibration.h"
#include "mpanet/evaluation/pair_distances.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text.h"

using namespace mpanet;
using Distances = std::vector<float>;

namespace {

double logit(double p) { return std::log(p / (1 - p)); }

// The objective as its definition has it, without the scaling and the grouping of fit_logistic().
double cross_entropy(const Distances& same, const Distances& different, double intercept, double slope) {
  const auto n = static_cast<double>(same.size()), m = static_cast<double>(different.size());
  const auto mean = [&](const Distances& distances, double target) {
    double sum = 0;
    for (const float d : distances) {
      const double p = 1 / (1 + std::exp(-intercept - slope * d));
      sum -= target * std::log(p) + (1 - target) * std::log(1 - p);
    }
    return sum / static_cast<double>(distances.size());
  };
  return mean(same, (n + 1) / (n + 2)) / 2 + mean(different, 1 / (m + 2)) / 2;
}

ImageRecord image(int identity, int camera, bool infrared, int number) {
  ImageRecord made;
  made.path = fmt::format("cam{}/{:04}/{:04}.jpg", camera, identity, number);
  made.identity = identity;
  made.camera = camera;
  made.infrared = infrared;
  return made;
}

// Five identities, each with two infrared queries and three visible gallery images. Of the gallery the first trial
// draws image 1, the second images 2 and 3. Queries of odd identities are asked in the first trial alone.
struct Plan {
  Plan() {
    plan.protocol = "sysu";
    plan.direction = "infrared queries, visible gallery";
    plan.settings = {{"all", "single"}};
    plan.trials = 2;
    for (int identity = 1; identity <= 5; identity++) {
      for (const int number : {1, 2}) {
        plan.queries.push_back(image(identity, 3, true, number));
        plan.asked.push_back(identity % 2 == 1 ? 1 : 3);
      }
      for (const int number : {1, 2, 3}) {
        plan.gallery.push_back(image(identity, 1, false, number));
        plan.drawn.push_back(number == 1 ? 1 : 2);
      }
    }
    images = images_of({plan});
    Random random(1, Purpose::Test, 0, 0);
    embeddings.dimension = 6;
    for (const ImageRecord& one : images)
      for (int d = 0; d < 6; d++)
        embeddings.values.push_back(static_cast<float>(random.normal() + 3 * (d == one.identity)));
  }
  EvaluationPlan plan;
  std::vector<ImageRecord> images;
  Embeddings embeddings;
};

}  // namespace

TEST_CASE("two distances: the closed form") {
  // 30 and 10 pairs at distance 1, 5 and 70 at 2. Each class weighs a half. The curve goes through both weighted means
  // of the targets, which two parameters can fit exactly.
  Distances same(30, 1.0f), different(10, 1.0f);
  same.insert(same.end(), 5, 2.0f);
  different.insert(different.end(), 70, 2.0f);
  const double positive = 36.0 / 37, negative = 1.0 / 82;  // (35 + 1) / (35 + 2), 1 / (80 + 2)
  const auto mean = [&](double n, double m) { return (n / 35 * positive + m / 80 * negative) / (n / 35 + m / 80); };
  const double at1 = logit(mean(30, 10)), at2 = logit(mean(5, 70));
  const LogisticCurve curve = fit_logistic(same, different);
  // Newton's method converges to double's rounding, magnified by the curvature: far below 1e-10.
  CHECK(curve.slope == doctest::Approx(at2 - at1).epsilon(1e-10));
  CHECK(curve.intercept == doctest::Approx(2 * at1 - at2).epsilon(1e-10));
  CHECK(curve.probability(1) == doctest::Approx(mean(30, 10)).epsilon(1e-10));
  CHECK(curve.probability(curve.threshold()) == doctest::Approx(0.5).epsilon(1e-12));
}

TEST_CASE("separable pairs: Platt's targets bound the curve") {
  for (const int count : {1, 10, 100000}) {
    const Distances same(count, 0.5f), different(3 * count, 0.75f);
    const LogisticCurve curve = fit_logistic(same, different);
    CHECK(curve.probability(0.5) == doctest::Approx((count + 1.0) / (count + 2.0)).epsilon(1e-10));
    CHECK(curve.probability(0.75) == doctest::Approx(1 / (3.0 * count + 2)).epsilon(1e-6));
    CHECK(curve.slope < 0);
  }
  // A gap between spread distances.
  Distances same, different;
  for (int i = 0; i < 1000; i++) same.push_back(0.001f * static_cast<float>(i)), different.push_back(same.back() + 3);
  const LogisticCurve curve = fit_logistic(same, different);
  CHECK(std::isfinite(curve.slope));
  CHECK(curve.threshold() > 0.999);
  CHECK(curve.threshold() < 3);
}

TEST_CASE("logistic data: its coefficients, and no slope at the optimum") {
  constexpr double kSlope = -6;
  Random random(1, Purpose::Test, 0, 0);
  // Different persons: uniform in 0..4, of density 1/4. The same person: of density 6 exp(-6 d) / (1 - exp(-24)) there,
  // drawn by rejection. The odds of a balanced pair are the ratio of the densities.
  Distances same, different;
  while (different.size() < 300000) different.push_back(static_cast<float>(random.uniform(0, 4)));
  while (same.size() < 100000) {
    const double d = random.uniform(0, 4);
    if (random.uniform() < std::exp(kSlope * d)) same.push_back(static_cast<float>(d));
  }
  const LogisticCurve curve = fit_logistic(same, different);
  // Standard errors of slope and intercept are 0.029 and 0.0095 (the sandwich estimator at the true curve); five of
  // them.
  CHECK(std::abs(curve.slope - kSlope) < 0.145);
  CHECK(std::abs(curve.intercept - std::log(24 / (1 - std::exp(-24.0)))) < 0.048);
  const double step = 1e-4, a = curve.intercept, b = curve.slope;
  const double lowest = cross_entropy(same, different, a, b);
  // Central differences: the third derivative times the step's square is below 1e-8, rounding below 1e-11 / step.
  CHECK(std::abs(cross_entropy(same, different, a + step, b) - cross_entropy(same, different, a - step, b)) <
        2 * step * 2e-7);
  CHECK(std::abs(cross_entropy(same, different, a, b + step) - cross_entropy(same, different, a, b - step)) <
        2 * step * 2e-7);
  for (const double da : {-0.01, 0.01}) CHECK(cross_entropy(same, different, a + da, b - da) > lowest);
  SUBCASE("another unit of distance") {
    const auto scaled = [](Distances distances) {
      for (float& d : distances) d = 1024 * d - 512;  // exact in float for most
      return distances;
    };
    const LogisticCurve other = fit_logistic(scaled(same), scaled(different));
    for (const double d : {0.0, 0.5, 1.0, 3.0})  // distances round to 2^-13 of 1024
      CHECK(other.probability(1024 * d - 512) == doctest::Approx(curve.probability(d)).epsilon(1e-4));
  }
}

TEST_CASE("pairs that no curve fits") {
  const Distances some = {1, 2}, none, equal = {2, 2};
  CHECK(has(error_of([&] { fit_logistic(none, some); }), "no pair of the same person"));
  CHECK(has(error_of([&] { fit_logistic(some, none); }), "no pair of different persons"));
  CHECK(has(error_of([&] { fit_logistic(equal, equal); }), "the same distance, 2"));
  CHECK(fit_logistic({{3, 4}}, {{1, 2}}).slope > 0);
}

TEST_CASE("identities: drawn and read") {
  std::vector<int> all;
  for (int identity = 1; identity <= 50; identity++) all.push_back(2 * identity);
  const std::vector<int> drawn = draw_identities(all, 0.2, 0);
  CHECK(drawn.size() == 10);
  CHECK(std::is_sorted(drawn.begin(), drawn.end()));
  CHECK(std::includes(all.begin(), all.end(), drawn.begin(), drawn.end()));
  CHECK(draw_identities(all, 0.2, 0) == drawn);
  CHECK(draw_identities(all, 0.2, 1) != drawn);
  CHECK(draw_identities(all, 0.001, 0).size() == 2);
  CHECK(has(error_of([&] { draw_identities({1, 2}, 0.9, 0); }), "got all 2"));

  const TemporaryFolder folder;
  const std::string file = folder / "ids.txt";
  const auto read = [&](const std::string& text) {
    write_file(file, text);
    return read_identities(file, all);
  };
  CHECK(read("8, 4,\n\n100\r\n") == std::vector<int>{4, 8, 100});
  const auto refused = [&](const std::string& text, const std::string& words) {
    CHECK_MESSAGE(has(error_of([&] { read(text); }), words), error_of([&] { read(text); }));
  };
  refused("4,8\n5\n", "ids.txt line 2: identity 5 is not in the test set");
  refused("4,8\n8\n", "ids.txt line 2: identity 8 stands twice");
  refused("4;8\n", "ids.txt line 1: expected comma-separated identities, got \"4;8\"");
  refused("4\n", "at least 2 identities to calibrate on, got 1 of 50");
  refused("", "got 0 of 50");
}

TEST_CASE("plans of identities, and without them") {
  const Plan made;
  const std::vector<int> held = {2, 5};
  const EvaluationPlan with = plans_of({made.plan}, held).front(), without = plans_without({made.plan}, held).front();
  CHECK(identities_of({with}) == held);
  CHECK(identities_of({without}) == std::vector<int>{1, 3, 4});
  CHECK(with.queries.size() == 4);
  CHECK(with.gallery.size() == 6);
  CHECK(without.queries.size() == 6);
  CHECK(without.gallery.size() == 9);
  for (const EvaluationPlan* plan : {&with, &without}) {
    for (size_t q = 0; q < plan->queries.size(); q++)
      CHECK(plan->asked[q] == (plan->queries[q].identity % 2 == 1 ? 1 : 3));
    for (size_t g = 0; g < plan->gallery.size(); g++)
      CHECK(plan->drawn[g] == (plan->gallery[g].path.ends_with("0001.jpg") ? 1 : 2));
  }
  EvaluationPlan lacking = made.plan;
  for (ImageRecord& query : lacking.queries) query.identity = 1;
  CHECK(has(error_of([&] { plans_of({lacking}, {2, 5}); }), "the identities to calibrate on have no query"));
  CHECK(has(error_of([&] { plans_without({lacking}, {1, 2}); }), "the identities that are left have no query"));
}

TEST_CASE("the pairs of a calibration are those that a trial compares, across the modalities") {
  Plan made;
  const auto pairs = [&] {
    const Calibration calibration = calibrate({made.plan}, made.images, made.embeddings);
    return std::pair(calibration.same_pairs, calibration.different_pairs);
  };
  // Queries of identities 2 and 4 meet all 15 gallery images, 3 of them their own; the other 6 queries meet the 5
  // images of the first trial, 1 of them their own.
  CHECK(pairs() == std::pair<uint64_t, uint64_t>(4 * 3 + 6 * 1, 4 * 12 + 6 * 4));
  made.plan.skips = [](Sighting query, Sighting gallery) { return query.identity == 2 && gallery.identity == 2; };
  CHECK(pairs() == std::pair<uint64_t, uint64_t>(2 * 3 + 6 * 1, 4 * 12 + 6 * 4));
  made.plan.gallery[0].infrared = true;  // of identity 1, in the first trial: none of its pairs crosses the modalities
  CHECK(pairs() == std::pair<uint64_t, uint64_t>(2 * 3 + 6 * 1 - 2, 4 * 12 + 6 * 4 - 8));

  const Plan plain;
  const Calibration calibration = calibrate({plain.plan}, plain.images, plain.embeddings);
  CHECK(calibration.identities == std::vector<int>{1, 2, 3, 4, 5});
  CHECK(calibration.curves.size() == 3);
  // -q.g = (|q - g|^2 - 2) / 2 for unit vectors, so that both curves have the same probabilities.
  const LogisticCurve& unit = calibration.curves.at(Distance::UnitEuclidean);
  const LogisticCurve& cosine = calibration.curves.at(Distance::Cosine);
  CHECK(unit.slope < 0);
  for (const double d : {0.0, 1.0, 2.0})  // float32 distances
    CHECK(unit.probability(d) == doctest::Approx(cosine.probability((d - 2) / 2)).epsilon(1e-5));
  Plan opposite;  // each query is nearer to all others than to its own identity
  for (size_t i = 0; i < 10; i++)
    for (int d = 0; d < 6; d++) opposite.embeddings.values[i * 6 + static_cast<size_t>(d)] *= -1;
  CHECK(has(error_of([&] { calibrate({opposite.plan}, opposite.images, opposite.embeddings); }),
            "the distances of 18 pairs of the same person are not below those of 72 pairs of different persons"));
}

TEST_CASE("the file of a calibration") {
  const TemporaryFolder folder;
  const std::string checkpoint = folder / "best.safetensors", file = checkpoint + ".calibration.json";
  CHECK(calibration_path(checkpoint) == file);
  CHECK(!read_calibration(checkpoint));  // neither file is read
  write_file(checkpoint, "weights");
  Calibration made;
  made.checkpoint = sha256("weights");
  made.height = 384, made.width = 128;
  made.protocol = "regdb", made.split = 3;
  made.identities = {2, 7};
  made.same_pairs = 10, made.different_pairs = 20;
  made.curves = {{Distance::UnitEuclidean, {1.0 / 3, -2.0 / 7}}, {Distance::Cosine, {0.1, -1e-9}}};
  const nlohmann::ordered_json json = calibration_json(made);
  write_file(file, json.dump());
  CHECK(read_calibration(checkpoint) == made);
  CHECK(json["prior"] == 0.5);
  CHECK(json["curves"]["euclidean-unit"]["threshold"] == doctest::Approx(7.0 / 6).epsilon(1e-15));
  CHECK(made.curve(Distance::Cosine, 384, 128, false) == &made.curves[Distance::Cosine]);
  CHECK(made.curve(Distance::Euclidean, 384, 128, false) == nullptr);
  CHECK(made.curve(Distance::Cosine, 384, 129, false) == nullptr);
  CHECK(made.curve(Distance::Cosine, 384, 128, true) == nullptr);

  const auto refused = [&](const std::string& words) {
    const std::string text = error_of([&] { read_calibration(checkpoint); });
    CHECK_MESSAGE(has(text, words), text);
    CHECK(has(text, "best.safetensors.calibration.json"));
  };
  const auto with = [&](const char* key, const nlohmann::json& value) {
    nlohmann::ordered_json other = json;
    other[nlohmann::json::json_pointer(key)] = value;
    write_file(file, other.dump());
  };
  with("/curves/cosine/slope", 0);
  refused("curves.cosine.slope: expected a number below 0, got 0");
  with("/curves/hamming", {{"intercept", 0}, {"slope", -1}});
  refused("curves.hamming: expected the name of a distance");
  with("/prior", 0.25);
  refused("prior");
  with("/identities", {1, "2"});
  refused("identities: expected an integer");
  for (const auto& [list, words] :
       {std::pair(nlohmann::json{2, 2}, "identities: expected them ascending, got 2 after 2"),
        {{7, 2}, "identities: expected them ascending, got 2 after 7"},
        {nlohmann::json::array({2}), "identities: expected at least two, got [2]"}}) {
    with("/identities", list);
    refused(words);
  }
  with("/curves/cosine/threshold", 0.25);
  refused("curves.cosine.threshold: expected 100000000");
  with("/curves/cosine/threshold", nullptr);
  refused("curves.cosine.threshold: expected a number, got null");
  with("/curves", nlohmann::json::object());
  refused("curves: expected at least one, got an object");
  with("/protocol", "market");
  refused("protocol: unknown protocol 'market', expected one of: sysu, agw, regdb");
  with("/protocol", "sysu");
  refused("split: expected null with the protocol sysu, got 3");
  with("/split", nullptr);
  refused("split: expected an integer in 1..10, got null");
  with("/height", 0);
  refused("height");
  write_file(file, "{");
  refused("line 1");
  write_file(file, json.dump());
  write_file(checkpoint, "other weights");
  refused("got that of other weights, " + quote(sha256("weights")));
}
