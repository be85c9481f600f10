// The parts of the report (mpanet/report) against small cases worked out by hand.
#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/random.h"
#include "mpanet/evaluation/pair_distances.h"
#include "mpanet/evaluation/protocol.h"
#include "mpanet/evaluation/ranked_queries.h"
#include "mpanet/report/camera_matrix.h"
#include "mpanet/report/charts.h"
#include "mpanet/report/html.h"
#include "mpanet/report/pair_histogram.h"
#include "mpanet/report/pattern_pictures.h"
#include "mpanet/report/published.h"
#include "mpanet/report/run_files.h"
#include "mpanet/report/run_results.h"
#include "mpanet/report/tsne.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text.h"

using namespace mpanet;

namespace {

ImageRecord image(const char* path, int identity, int camera, bool infrared) {
  ImageRecord record;
  record.path = path;
  record.identity = identity;
  record.camera = camera;
  record.infrared = infrared;
  return record;
}

// Embeddings on a line. Camera 3's queries ignore camera 2. The first trial draws every image, the second g0, g2, g4.
struct Line {
  EvaluationPlan plan;
  Embeddings embeddings{1, {0, 0.5, 4, 1, 2, 5, 9, -1}};
  Line() {
    plan.queries = {image("q0", 1, 3, true), image("q1", 2, 3, true), image("q2", 1, 6, true)};
    plan.gallery = {image("g0", 1, 1, false), image("g1", 2, 1, false), image("g2", 1, 2, false),
                    image("g3", 2, 2, false), image("g4", 3, 2, false)};
    plan.settings = {{"all", "single"}};
    plan.trials = 2;
    plan.drawn = {3, 1, 3, 1, 3};
    plan.distance = Distance::Euclidean;
    plan.skips = [](Sighting query, Sighting gallery) { return query.camera == 3 && gallery.camera == 2; };
  }
};

}  // namespace

TEST_CASE("results by pair of cameras") {
  const Line line;
  CameraCounter counter(line.plan, 0);
  visit_distances(line.plan, line.embeddings, [&](size_t q, auto distances) { counter.add(q, distances); });
  const CameraMatrix matrix = counter.matrix();
  CHECK(matrix.query_cameras == std::vector<int>{3, 6});
  CHECK(matrix.gallery_cameras == std::vector<int>{1, 2});
  const auto check = [&](size_t q, size_t g, int64_t searches, double rank1, double mAP) {
    const CameraPair& pair = matrix.pairs[q][g];
    CHECK(pair.searches == searches);
    CHECK(pair.rank1 == doctest::Approx(rank1));
    CHECK(pair.mAP == doctest::Approx(mAP));
  };
  // Camera 3, 1: q0 finds g0 first in both trials. q1 finds g1 second in the first, and has no match in the second.
  check(0, 0, 3, 200 / 3., 250 / 3.);
  CHECK(matrix.pairs[0][1].searches == 0);
  CHECK(std::isnan(matrix.pairs[0][1].rank1));
  check(1, 0, 2, 50, 75);    // g1 is before g0, which is alone in the second trial
  check(1, 1, 2, 100, 100);  // g2 is first among camera 2's
}

