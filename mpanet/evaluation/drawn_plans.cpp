// The protocols without a trial file.
#include <algorithm>
#include <map>
#include <utility>

#include "core/base/error.h"
#include "mpanet/evaluation/protocol.h"
#include "mpanet/evaluation/python_random.h"
#include "mpanet/evaluation/sysu_settings.h"

namespace mpanet {
namespace {

constexpr int kTrials = 10;

// Indices of images by identity, then camera, each list by ascending path.
using Groups = std::map<std::pair<int, int>, std::vector<size_t>>;

Groups groups_of(const std::vector<ImageRecord>& images) {
  Groups groups;
  for (size_t i = 0; i < images.size(); i++) groups[{images[i].identity, images[i].camera}].push_back(i);
  for (auto& [key, group] : groups)
    std::sort(group.begin(), group.end(), [&](size_t a, size_t b) { return images[a].path < images[b].path; });
  return groups;
}

// Sets the bits of one setting: one image of each group whose camera is in the setting, drawn again in every trial.
void draw(const std::vector<ImageRecord>& images, int first_column, const Setting& setting,
          std::vector<uint64_t>& masks) {
  const Groups groups = groups_of(images);
  masks.resize(images.size());
  for (int trial = 0; trial < kTrials; trial++) {
    PythonRandom random(trial);
    for (const auto& [key, group] : groups)
      if (takes_part(setting, key.second))
        masks[group[random.below(static_cast<uint32_t>(group.size()))]] |= uint64_t{1} << (first_column + trial);
  }
}

// Removes images that no trial uses.
void keep_taken(std::vector<ImageRecord>& images, std::vector<uint64_t>& masks) {
  std::vector<ImageRecord> taken;
  for (size_t i = 0; i < images.size(); i++)
    if (masks[i]) taken.push_back(std::move(images[i]));
  images = std::move(taken);
  std::erase(masks, uint64_t{0});
}

bool skips_same_camera(Sighting query, Sighting gallery) {
  return query.identity == gallery.identity && query.camera == gallery.camera;
}

void check_sides(const EvaluationPlan& plan, const char* queries, const char* gallery) {
  if (plan.queries.empty())
    fail("protocol {}: the test set has no {} picture: nothing to query with", plan.protocol, queries);
  if (plan.gallery.empty())
    fail("protocol {}: the test set has no {} picture: the gallery is empty", plan.protocol, gallery);
}

// A plan with one modality as queries and the other as gallery.
EvaluationPlan plan_of(const char* protocol, const std::vector<ImageRecord>& test, Direction direction) {
  EvaluationPlan plan;
  plan.protocol = protocol;
  plan.direction = words_of(direction);
  const bool asks_infrared = direction == Direction::InfraredToVisible;
  for (const ImageRecord& image : test)
    (image.infrared == asks_infrared ? plan.queries : plan.gallery).push_back(image);
  check_sides(plan, asks_infrared ? "infrared" : "visible", asks_infrared ? "visible" : "infrared");
  return plan;
}

}  // namespace

EvaluationPlan plan_agw(const std::vector<ImageRecord>& test, const SettingFilter& filter) {
  if (filter.shots == "multi") fail("shots: protocol agw has single shot alone, got multi");
  const std::vector<Setting> settings = chosen_settings({filter.mode, filter.shots.empty() ? "single" : filter.shots});
  EvaluationPlan plan = plan_of("agw", test, Direction::InfraredToVisible);
  plan.trials = kTrials;
  plan.skips = skips_same_location;
  plan.distance = Distance::Cosine;
  plan.gallery_neighbours = false;
  plan.settings = settings;
  for (size_t s = 0; s < settings.size(); s++)
    draw(plan.gallery, static_cast<int>(s) * kTrials, settings[s], plan.drawn);
  keep_taken(plan.gallery, plan.drawn);
  check_sides(plan, "infrared", "visible");
  return plan;
}

EvaluationPlan plan_regdb(const std::vector<ImageRecord>& test, Direction direction) {
  EvaluationPlan plan = plan_of("regdb", test, direction);
  plan.settings = {{"all", "all"}};
  plan.trials = 1;
  plan.drawn.assign(plan.gallery.size(), 1);
  plan.distance = Distance::Euclidean;
  return plan;
}

EvaluationPlan plan_llcm(const std::vector<ImageRecord>& test, Direction direction, bool released) {
  EvaluationPlan plan = plan_of(released ? "llcm-released" : "llcm", test, direction);
  plan.settings = {{"all", "single"}};
  plan.trials = kTrials;
  plan.skips = skips_same_camera;
  plan.distance = Distance::Cosine;
  if (released && direction == Direction::VisibleToInfrared) {
    // The released script swaps the roles here.
    std::swap(plan.queries, plan.gallery);
    plan.settings = {{"all", "all"}};
    plan.direction = "infrared queries drawn in each trial, the gallery all visible (named visible to infrared)";
    draw(plan.queries, 0, plan.settings[0], plan.asked);
    keep_taken(plan.queries, plan.asked);
    plan.drawn.assign(plan.gallery.size(), (uint64_t{1} << kTrials) - 1);
  } else {
    draw(plan.gallery, 0, plan.settings[0], plan.drawn);
    keep_taken(plan.gallery, plan.drawn);
  }
  return plan;
}

EvaluationPlan plan_csv(const std::vector<ImageRecord>& test, const CsvOptions& options) {
  EvaluationPlan plan;
  plan.protocol = "csv";
  size_t infrared[2] = {};
  const bool asks_infrared = options.direction == Direction::InfraredToVisible;
  for (const ImageRecord& image : test) {
    if (image.role == Role::Any) continue;
    const bool asks = image.role == Role::Query;
    if (options.direction && image.infrared != (asks == asks_infrared)) continue;
    infrared[asks] += image.infrared;
    (asks ? plan.queries : plan.gallery).push_back(image);
  }
  const std::string queries = options.direction ? asks_infrared ? "infrared query" : "visible query" : "query",
                    gallery = options.direction ? asks_infrared ? "visible gallery" : "infrared gallery" : "gallery";
  check_sides(plan, queries.c_str(), gallery.c_str());
  const auto words = [](size_t count, size_t all) -> std::string {
    if (count == 0) return "visible";
    return count == all ? "infrared" : fmt::format("mixed ({} infrared, {} visible)", count, all - count);
  };
  plan.direction = fmt::format("{} queries, {} gallery", words(infrared[1], plan.queries.size()),
                               words(infrared[0], plan.gallery.size()));
  if (options.skip_same_camera) plan.skips = skips_same_camera;
  if (options.single_shot) {
    plan.settings = {{"all", "single"}};
    plan.trials = kTrials;
    draw(plan.gallery, 0, plan.settings[0], plan.drawn);
    keep_taken(plan.gallery, plan.drawn);
  } else {
    plan.settings = {{"all", "all"}};
    plan.trials = 1;
    plan.drawn.assign(plan.gallery.size(), 1);
  }
  return plan;
}

}  // namespace mpanet
