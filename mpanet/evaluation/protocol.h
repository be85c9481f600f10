// Evaluation protocols: the queries, the gallery, and the part of the gallery that each trial draws (docs/method.md,
// section 5). A protocol becomes an EvaluationPlan, plain values that ranking.h works on without knowing a data set. A
// new protocol needs a new planning function here and no change elsewhere.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/sets/dataset.h"
#include "data/sets/matfile.h"

namespace mpanet {

// One line of a result table: a kind of gallery, drawn in every trial.
struct Setting {
  std::string mode;   // "all" or "indoor"
  std::string shots;  // "single" or "multi"
  bool operator==(const Setting&) const = default;
};

struct EvaluationPlan {
  std::string protocol;              // "sysu"
  std::string direction;             // for people: "infrared queries, visible gallery"
  std::vector<ImageRecord> queries;  // by ascending path
  std::vector<ImageRecord> gallery;  // every image that a trial may draw, by ascending path; ties rank in this order
  std::vector<Setting> settings;     // at least one; settings.size() * trials <= 64
  int trials = 0;                    // per setting
  std::vector<uint64_t> drawn;       // per gallery image: bit (setting * trials + trial) is set when the trial draws it
  // Returns true when a query of the one camera ignores gallery images of the other. Null: no query ignores any.
  bool (*skips)(int query_camera, int gallery_camera) = nullptr;
};

// Restricts a protocol to one mode or one kind of shots. An empty text restricts nothing.
struct SettingFilter {
  std::string mode, shots;
};

// SYSU-MM01 (docs/method.md, section 5). The images are those that the trial file lists for `test_ids`; the disk is not
// read. All infrared ones are queries. The gallery has visible images of cameras 1, 2, 4, 5 (all search) or 1, 2
// (indoor search): the first 1 (single shot) or 10 (multi shot) of each identity and camera in the trial's permutation.
// Queries of camera 3 ignore camera 2, which has the same location. UserError when there is no query or no gallery
// image.
EvaluationPlan plan_sysu(const std::vector<int>& test_ids, const TrialFile& trials, const SettingFilter& filter = {});

// Plans a protocol by name ("sysu") for the data set in `root`. Reads exp/ and the trial file, which is searched in the
// data set when `trial_file` is empty. UserError for an unknown name (it lists the known ones) and for a bad file.
EvaluationPlan plan_evaluation(std::string_view protocol, const std::string& root, const std::string& trial_file = "",
                               const SettingFilter& filter = {});

// UserError when images of the plan are missing from `on_disk`: it names the first by ascending path and their number.
// Returns how many test images on disk are not in the plan. The evaluation ignores those.
size_t check_images(const EvaluationPlan& plan, const std::vector<ImageRecord>& on_disk);

}  // namespace mpanet