TEST_CASE("the histogram of pairs") {
  SUBCASE("bins hold what lies in them, as fractions of each kind") {
    PairCounter pairs(0, 1 << 15);  // fine bins of width 1
    for (const double same : {10.5, 11.5}) pairs.add(same, true);
    for (const double different : {20.5, 21.5, 21.6}) pairs.add(different, false);
    const Histogram made = pairs.histogram(4);
    CHECK(made.low == 10);
    CHECK(made.high == 22);
    CHECK(made.same == std::vector<double>{1, 0, 0, 0});
    CHECK(made.different == std::vector<double>{0, 0, 0, 1});
    CHECK(made.same_pairs == 2);
    CHECK(made.different_pairs == 3);
    CHECK(made.equal_error == 0);
    CHECK(made.equal_error_distance >= 12);
    CHECK(made.equal_error_distance <= 20);
  }
  SUBCASE("overlapping kinds") {
    PairCounter pairs(0, 1 << 15);
    for (const double same : {10.5, 20.5}) pairs.add(same, true);
    for (const double different : {15.5, 30.5}) pairs.add(different, false);
    const Histogram made = pairs.histogram(60);
    CHECK(made.equal_error == 50);
    CHECK(made.equal_error_distance == 16);
  }
  SUBCASE("pairs of the plan: ignored ones and those of one modality are left out") {
    Line line;
    const auto count = [&] {
      PairCounter pairs(0, 200);
      visit_distances(line.plan, line.embeddings,
                      [&](size_t q, auto distances) { pairs.add(line.plan, 3, line.plan.queries[q], distances); });
      const Histogram made = pairs.histogram(10);
      return std::pair(made.same_pairs, made.different_pairs);
    };
    CHECK(count() == std::pair<uint64_t, uint64_t>(4, 5));
    line.plan.gallery[2].infrared = true;  // q2's second right image
    CHECK(count() == std::pair<uint64_t, uint64_t>(3, 5));
    line.plan.drawn[4] = 0;
    CHECK(count() == std::pair<uint64_t, uint64_t>(3, 4));
  }
  SUBCASE("no pairs") { CHECK(std::isnan(PairCounter(0, 4).histogram(10).equal_error)); }
}

TEST_CASE("distances of blocks equal those of pairs") {
  Random random(1, Purpose::Test, 70, 0);
  constexpr size_t kQueries = 500, kGallery = 37;  // more than a block
  constexpr int kDimension = 19;
  EvaluationPlan plan;
  for (size_t q = 0; q < kQueries; q++) plan.queries.push_back(image("q", 1, 3, true));
  for (size_t g = 0; g < kGallery; g++) plan.gallery.push_back(image("g", 1, 1, false));
  Embeddings embeddings;
  embeddings.dimension = kDimension;
  for (size_t i = 0; i < (kQueries + kGallery) * kDimension; i++)
    embeddings.values.push_back(static_cast<float>(3 * random.normal()));
  std::fill_n(embeddings.values.begin() + (kQueries + 5) * kDimension, kDimension, 0.0f);
  for (const Distance distance : {Distance::UnitEuclidean, Distance::Euclidean, Distance::Cosine}) {
    plan.distance = distance;
    size_t next = 0;
    double largest = 0;
    visit_distances(plan, embeddings, [&](size_t q, std::span<const float> distances) {
      CHECK(q == next++);
      REQUIRE(distances.size() == kGallery);
      for (size_t g = 0; g < kGallery; g++)
        largest = std::max(largest, std::abs(distances[g] - pair_distance(distance, embeddings.row(q),
                                                                          embeddings.row(kQueries + g), kDimension)));
    });
    CHECK(next == kQueries);
    CHECK(largest < 2e-4);  // float32's rounding of numbers up to about 700
  }
  const float a[] = {3, 0}, b[] = {0, 4}, zero[] = {0, 0};
  CHECK(pair_distance(Distance::Euclidean, a, b, 2) == 25);
  CHECK(pair_distance(Distance::UnitEuclidean, a, b, 2) == 2);
  CHECK(pair_distance(Distance::UnitEuclidean, a, a, 2) == 0);
  CHECK(pair_distance(Distance::UnitEuclidean, a, zero, 2) == 1);
  CHECK(pair_distance(Distance::Cosine, a, a, 2) == -1);
}

