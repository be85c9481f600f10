#include "mpanet/evaluation/protocol.h"

#include <algorithm>
#include <map>

#include "core/base/error.h"
#include "data/sets/sysu.h"

namespace mpanet {
namespace {

bool skips_same_location(int query_camera, int gallery_camera) { return query_camera == 3 && gallery_camera == 2; }

bool takes_part(const Setting& setting, int camera) { return setting.mode == "all" || camera == 1 || camera == 2; }

std::vector<Setting> chosen_settings(const SettingFilter& filter) {
  const auto known = [](const std::string& value, const char* key, const std::string& a, const std::string& b) {
    if (!value.empty() && value != a && value != b) fail("{}: expected {} or {}, got '{}'", key, a, b, value);
  };
  known(filter.mode, "mode", "all", "indoor");
  known(filter.shots, "shots", "single", "multi");
  std::vector<Setting> chosen;
  for (const char* mode : {"all", "indoor"})
    for (const char* shots : {"single", "multi"})
      if ((filter.mode.empty() || filter.mode == mode) && (filter.shots.empty() || filter.shots == shots))
        chosen.push_back({mode, shots});
  return chosen;
}

}  // namespace

EvaluationPlan plan_sysu(const std::vector<int>& test_ids, const TrialFile& trials, const SettingFilter& filter) {
  EvaluationPlan plan;
  plan.protocol = "sysu";
  plan.direction = "infrared queries, visible gallery";
  plan.settings = chosen_settings(filter);
  plan.trials = kSysuTrials;
  plan.skips = skips_same_location;
  std::map<std::string, size_t> position;  // path -> index in plan.gallery
  for (const ImageRecord& image : sysu_test_images(test_ids, trials)) {
    if (!image.infrared) position[image.path] = plan.gallery.size();
    (image.infrared ? plan.queries : plan.gallery).push_back(image);
  }
  if (plan.queries.empty())
    fail("exp/test_id.txt: the trial file has no infrared image of these identities: nothing to query with");
  if (plan.gallery.empty())
    fail("exp/test_id.txt: the trial file has no visible image of these identities: the gallery is empty");

  plan.drawn.assign(plan.gallery.size(), 0);
  for (size_t s = 0; s < plan.settings.size(); s++) {
    const int shots = plan.settings[s].shots == "single" ? 1 : 10;
    for (int camera : {1, 2, 4, 5}) {
      if (!takes_part(plan.settings[s], camera)) continue;
      for (int identity : test_ids)
        for (int trial = 0; trial < kSysuTrials; trial++)
          for (int place = 0; place < std::min(shots, trials.count(camera, identity)); place++) {
            const std::string path = sysu_path(camera, identity, trials.image(trial, camera, identity, place));
            plan.drawn[position.at(path)] |= uint64_t{1} << (s * kSysuTrials + trial);
          }
    }
  }
  return plan;
}

EvaluationPlan plan_evaluation(std::string_view protocol, const std::string& root, const std::string& trial_file,
                               const SettingFilter& filter) {
  if (protocol != "sysu") fail("unknown protocol '{}', expected one of: sysu", protocol);
  const std::vector<int> test_ids = read_sysu_test_ids(root);
  return plan_sysu(test_ids, read_trial_file(find_trial_file(root, trial_file)), filter);
}

size_t check_images(const EvaluationPlan& plan, const std::vector<ImageRecord>& on_disk) {
  const auto by_path = [](const ImageRecord& a, const ImageRecord& b) { return a.path < b.path; };
  size_t missing = 0;
  std::string first;
  for (const auto* images : {&plan.queries, &plan.gallery})
    for (const ImageRecord& image : *images)
      if (!std::binary_search(on_disk.begin(), on_disk.end(), image, by_path)) {
        if (missing++ == 0 || image.path < first) first = image.path;
      }
  const size_t needed = plan.queries.size() + plan.gallery.size();
  if (missing > 0)
    fail("{}: no such picture, but the trial file lists it ({} of the {} that the protocol needs are missing)", first,
         missing, needed);
  return on_disk.size() - needed;
}

}  // namespace mpanet
