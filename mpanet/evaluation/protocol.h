// Evaluation protocols: who queries, who may be found, and which gallery each trial draws (docs/method.md, section 5).
// A protocol is planned once into plain values; ranking.h works on those and knows no data set. Another protocol is
// another planning function here and nothing elsewhere.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/sets/dataset.h"
#include "data/sets/matfile.h"

namespace mpanet {

// One line of a result table: a kind of gallery, drawn anew in every trial.
struct Setting {
  std::string mode;   // "all" or "indoor"
  std::string shots;  // "single" or "multi"
  bool operator==(const Setting&) const = default;
};

struct EvaluationPlan {
  std::string protocol;              // "sysu"
  std::string direction;             // in words: who queries whom
  std::vector<ImageRecord> queries;  // by ascending path
  std::vector<ImageRecord> gallery;  // every image that some trial may draw, by ascending path: ties rank in this order
  std::vector<Setting> settings;     // at least one; settings.size() * trials <= 64
  int trials = 0;                    // of every setting
  std::vector<uint64_t> drawn;       // per gallery image: bit (setting * trials + trial) says that the trial draws it
  // True: this query does not see this gallery image (same place, say). Null: every query sees every image.
  bool (*skips)(int query_camera, int gallery_camera) = nullptr;
};

// What of a protocol to evaluate; empty: all of it.
struct SettingFilter {
  std::string mode, shots;
};

// SYSU-MM01: all infrared test images query; the gallery is visible, of cameras 1, 2, 4, 5 (all search) or 1, 2
// (indoor), the first 1 (single shot) or 10 (multi shot) images of each identity and camera in the trial's permutation.
// Camera 3's queries skip camera 2, which stands in the same place. The images are those that the trial file lists for
// `test_ids`; no picture is looked for on disk. UserError when there is no query or no gallery image at all.
EvaluationPlan plan_sysu(const std::vector<int>& test_ids, const TrialFile& trials, const SettingFilter& filter = {});

// A protocol by name ("sysu") for the data set in `root`: reads exp/ and the trial file (`trial_file`, or where the
// data set keeps it). UserError that lists the known names; else what reading says.
EvaluationPlan plan_evaluation(std::string_view protocol, const std::string& root, const std::string& trial_file = "",
                               const SettingFilter& filter = {});

// UserError that names the first image of the plan missing from `on_disk` (by ascending path) and says how many are.
// Returns how many test images on disk the protocol does not know; they take no part.
size_t check_images(const EvaluationPlan& plan, const std::vector<ImageRecord>& on_disk);

}  // namespace mpanet