TEST_CASE("the worst queries with their lists") {
  const Line line;
  const auto worst = worst_queries(line.plan, line.embeddings, 2, 4);
  REQUIRE(worst.size() == 2);
  CHECK(worst[0].query.path == "q1");  // g0 before g1
  CHECK(worst[0].average_precision == doctest::Approx(50));
  CHECK(worst[0].gallery == 2);
  CHECK(worst[0].first_right == 2);
  const RankedQuery& second = worst[1];
  CHECK(second.query.path == "q2");
  CHECK(second.average_precision == doctest::Approx(100 * (1 + 2 / 3.) / 2));
  CHECK(second.right == 2);
  CHECK(second.first_right == 1);
  CHECK(second.last_right == 3);
  REQUIRE(second.list.size() == 4);
  const char* const paths[] = {"g2", "g1", "g0", "g3"};
  const double distances[] = {1, 4, 9, 25};
  for (size_t i = 0; i < 4; i++) {
    CHECK(second.list[i].image.path == paths[i]);
    CHECK(second.list[i].rank == static_cast<int>(i) + 1);
    CHECK(second.list[i].distance == doctest::Approx(distances[i]));
    CHECK(second.list[i].right == (i == 0 || i == 2));
    CHECK(second.list[i].after == (i == 3));
  }
  // A right image behind the shown ones is added.
  const RankedQuery first = worst_queries(line.plan, line.embeddings, 1, 1).front();
  REQUIRE(first.list.size() == 2);
  CHECK(first.list[1].rank == 2);
  CHECK(first.list[1].right);
  CHECK(worst_queries(line.plan, line.embeddings, 100, 1).size() == 3);
  // The lists of chosen queries, in their order.
  const auto chosen = ranked_queries(line.plan, line.embeddings, {2, 0}, 4);
  REQUIRE(chosen.size() == 2);
  CHECK(chosen[0].query.path == "q2");
  CHECK(chosen[0].average_precision == doctest::Approx(second.average_precision));
  CHECK(chosen[1].query.path == "q0");
  CHECK(chosen[1].average_precision == doctest::Approx(100));
  CHECK(chosen[1].gallery == 2);
}

TEST_CASE("t-SNE keeps neighbours together, to the same bits") {
  constexpr size_t kClusters = 4, kEach = 25, kCount = kClusters * kEach;
  constexpr int kDimension = 12;
  Random random(1, Purpose::Test, 71, 0);
  std::vector<std::array<double, kDimension>> points(kCount);
  for (size_t i = 0; i < kCount; i++)
    for (int d = 0; d < kDimension; d++)
      points[i][d] = random.normal() + (d == static_cast<int>(i % kClusters) ? 12 : 0);
  std::vector<float> squared(kCount * kCount);
  for (size_t i = 0; i < kCount; i++)
    for (size_t j = 0; j < kCount; j++)
      for (int d = 0; d < kDimension; d++)
        squared[i * kCount + j] += static_cast<float>((points[i][d] - points[j][d]) * (points[i][d] - points[j][d]));
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const auto plane = tsne(squared, kCount);
  omp_set_num_threads(3);
  CHECK(tsne(squared, kCount) == plane);
  omp_set_num_threads(threads);
  TsneOptions other;
  other.seed = 2;
  CHECK(tsne(squared, kCount, other) != plane);
  const auto distance = [&](size_t i, size_t j) {
    return std::hypot(plane[i][0] - plane[j][0], plane[i][1] - plane[j][1]);
  };
  double x = 0, y = 0;
  for (size_t i = 0; i < kCount; i++) {
    x += plane[i][0], y += plane[i][1];
    std::vector<size_t> order;
    for (size_t j = 0; j < kCount; j++)
      if (j != i) order.push_back(j);
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return distance(i, a) < distance(i, b); });
    // All of its cluster are nearer than any other.
    for (size_t k = 0; k < kEach - 1; k++) CHECK(order[k] % kClusters == i % kClusters);
  }
  CHECK(std::abs(x) + std::abs(y) < 1e-9);
  // Few and equal items.
  CHECK(tsne({}, 0).empty());
  CHECK(tsne({0}, 1) == std::vector<std::array<double, 2>>{{0, 0}});
  for (const size_t n : {2, 3, 5})
    for (const auto& point : tsne(std::vector<float>(n * n), n)) CHECK(std::isfinite(point[0] + point[1]));
}

TEST_CASE("the sample for the map has all of the coloured identities, and others") {
  std::vector<ImageRecord> images;
  for (int i = 0; i < 100; i++) images.push_back(image("x", i % 10, 1, false));
  const auto all = map_sample(images, {3}, 100);
  REQUIRE(all.size() == 100);
  CHECK(std::is_sorted(all.begin(), all.end()));
  const auto some = map_sample(images, {3, 4}, 30);
  REQUIRE(some.size() == 30);
  CHECK(std::adjacent_find(some.begin(), some.end()) == some.end());
  CHECK(std::count_if(some.begin(), some.end(), [&](size_t i) { return i % 10 == 3 || i % 10 == 4; }) == 20);
  CHECK(map_sample(images, {3, 4}, 30) == some);
}

