#include "mpanet/evaluation/protocol.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <set>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/base/text.h"
#include "data/sets/llcm.h"
#include "data/sets/sysu.h"
#include "mpanet/evaluation/sysu_settings.h"

namespace mpanet {
namespace {

struct Known {
  const char* name;
  DatasetKind data;
  bool both_directions;
};
constexpr Known kProtocols[] = {
    {"sysu", DatasetKind::Sysu, false}, {"agw", DatasetKind::Sysu, false},          {"regdb", DatasetKind::RegDb, true},
    {"llcm", DatasetKind::Llcm, true},  {"llcm-released", DatasetKind::Llcm, true}, {"csv", DatasetKind::Csv, true},
};

const Known& find_protocol(std::string_view name) {
  std::string names;
  for (const Known& known : kProtocols) {
    if (known.name == name) return known;
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  }
  fail("unknown protocol '{}', expected one of: {}", name, names);
}

// The requested directions, in the order in which results are printed.
std::vector<Direction> chosen_directions(const Known& protocol, const std::string& wanted) {
  std::vector<Direction> chosen;
  for (const Direction direction : {Direction::InfraredToVisible, Direction::VisibleToInfrared})
    if (wanted.empty() || wanted == name_of(direction)) chosen.push_back(direction);
  if (chosen.empty()) fail("direction: expected infrared-to-visible or visible-to-infrared, got {}", quote(wanted));
  if (!protocol.both_directions) {
    if (chosen.front() != Direction::InfraredToVisible)
      fail("direction: protocol {} has infrared-to-visible alone, got {}", protocol.name, wanted);
    chosen.resize(1);
  }
  return chosen;
}

void check_belongs(const ProtocolOptions& options) {
  const std::string& name = options.protocol;
  const auto only = [&](bool given, const char* what, std::initializer_list<std::string_view> protocols) {
    if (given && std::find(protocols.begin(), protocols.end(), name) == protocols.end())
      fail("{}: protocol {} has none", what, name);
  };
  only(!options.filter.mode.empty(), "mode", {"sysu", "agw"});
  only(!options.filter.shots.empty(), "shots", {"sysu", "agw"});
  only(!options.trial_file.empty(), "trial file", {"sysu"});
  only(options.split != 0, "split", {"regdb"});
  only(options.skip_same_camera, "camera filter", {"csv"});
  only(options.single_shot, "single-shot trials", {"csv"});
  if (options.split < 0 || options.split > kRegDbSplits)
    fail("split: expected 1..{}, got {}", kRegDbSplits, options.split);
}

// Whether any folder with test pictures exists.
bool has_pictures(DatasetKind kind, const std::string& root) {
  std::vector<std::string> folders = {"test_vis", "test_nir"};
  if (kind == DatasetKind::Sysu) {
    folders.clear();
    for (int camera = 1; camera <= kSysuCameras; camera++) folders.push_back(fmt::format("cam{}", camera));
  }
  return std::any_of(folders.begin(), folders.end(), [&](const std::string& folder) {
    std::error_code error;
    return std::filesystem::is_directory(std::filesystem::path(root) / folder, error);
  });
}

// The test images of the data set; if it has no folder of pictures, those of options.listed().
Dataset test_images(const Known& protocol, const ProtocolOptions& options) {
  const bool by_folder = protocol.data == DatasetKind::Sysu || protocol.data == DatasetKind::Llcm;
  if (!by_folder || !options.listed || has_pictures(protocol.data, options.root))
    return read_dataset(protocol.data, options.root, Split::Test, std::max(options.split, 1));
  const std::vector<int> ids =
      protocol.data == DatasetKind::Sysu ? read_sysu_test_ids(options.root) : read_llcm_test_ids(options.root);
  const std::set<int> wanted(ids.begin(), ids.end());
  Dataset data;
  data.root = options.root;
  data.test = options.listed();
  std::erase_if(data.test, [&](const ImageRecord& image) { return !wanted.count(image.identity); });
  std::sort(data.test.begin(), data.test.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return data;
}

// A path without the ending of its name.
std::string_view stem(std::string_view path) {
  const size_t dot = path.rfind('.');
  return dot == path.npos || path.find('/', dot) != path.npos ? path : path.substr(0, dot);
}

struct Missing {
  size_t count = 0;
  std::string first;  // by ascending path
};

// Gives the plan's images the names that they have in `present`, and returns those that are not there.
Missing take_names(EvaluationPlan& plan, const std::vector<ImageRecord>& present) {
  std::unordered_map<std::string_view, const ImageRecord*> known;
  for (const ImageRecord& image : present) {
    const ImageRecord*& named = known[stem(image.path)];
    if (named == nullptr || image.path.ends_with(".jpg")) named = &image;  // the trial file's own ending comes first
  }
  Missing missing;
  for (auto* images : {&plan.queries, &plan.gallery})
    for (ImageRecord& image : *images) {
      const auto found = known.find(stem(image.path));
      if (found != known.end())
        image.path = found->second->path;
      else if (missing.count++ == 0 || image.path < missing.first)
        missing.first = image.path;
    }
  return missing;
}

PlannedEvaluation plan_official_sysu(const ProtocolOptions& options) {
  PlannedEvaluation planned;
  const std::vector<int> ids = read_sysu_test_ids(options.root);
  EvaluationPlan plan =
      plan_sysu(ids, read_trial_file(find_trial_file(options.root, options.trial_file)), options.filter);
  planned.data.root = options.root;
  if (options.listed) {
    take_names(plan, options.listed());
  } else if (has_pictures(DatasetKind::Sysu, options.root)) {
    Dataset data = read_dataset(DatasetKind::Sysu, options.root, Split::Test);
    planned.data.notes = std::move(data.notes);
    if (const size_t others = match_images(plan, data.test); others > 0)
      planned.notes.push_back(fmt::format("{} not in the trial file or in no camera of the protocol",
                                          counted(others, "test picture is", "test pictures are")));
  }
  planned.plans.push_back(std::move(plan));
  return planned;
}

}  // namespace

DatasetKind dataset_of(std::string_view protocol) { return find_protocol(protocol).data; }

const char* name_of(Direction direction) {
  return direction == Direction::InfraredToVisible ? "infrared-to-visible" : "visible-to-infrared";
}
const char* words_of(Direction direction) {
  return direction == Direction::InfraredToVisible ? "infrared queries, visible gallery"
                                                   : "visible queries, infrared gallery";
}

EvaluationPlan plan_sysu(const std::vector<int>& test_ids, const TrialFile& trials, const SettingFilter& filter) {
  EvaluationPlan plan;
  plan.protocol = "sysu";
  plan.direction = words_of(Direction::InfraredToVisible);
  plan.settings = chosen_settings(filter);
  plan.trials = kSysuTrials;
  plan.skips = skips_same_location;
  plan.gallery_neighbours = false;
  std::map<std::string, size_t> position;  // in the gallery, by path
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

PlannedEvaluation plan_evaluations(const ProtocolOptions& options) {
  const Known& protocol = find_protocol(options.protocol);
  check_belongs(options);
  const std::vector<Direction> directions = chosen_directions(protocol, options.direction);
  PlannedEvaluation planned;
  if (options.protocol == "sysu") return plan_official_sysu(options);
  Dataset data = test_images(protocol, options);
  planned.data.root = data.root;
  planned.data.notes = std::move(data.notes);
  if (options.protocol == "agw") {
    planned.plans = {plan_agw(data.test, options.filter)};
  } else if (options.protocol == "csv" && options.direction.empty()) {
    planned.plans = {plan_csv(data.test, {std::nullopt, options.skip_same_camera, options.single_shot})};
  } else {
    for (const Direction direction : directions)
      planned.plans.push_back(options.protocol == "regdb" ? plan_regdb(data.test, direction)
                              : options.protocol == "csv"
                                  ? plan_csv(data.test, {direction, options.skip_same_camera, options.single_shot})
                                  : plan_llcm(data.test, direction, options.protocol == "llcm-released"));
  }
  for (EvaluationPlan& plan : planned.plans)
    if (splits_of(protocol.data) > 1) plan.split = std::max(options.split, 1);
  return planned;
}

size_t match_images(EvaluationPlan& plan, const std::vector<ImageRecord>& present) {
  const Missing missing = take_names(plan, present);
  const size_t needed = plan.queries.size() + plan.gallery.size();
  if (missing.count > 0)
    fail("{}: no such picture, but the trial file lists it ({} of the {} that the protocol needs are missing)",
         missing.first, missing.count, needed);
  return present.size() - needed;
}

}  // namespace mpanet
