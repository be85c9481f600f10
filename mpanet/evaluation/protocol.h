// Evaluation protocols by name (docs/method.md, section 5): from a data set's test images to a plan.
//
//   sysu            SYSU-MM01's official protocol, with the trial file
//   agw             SYSU-MM01 as the AGW code base evaluates it: galleries drawn by Python's generator, no trial file
//   regdb           both directions, the whole gallery
//   llcm            both directions, galleries drawn as in agw
//   llcm-released   the same, but in the direction visible to infrared the queries are drawn and not the gallery, as in
//                   the released script
//   csv             query and gallery by the manifest
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/sets/dataset.h"
#include "data/sets/matfile.h"
#include "mpanet/evaluation/plan.h"

namespace mpanet {

// The part of a protocol to evaluate; empty: all of it.
struct SettingFilter {
  std::string mode, shots;
};

enum class Direction { InfraredToVisible, VisibleToInfrared };
// "infrared-to-visible"; in words: "infrared queries, visible gallery".
const char* name_of(Direction direction);
const char* words_of(Direction direction);

// SYSU-MM01: all infrared test images query; the gallery is visible, of cameras 1, 2, 4, 5 (all search) or 1, 2
// (indoor), the first 1 (single shot) or 10 (multi shot) images of each identity and camera in the trial's permutation.
// Camera 3's queries skip camera 2, which has the same location. The images are those that the trial file lists for
// `test_ids`; no picture is opened. UserError if there is no query or no gallery image.
EvaluationPlan plan_sysu(const std::vector<int>& test_ids, const TrialFile& trials, const SettingFilter& filter = {});

// The following functions expect test images by ascending path. UserError if there is no query or no gallery image.
//
// AGW: trial t seeds Python's generator with t, again for every mode, and draws one image of each identity and camera,
// identities and then cameras ascending, from its images by ascending path. Camera 3's queries skip camera 2. Only
// single shot.
EvaluationPlan plan_agw(const std::vector<ImageRecord>& test, const SettingFilter& filter = {});
// RegDB: all images of one modality query all of the other. Nothing is skipped; one trial.
EvaluationPlan plan_regdb(const std::vector<ImageRecord>& test, Direction direction);
// LLCM: one image of each identity and camera of the gallery's modality, drawn as in plan_agw(), ten trials; pairs of
// equal identity and equal camera are skipped. `released`: see above.
EvaluationPlan plan_llcm(const std::vector<ImageRecord>& test, Direction direction, bool released);

struct CsvOptions {
  std::optional<Direction> direction;  // without it all queries and the whole gallery, of both modalities
  bool skip_same_camera = false;       // a query ignores its identity's gallery images of its own camera
  bool single_shot = false;  // ten trials, galleries drawn as in plan_agw(); else one trial with the whole gallery
};
// A manifest: images by their role.
EvaluationPlan plan_csv(const std::vector<ImageRecord>& test, const CsvOptions& options = {});

struct ProtocolOptions {
  std::string protocol = "sysu";
  std::string root;                                    // the data set's folder, or for csv the manifest
  std::string trial_file;                              // sysu: if it is not in `root`
  SettingFilter filter;                                // sysu, agw
  std::string direction;                               // a name, or empty for all directions of the protocol
  int split = 0;                                       // regdb: 1..10; 0: the first
  bool skip_same_camera = false, single_shot = false;  // csv
  // Returns a list of images, for agw and llcm if no picture is on disk, and for sysu, whose images have the names of
  // this list then; called only if needed.
  std::function<std::vector<ImageRecord>()> listed;
};

struct PlannedEvaluation {
  std::vector<EvaluationPlan> plans;  // one per direction
  Dataset data;                       // its root and its reader's notes; the lists are empty
  std::vector<std::string> notes;     // about the pictures that the plans do not use
};

// The data set of a protocol. UserError for an unknown protocol, which lists the known ones.
DatasetKind dataset_of(std::string_view protocol);

// UserError for an unknown protocol (lists the known ones), for an option that the protocol does not have, for a
// picture that the trial file lists and that is not on disk, and for errors of reading the data set.
PlannedEvaluation plan_evaluations(const ProtocolOptions& options);

// Gives the plan's images the names that they have in `present`, which may have another ending (.JPG for .jpg).
// UserError if images of the plan are missing there: it names the first by ascending path and their number. Returns how
// many of `present` are not in the plan; the evaluation ignores those.
size_t match_images(EvaluationPlan& plan, const std::vector<ImageRecord>& present);

}  // namespace mpanet