TEST_CASE("escaping, data and numbers in HTML") {
  CHECK(escape("<script>alert(\"a\" & 'b')</script>") ==
        "&lt;script&gt;alert(&quot;a&quot; &amp; &#39;b&#39;)&lt;/script&gt;");
  CHECK(escape("a\nb\x1b\xff") == "a\\nb\\x1b\\xff");
  CHECK(data_uri("image/png", "") == "data:image/png;base64,");
  CHECK(data_uri("x/y", "M") == "data:x/y;base64,TQ==");
  CHECK(data_uri("x/y", "Ma") == "data:x/y;base64,TWE=");
  CHECK(data_uri("x/y", "Man") == "data:x/y;base64,TWFu");
  CHECK(data_uri("x/y", "\xff\xfe\xfd\xfc") == "data:x/y;base64,//79/A==");
  CHECK(shown_number(NAN, 2) == "–");
  CHECK(shown_number(1.005, 1) == "1.0");
}

TEST_CASE("charts") {
  CHECK(round_ticks(0, 100, 5) == std::vector<double>{0, 20, 40, 60, 80, 100});
  CHECK(round_ticks(3, 17, 5) == std::vector<double>{5, 10, 15});
  const std::vector<double> small = round_ticks(0, 0.009, 5);
  CHECK(small.size() >= 4);
  CHECK(small[1] == doctest::Approx(0.002));
  // Names are escaped, a NaN interrupts the line, an infinite value is left out.
  Series series{"<b>", 1, {{1, 2}, {2, NAN}, {3, 4}, {4, INFINITY}}, {0}};
  const std::string chart = line_chart({"a < b", "x", {series}});
  CHECK(has(chart, "a &lt; b"));
  CHECK(has(chart, "&lt;b&gt;"));
  CHECK(!has(chart, "<b>"));
  CHECK(!has(chart, "nan"));
  CHECK(!has(chart, "inf"));
  const size_t path = chart.find("<path class=\"line c1\" d=\"");
  REQUIRE(path != chart.npos);
  const std::string d = chart.substr(path, chart.find("/>", path) - path);
  CHECK(std::count(d.begin(), d.end(), 'M') == 2);
  for (const bool log_y : {false, true}) {  // no points, one point, equal points
    CHECK(!has(line_chart({"t", "x", {}, log_y}), "nan"));
    CHECK(!has(line_chart({"t", "x", {{"a", 0, {{1, 1}}, {}}}, log_y}), "nan"));
    CHECK(!has(line_chart({"t", "x", {{"a", 0, {{1, 0}, {2, 0}}, {}}}, log_y}), "nan"));
  }
  CHECK(!has(scatter_chart("t", "a", {{1, 1, 0, true, "one"}}), "nan"));
  CHECK(!has(histogram_chart("t", PairCounter(0, 1).histogram(4), NAN), "nan"));
}

TEST_CASE("the paper's numbers stand beside its own data sets alone") {
  const std::string infrared = words_of(Direction::InfraredToVisible), visible = words_of(Direction::VisibleToInfrared);
  CHECK(published("sysu", infrared, {"all", "single"}, 3803)->rank1 == 70.58);
  CHECK(published("sysu", infrared, {"indoor", "multi"}, 3803)->mAP == 75.11);
  CHECK(published("regdb", visible, {"all", "all"}, 2060)->rank1 == 83.70);
  CHECK(published("regdb", infrared, {"all", "all"}, 2060)->mAP == 80.70);
  CHECK(!published("sysu", infrared, {"all", "single"}, 340));
  CHECK(!published("agw", infrared, {"all", "single"}, 3803));
  CHECK(!published("csv", infrared, {"all", "all"}, 3803));
}

