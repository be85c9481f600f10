// A gallery that is read in blocks gives the same bits as one in memory; and .npy files of every supported type.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/random.h"
#include "data/sets/npy.h"
#include "mpanet/evaluation/ranking.h"
#include "mpanet/evaluation/streamed_ranking.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;

namespace {

// Queries and gallery with few identities and many equal embeddings, so that ties occur; two trials of two settings.
EvaluationPlan make_plan(uint64_t seed, int queries, int gallery, int identities) {
  EvaluationPlan plan;
  plan.settings = {{"all", "single"}, {"indoor", "single"}};
  plan.trials = 2;
  plan.more_ranks = {2, 3};
  Random random(seed, Purpose::Test, 0, 0);
  const auto image = [&](const char* name, int number) {
    const int identity = static_cast<int>(random.below(identities)), camera = 1 + static_cast<int>(random.below(4));
    return ImageRecord{fmt::format("{}{}", name, number), identity, camera, *name == 'q', -1};
  };
  for (int q = 0; q < queries; q++) {
    plan.queries.push_back(image("q", q));
    plan.asked.push_back(random.below(16));
  }
  for (int g = 0; g < gallery; g++) {
    plan.gallery.push_back(image("g", g));
    plan.drawn.push_back(random.below(16));
  }
  plan.skips = [](Sighting query, Sighting shown) {
    return query.identity == shown.identity && query.camera == shown.camera;
  };
  return plan;
}

Embeddings make_embeddings(uint64_t seed, const EvaluationPlan& plan, int dimension) {
  Random random(seed, Purpose::Test, 1, 0);
  Embeddings embeddings{dimension, {}};
  const size_t count = (plan.queries.size() + plan.gallery.size()) * dimension;
  for (size_t i = 0; i < count; i++) embeddings.values.push_back(static_cast<float>(random.below(4)) - 1.0f);
  return embeddings;
}

// Rows in another order, with two that the plan does not need.
struct Shuffled {
  EmbeddingRows source;
  std::vector<float> values;
  size_t largest_read = 0;
  Shuffled(const Embeddings& embeddings, uint64_t seed) {
    const size_t images = embeddings.values.size() / embeddings.dimension;
    std::vector<size_t> order(images + 2);
    for (size_t i = 0; i < order.size(); i++) order[i] = i;
    Random(seed, Purpose::Test, 2, 0).shuffle(order);
    source.rows = order.size();
    source.dimension = embeddings.dimension;
    source.images.resize(images);
    for (size_t row = 0; row < order.size(); row++) {
      if (order[row] < images) source.images[order[row]] = row;
      for (int d = 0; d < embeddings.dimension; d++)
        values.push_back(order[row] < images ? embeddings.row(order[row])[d] : 1000);
    }
    source.read = [this](size_t first, size_t count, float* out) {
      largest_read = std::max(largest_read, count);
      std::copy_n(values.data() + first * source.dimension, count * source.dimension, out);
    };
  }
};

void check_equal(const Metrics& a, const Metrics& b) {
  for (const auto& metric : kMetrics)
    CHECK(std::bit_cast<uint64_t>(a.*metric.value) == std::bit_cast<uint64_t>(b.*metric.value));
  CHECK(a.more.size() == b.more.size());
  for (size_t i = 0; i < a.more.size(); i++) CHECK((a.more[i] == b.more[i] || std::isnan(a.more[i])));
}

// A file of numbers: a header as NumPy writes it, then the numbers in the given order.
template <class Number>
void write_array(const std::string& path, const char* dtype, bool fortran, int version, int rows, int columns,
                 const std::vector<Number>& c_order, bool swap) {
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': ({}, {}), }}\n", dtype,
                                   fortran ? "True" : "False", rows, columns);
  std::string bytes = std::string("\x93NUMPY", 6) + static_cast<char>(version) + '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); i++) bytes += static_cast<char>(header.size() >> 8 * i & 255);
  bytes += header;
  for (int i = 0; i < rows * columns; i++) {
    const Number value = fortran ? c_order[i % rows * columns + i / rows] : c_order[i];
    char raw[sizeof(Number)];
    std::memcpy(raw, &value, sizeof value);
    if (swap) std::reverse(raw, raw + sizeof raw);
    bytes.append(raw, sizeof raw);
  }
  write_file(path, bytes);
}

}  // namespace

TEST_CASE("streamed results equal those in memory to the bit") {
  for (uint64_t seed = 1; seed <= 4; seed++)
    for (const Distance distance : {Distance::UnitEuclidean, Distance::Euclidean, Distance::Cosine})
      for (const CmcUnit cmc : {CmcUnit::Identities, CmcUnit::Images}) {
        CAPTURE(seed);
        CAPTURE(name_of(distance));
        const int identities = seed % 2 ? 5 : 40;
        EvaluationPlan plan = make_plan(seed, 37, 403, identities);
        plan.distance = distance;
        plan.cmc = cmc;
        const Embeddings embeddings = make_embeddings(seed, plan, 5);
        Shuffled shuffled(embeddings, seed);
        const auto whole = rank_embeddings(plan, embeddings);
        // Little memory: several groups of queries, gallery in several blocks. The lists take about 14,000 bytes.
        const auto streamed = rank_streamed(plan, shuffled.source, 99000);
        CHECK(shuffled.largest_read < 403);
        REQUIRE(streamed.size() == whole.size());
        for (size_t s = 0; s < whole.size(); s++)
          for (size_t t = 0; t < whole[s].trials.size(); t++) {
            check_equal(whole[s].trials[t].metrics, streamed[s].trials[t].metrics);
            CHECK(whole[s].trials[t].queries_without_match == streamed[s].trials[t].queries_without_match);
          }
      }
}

