#include "mpanet/evaluation/plan.h"

#include <unordered_set>

#include "core/base/error.h"
#include "core/base/quote.h"

namespace mpanet {
namespace {

struct DistanceName {
  Distance distance;
  const char *name, *words;
};
constexpr DistanceName kDistances[] = {
    {Distance::UnitEuclidean, "euclidean-unit", "squared Euclidean, L2-normalised"},
    {Distance::Euclidean, "euclidean", "squared Euclidean, not normalised"},
    {Distance::Cosine, "cosine", "minus the dot product, L2-normalised"},
};

const DistanceName& entry_of(Distance distance) {
  for (const auto& entry : kDistances)
    if (entry.distance == distance) return entry;
  throw CheckError("unknown distance");
}

}  // namespace

const char* name_of(Distance distance) { return entry_of(distance).name; }
const char* words_of(Distance distance) { return entry_of(distance).words; }

Distance parse_distance(std::string_view name) {
  for (const auto& entry : kDistances)
    if (entry.name == name) return entry.distance;
  fail("distance: expected euclidean-unit, euclidean or cosine, got {}", quote(name));
}

CmcUnit parse_cmc(std::string_view name) {
  if (name != "identities" && name != "images") fail("cmc: expected identities or images, got {}", quote(name));
  return name == "images" ? CmcUnit::Images : CmcUnit::Identities;
}

std::vector<ImageRecord> images_of(const std::vector<EvaluationPlan>& plans) {
  std::vector<ImageRecord> images;
  std::unordered_set<std::string_view> known;
  for (const EvaluationPlan& plan : plans)
    for (const auto* list : {&plan.queries, &plan.gallery})
      for (const ImageRecord& image : *list)
        if (known.insert(image.path).second) images.push_back(image);
  return images;
}

}  // namespace mpanet
