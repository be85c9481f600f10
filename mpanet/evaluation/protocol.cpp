#include "mpanet/evaluation/protocol.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "data/sets/sysu.h"

namespace mpanet {
namespace {

bool skips_same_location(Sighting query, Sighting gallery) { return query.camera == 3 && gallery.camera == 2; }

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

struct Known {
  const char* name;
  DatasetKind data;
  bool both_directions;
};
constexpr Known kProtocols[] = {{"sysu", DatasetKind::Sysu, false}, {"agw", DatasetKind::Sysu, false}};

const Known& find_protocol(std::string_view name) {
  std::string names;
  for (const Known& known : kProtocols) {
    if (known.name == name) return known;
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  }
  fail("unknown protocol '{}', expected one of: {}", name, names);
}

// The directions that are asked for, in the order in which results are printed.
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

bool has_folder(const std::string& root, const std::string& name) {
  std::error_code error;
  return std::filesystem::is_directory(std::filesystem::path(root) / name, error);
}

// SYSU-MM01's test images: those on disk; where no camera's folder is there, those that are listed elsewhere.
std::vector<ImageRecord> sysu_test(const ProtocolOptions& options) {
  bool on_disk = false;
  for (int camera = 1; camera <= kSysuCameras; camera++)
    on_disk = on_disk || has_folder(options.root, fmt::format("cam{}", camera));
  if (on_disk || !options.listed) return read_dataset(DatasetKind::Sysu, options.root, Split::Test).test;
  const std::vector<int> ids = read_sysu_test_ids(options.root);
  const std::set<int> wanted(ids.begin(), ids.end());
  std::vector<ImageRecord> images = options.listed();
  std::erase_if(images, [&](const ImageRecord& image) { return !wanted.count(image.identity); });
  std::sort(images.begin(), images.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return images;
}

}  // namespace

const char* name_of(Direction direction) {
  return direction == Direction::InfraredToVisible ? "infrared-to-visible" : "visible-to-infrared";
}
const char* words_of(Direction direction) {
  return direction == Direction::InfraredToVisible ? "infrared queries, visible gallery"
                                                   : "visible queries, infrared gallery";
}

DatasetKind dataset_of(std::string_view protocol) { return find_protocol(protocol).data; }

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

std::vector<EvaluationPlan> plan_evaluations(const ProtocolOptions& options) {
  const Known& protocol = find_protocol(options.protocol);
  chosen_directions(protocol, options.direction);
  if (options.protocol == "agw") return {plan_agw(sysu_test(options), options.filter)};
  const std::vector<int> test_ids = read_sysu_test_ids(options.root);
  return {plan_sysu(test_ids, read_trial_file(find_trial_file(options.root, options.trial_file)), options.filter)};
}

EvaluationPlan plan_evaluation(std::string_view protocol, const std::string& root, const std::string& trial_file,
                               const SettingFilter& filter) {
  ProtocolOptions options;
  options.protocol = protocol;
  options.root = root;
  options.trial_file = trial_file;
  options.filter = filter;
  return std::move(plan_evaluations(options).front());
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