TEST_CASE("persons and colours of pattern maps") {
  std::vector<ImageRecord> images = {image("b1", 1, 1, false), image("a1", 1, 2, false), image("c1", 1, 3, true),
                                     image("b2", 2, 1, false), image("b3", 3, 1, false), image("c3", 3, 3, true),
                                     image("c4", 4, 3, true),  image("b5", 5, 1, false), image("a5", 5, 3, true)};
  const auto persons = chosen_persons(images, 2);  // of 1, 3 and 5
  REQUIRE(persons.size() == 2);
  CHECK(persons[0].first.path == "a1");
  CHECK(persons[0].second.path == "c1");
  CHECK(persons[1].first.identity == 3);
  CHECK(chosen_persons(images, 9).size() == 3);
  double before = -1;
  for (int i = 0; i <= 20; i++) {
    const auto color = map_color(i / 20.0);
    const double luminance = 0.2126 * color[0] + 0.7152 * color[1] + 0.0722 * color[2];
    CHECK(luminance > before);
    before = luminance;
  }
  CHECK(map_color(-1) == map_color(0));
  CHECK(map_color(2) == map_color(1));
}

TEST_CASE("curves of a log") {
  const TemporaryFolder folder;
  const std::string log = folder / "log.jsonl";
  const std::string lines =
      R"({"kind":"step","step":1,"epoch":1,"batch":1,"batches":4,"lr":0.1,"losses":{"ce":3,"total":4},"images_per_second":10})"
      "\n"
      R"({"kind":"step","step":4,"epoch":1,"batch":4,"batches":4,"lr":0.1,"losses":{"ce":null,"total":2},"images_per_second":30})"
      "\n"
      R"({"kind":"epoch","step":4,"epoch":1,"batches":4,"lr":0.1,"losses":{"ce":2,"total":3}})"
      "\n"
      R"({"kind":"evaluation","step":4,"epoch":1,"best":true,"results":[{"rank1":50,"mAP":25.5},{"rank1":1,"mAP":1}]})"
      "\n";
  write_file(log, lines + R"({"kind":"step","st)");
  const RunCurves curves = read_curves(log);
  REQUIRE(curves.steps.size() == 2);
  CHECK(curves.steps[0].first == "total");
  CHECK(curves.steps[0].second == CurvePoints{{0.25, 4}, {1, 2}});
  CHECK(std::isnan(curves.steps[1].second[1].second));
  CHECK(curves.epochs[1].second == CurvePoints{{1, 2}});
  CHECK(curves.learning_rate == CurvePoints{{1, 0.1}});
  CHECK(curves.rank1 == CurvePoints{{1, 50}});
  CHECK(curves.mAP == CurvePoints{{1, 25.5}});
  CHECK(curves.best == std::vector<size_t>{0});
  CHECK(curves.images_per_second == 30);
  CHECK(curves.last_step == 4);
  const auto refused = [&](const std::string& line, const std::string& words) {
    write_file(log, lines + line + "\n");
    std::string message;
    try {
      read_curves(log);
    } catch (const UserError& error) {
      message = error.what();
    }
    CHECK_MESSAGE(has(message, "line 5"), message);
    CHECK_MESSAGE(has(message, words), message);
  };
  refused("{", "line 5");
  refused("[]", "object");
  refused(R"({"kind":"epoch","step":4,"epoch":0,"lr":0.1,"losses":{}})", "epoch");
  refused(R"({"kind":"evaluation","step":4,"epoch":1,"best":true,"results":[]})", "results");
  refused(R"({"kind":"evaluation","step":4,"epoch":1,"best":true,"results":[{"rank1":101,"mAP":1}]})",
          "results[0].rank1");
}

TEST_CASE("configurations of repetitions, and keys in one list") {
  RunRecord a, b;
  CHECK(!repeats(a, b));  // the same run
  b.config.seed = 2;
  CHECK(repeats(a, b));
  b.config.split = 3;
  CHECK(repeats(a, b));
  b.config.lr = 1;
  CHECK(!repeats(a, b));
  b.config.lr = a.config.lr;
  b.curves.learning_rate.emplace_back(1, 1);
  CHECK(!repeats(a, b));
  using Values = std::vector<std::pair<std::string, std::string>>;
  CHECK(flattened(nlohmann::ordered_json::parse(R"({"b":{"c":1,"a":[1,2]},"a":"x","n":null})")) ==
        Values{{"b.c", "1"}, {"b.a", "[1,2]"}, {"a", "x"}, {"n", "–"}});
}