TEST_CASE("too little memory is refused in one line") {
  const EvaluationPlan plan = make_plan(1, 37, 403, 5);
  const Embeddings embeddings = make_embeddings(1, plan, 5);
  const Shuffled shuffled(embeddings, 1);
  CHECK_THROWS_WITH_AS(rank_streamed(plan, shuffled.source, 3000), doctest::Contains("--memory: "), UserError);
}

TEST_CASE("float64 beyond float32's range: row and column, or rounded where nothing is lost") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.npy";
  for (const bool fortran : {false, true}) {
    const auto read = [&](const std::vector<double>& values) {
      write_array<double>(path, "<f8", fortran, 1, 2, 3, values, false);
      return read_npy(path).values;
    };
    const auto refusal = [&](const std::vector<double>& values) { return error_of([&] { read(values); }); };
    // The largest float32, and the largest double that rounds to it.
    const double most = std::numeric_limits<float>::max();
    CHECK(read({most, 1, 2, -most, 3, 3.4028235e38}) == std::vector<float>{std::numeric_limits<float>::max(), 1, 2,
                                                                           -std::numeric_limits<float>::max(), 3,
                                                                           std::numeric_limits<float>::max()});
    CHECK(refusal({0, 1, 2, 3, 1e39, 5}) == path + ": row 1, column 1 is 1e+39, expected numbers in float32's range");
    CHECK(refusal({0, 1, -1e300, 3, 4, 5}) ==
          path + ": row 0, column 2 is -1e+300, expected numbers in float32's range");
    // Beside numbers in range a tiny one is 0 or rounded; in a row of zeros nothing is lost.
    CHECK(read({1, 1e-300, -1e-40, 0, 0, -0.0}) == std::vector<float>{1, 0, -1e-40f, 0, 0, 0});
    const std::string below = ", and no number of the row is in float32's range (from 1.1754944e-38 on)";
    CHECK(refusal({1, 2, 3, 0, 1e-60, 1e-61}) == path + ": row 1, column 1 is 1e-60" + below);
    CHECK(refusal({0, 0, -1e-39, 1, 2, 3}) == path + ": row 0, column 2 is -1e-39" + below);
    CHECK(read({0, 0, 1.1754943508222875e-38, 1, 2, 3})[2] == std::numeric_limits<float>::min());
  }
  // Numbers that are none stay what they are.
  write_array<double>(path, "<f8", false, 1, 1, 2, {HUGE_VAL, std::nan("")}, false);
  const std::vector<float> none = read_npy(path).values;
  CHECK(std::isinf(none[0]));
  CHECK(std::isnan(none[1]));
}

TEST_CASE("a header with a key twice") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.npy";
  for (const auto& [key, again] :
       {std::pair("descr", "'descr': '<f8'"), std::pair("fortran_order", "'fortran_order': True"),
        std::pair("shape", "'shape': (1,)")}) {
    const std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': (2,), {}, }}\n", again);
    write_file(path, std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header +
                         std::string(8, '\0'));
    CHECK(error_of([&] { NpyFile file(path); }) == fmt::format("{}: damaged .npy header: {} stands twice", path, key));
  }
}

TEST_CASE(".npy files of every float type, order and byte order") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.npy";
  // Exact in float16.
  const std::vector<float> values = {0.5f, -2, 1024, 0.0009765625f, -0.0f, 65504};
  const std::vector<uint16_t> halves = {0x3800, 0xc000, 0x6400, 0x1400, 0x8000, 0x7bff};
  const std::vector<double> doubles(values.begin(), values.end());
  for (const bool fortran : {false, true})
    for (const bool swap : {false, true})
      for (const int version : {1, 2, 3})
        for (const char* kind : {"f2", "f4", "f8"}) {
          CAPTURE(fortran);
          CAPTURE(swap);
          CAPTURE(kind);
          const std::string dtype = (swap ? ">" : "<") + std::string(kind);
          if (kind[1] == '2') write_array(path, dtype.c_str(), fortran, version, 3, 2, halves, swap);
          if (kind[1] == '4') write_array(path, dtype.c_str(), fortran, version, 3, 2, values, swap);
          if (kind[1] == '8') write_array(path, dtype.c_str(), fortran, version, 3, 2, doubles, swap);
          const NpyFloats array = read_npy(path);
          CHECK(array.shape == std::vector<int64_t>{3, 2});
          CHECK(array.values == values);
          float row[2];
          NpyFile(path).read_rows(1, 1, row);
          CHECK(row[0] == 1024);
          CHECK(row[1] == 0.0009765625f);
        }
  write_array(path, "<i4", false, 1, 3, 2, values, false);
  CHECK_THROWS_WITH_AS(read_npy(path), doctest::Contains("expected dtype float16, float32 or float64"), UserError);
}
