#include "mpanet/evaluation/calibration.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/base/error.h"
#include "core/base/number.h"
#include "core/base/progress.h"
#include "core/base/random.h"
#include "core/base/text.h"
#include "data/sets/text_list.h"
#include "mpanet/evaluation/evaluate.h"
#include "mpanet/evaluation/pair_distances.h"

namespace mpanet {
namespace {

constexpr size_t kFewest = 2;  // identities that have pairs of different persons

bool contains(const std::vector<int>& sorted, int identity) {
  return std::binary_search(sorted.begin(), sorted.end(), identity);
}

// Removes images, and their bits in `marks` unless that is empty.
template <class Keep>
void keep_images(std::vector<ImageRecord>& images, std::vector<uint64_t>& marks, const Keep& keep) {
  size_t kept = 0;
  for (size_t i = 0; i < images.size(); i++) {
    if (!keep(images[i])) continue;
    if (!marks.empty()) marks[kept] = marks[i];
    if (kept != i) images[kept] = std::move(images[i]);
    kept++;
  }
  images.resize(kept);
  if (!marks.empty()) marks.resize(kept);
}

void keep_identities(std::vector<EvaluationPlan>& plans, const std::vector<int>& identities, bool inside) {
  const auto keep = [&](const ImageRecord& image) { return contains(identities, image.identity) == inside; };
  for (EvaluationPlan& plan : plans) {
    keep_images(plan.queries, plan.asked, keep);
    keep_images(plan.gallery, plan.drawn, keep);
    if (plan.queries.empty() || plan.gallery.empty())
      fail("calibration: the {} have no {}: {}", inside ? "identities to calibrate on" : "identities that are left",
           plan.queries.empty() ? "query" : "gallery image", plan.direction);
  }
}

void check_count(const std::string& where, size_t chosen, size_t all) {
  if (chosen < kFewest)
    fail("{}: expected at least {} identities to calibrate on, got {} of {}", where, kFewest, chosen, all);
  if (chosen >= all) fail("{}: expected identities that are left for the result, got all {}", where, all);
}

struct Pairs {
  std::vector<float> same, different;
};

// Distances of the pairs of one plan.
void add_pairs(const EvaluationPlan& plan, const Embeddings& embeddings, Pairs& pairs) {
  visit_distances(plan, embeddings, [&](size_t q, std::span<const float> distances) {
    const ImageRecord& query = plan.queries[q];
    for (size_t g = 0; g < plan.gallery.size(); g++) {
      const ImageRecord& image = plan.gallery[g];
      if ((plan.drawn[g] & plan.asked_in(q)) == 0 || image.infrared == query.infrared) continue;
      if (plan.skips && plan.skips({query.identity, query.camera}, {image.identity, image.camera})) continue;
      (image.identity == query.identity ? pairs.same : pairs.different).push_back(distances[g]);
    }
  });
}

}  // namespace

const LogisticCurve* Calibration::curve(Distance distance, int of_height, int of_width, bool of_flip) const {
  const auto found = curves.find(distance);
  const bool same = of_height == height && of_width == width && of_flip == flip;
  return same && found != curves.end() ? &found->second : nullptr;
}

std::vector<int> identities_of(const std::vector<EvaluationPlan>& plans) {
  std::set<int> identities;
  for (const EvaluationPlan& plan : plans)
    for (const auto* list : {&plan.queries, &plan.gallery})
      for (const ImageRecord& image : *list) identities.insert(image.identity);
  return {identities.begin(), identities.end()};
}

std::vector<int> draw_identities(const std::vector<int>& all, double share, uint64_t seed) {
  std::vector<int> drawn = all;
  Random random(seed, Purpose::Chance, 4, 0);  // the report uses the epochs up to 3
  random.shuffle(drawn);
  const double wanted = std::round(share * static_cast<double>(all.size()));
  drawn.resize(std::min(all.size(), std::max(kFewest, static_cast<size_t>(wanted))));
  check_count("--calibrate-share", drawn.size(), all.size());
  std::sort(drawn.begin(), drawn.end());
  return drawn;
}

std::vector<int> read_identities(const std::string& path, const std::vector<int>& all) {
  const std::string text = read_list_text(path);
  std::set<int> identities;
  for (const Line& line : lines_of(text)) {
    std::string_view rest = line.text;
    if (rest.ends_with(',')) rest.remove_suffix(1);
    for (bool more = true; more;) {
      const size_t comma = rest.find(',');
      more = comma != rest.npos;
      const std::string_view word = trimmed(rest.substr(0, comma));
      const auto identity = parse_whole<int>(word);
      const std::string where = at_line(path, line.number);
      if (!identity) fail("{}: expected comma-separated identities, got {}", where, quote(word));
      if (!contains(all, *identity)) fail("{}: identity {} is not in the test set", where, *identity);
      if (!identities.insert(*identity).second) fail("{}: identity {} stands twice", where, *identity);
      if (more) rest.remove_prefix(comma + 1);
    }
  }
  check_count(path, identities.size(), all.size());
  return {identities.begin(), identities.end()};
}

std::vector<EvaluationPlan> plans_of(std::vector<EvaluationPlan> plans, const std::vector<int>& identities) {
  keep_identities(plans, identities, true);
  return plans;
}

std::vector<EvaluationPlan> plans_without(std::vector<EvaluationPlan> plans, const std::vector<int>& identities) {
  keep_identities(plans, identities, false);
  return plans;
}

Calibration calibrate(const std::vector<EvaluationPlan>& plans, const std::vector<ImageRecord>& images,
                      const Embeddings& embeddings) {
  Calibration calibration;
  calibration.protocol = plans.front().protocol;
  calibration.split = plans.front().split;
  calibration.identities = identities_of(plans);
  for (const Distance distance : kCalibrated) {
    Pairs pairs;
    for (EvaluationPlan plan : plans) {
      plan.distance = distance;
      add_pairs(plan, embeddings_of(plan, images, embeddings), pairs);
    }
    calibration.same_pairs = pairs.same.size();
    calibration.different_pairs = pairs.different.size();
    const LogisticCurve curve = fit_logistic(pairs.same, pairs.different);
    if (curve.slope < 0) calibration.curves[distance] = curve;
  }
  if (!calibration.curves.contains(plans.front().distance))
    fail("calibration: the distances of {} of the same person are not below those of {} of different persons",
         counted(calibration.same_pairs, "pair"), counted(calibration.different_pairs, "pair"));
  return calibration;
}

}  // namespace mpanet
