#include "data/sets/verify_sysu.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "core/base/error.h"
#include "core/base/text.h"
#include "data/sets/matfile.h"
#include "data/sets/picture_names.h"
#include "data/sets/sysu.h"
#include "data/sets/text_list.h"

namespace mpanet {
namespace fs = std::filesystem;
namespace {

struct Scan {
  std::vector<std::string> images;                                // absolute or as given, ascending
  std::map<std::pair<int, int>, std::vector<std::string>> names;  // (camera, identity) -> file names, ascending
  LeftOut left_out;
};

void scan_camera(const fs::path& root, int camera, Scan& scan, VerifyReport& report, const Problem& problem) {
  const fs::path folder = root / fmt::format("cam{}", camera);
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    report.problems++;
    return problem(fmt::format("{}: no such folder", folder.string()));
  }
  for (const std::string& person : entry_names(root.string(), folder.filename().string())) {
    if (!is_sysu_identity(person)) continue;
    if (!fs::is_directory(folder / person, ignored)) {
      report.problems++;
      problem(fmt::format("{}: expected the folder of an identity, got a file", (folder / person).string()));
      continue;
    }
    const std::string relative = fmt::format("cam{}/{}", camera, person);
    for (const std::string& name : picture_names(root.string(), relative, scan.left_out)) {
      scan.images.push_back((root / relative / name).string());
      scan.names[{camera, std::stoi(person)}].push_back(name);
      (sysu_infrared(camera) ? report.infrared : report.visible)++;
    }
  }
}

// "0002.jpg", "0002.jpg and 4 more"
std::string some_of(const std::vector<std::string>& names) {
  return names.size() == 1 ? names[0] : fmt::format("{} and {} more", names[0], names.size() - 1);
}

// Compares the images of one camera and identity with the `want` that the trial file implies: 0001.jpg, 0002.jpg, ...
// in any format. Returns a text about the differences, empty when there are none.
std::string wrong_names(const std::vector<std::string>& have, int want) {
  std::set<std::string> missing;
  for (int number = 1; number <= want; number++) missing.insert(fmt::format("{:04d}", number));
  std::vector<std::string> others, doubled;
  std::set<std::string> found;
  for (const std::string& name : have) {
    const std::string stem(picture_stem(name));
    if (!found.insert(stem).second)
      doubled.push_back(name);
    else if (missing.erase(stem) == 0)
      others.push_back(name);
  }
  if (missing.empty() && others.empty() && doubled.empty()) return "";
  std::string text = fmt::format("expected {} as in the trial file, got {}", counted(want, "image"), have.size());
  std::vector<std::string> names;
  for (const std::string& stem : missing) names.push_back(stem + ".jpg");
  if (!names.empty()) text += fmt::format("; missing: {}", some_of(names));
  if (!others.empty()) text += fmt::format("; not listed: {}", some_of(others));
  if (!doubled.empty()) text += fmt::format("; the same number twice: {}", some_of(doubled));
  return text;
}

// Compares all names with the trial file: the widths of its matrices are the numbers of images.
void compare_names(const fs::path& root, const Scan& scan, const TrialFile& trials, VerifyReport& report,
                   const Problem& problem) {
  for (int camera = 1; camera <= kSysuCameras; camera++) {
    std::set<int> identities;
    for (int identity = 1; identity <= trials.identities(camera); identity++)
      if (trials.count(camera, identity) > 0) identities.insert(identity);
    for (const auto& [key, names] : scan.names)
      if (key.first == camera) identities.insert(key.second);
    for (int identity : identities) {
      const auto found = scan.names.find({camera, identity});
      const std::vector<std::string> have = found == scan.names.end() ? std::vector<std::string>() : found->second;
      const std::string wrong = wrong_names(have, trials.count(camera, identity));
      if (wrong.empty()) continue;
      report.problems++;
      problem(fmt::format("{}: {}", (root / fmt::format("cam{}/{:04d}", camera, identity)).string(), wrong));
    }
  }
}

// The path of the trial file; empty, with a note, if there is none and none was given.
std::string trial_file_or_note(const std::string& root, const std::string& given, VerifyReport& report) {
  if (!given.empty() || has_trial_file(root)) return find_trial_file(root, given);
  report.notes.push_back(
      "there is no trial file, so names are not compared and the protocol sysu cannot be evaluated; agw needs none "
      "(mpanet-eval --protocol agw)");
  return "";
}

}  // namespace

std::vector<std::string> verify_sysu_names(const std::string& root, const std::string& trial_file, VerifyReport& report,
                                           const Problem& problem) {
  const std::vector<int> test = read_sysu_test_ids(root);
  const fs::path exp = fs::path(root) / "exp";
  std::vector<std::pair<std::string, std::vector<int>>> lists;
  for (const char* name : {"train_id.txt", "val_id.txt"}) lists.emplace_back(name, read_id_list((exp / name).string()));
  lists.emplace_back("test_id.txt", test);
  const std::string trials = trial_file_or_note(root, trial_file, report);
  const auto listed_names = trials.empty() ? std::nullopt : std::optional(read_trial_file(trials));

  const auto tell = [&](const std::string& text) {
    report.problems++;
    problem(text);
  };
  Scan scan;
  for (int camera = 1; camera <= kSysuCameras; camera++) scan_camera(root, camera, scan, report, problem);
  scan.left_out.tell(report.notes);
  LeftOut others = sysu_others();
  add_sysu_others(root, others);
  others.tell(report.notes);
  std::set<int> found, listed;
  for (const auto& [key, names] : scan.names) found.insert(key.second);
  report.identities = found.size();
  for (const auto& [name, ids] : lists)
    for (int id : ids) {
      const std::string path = (exp / name).string();
      if (!found.count(id)) tell(fmt::format("{}: identity {} is listed, but there is no image of it", path, id));
      if (!listed.insert(id).second) tell(fmt::format("{}: identity {} stands in another list too", path, id));
    }
  LeftOut unlisted = unlisted_identities();
  add_unlisted_identities(root, listed, unlisted);
  unlisted.tell(report.notes);
  if (report.infrared == 0) tell(fmt::format("{}: no infrared image (cameras 3 and 6)", root));
  if (report.visible == 0) tell(fmt::format("{}: no visible image (cameras 1, 2, 4 and 5)", root));
  report.names_compared = listed_names.has_value();
  if (listed_names) compare_names(root, scan, *listed_names, report, problem);
  return scan.images;
}

}  // namespace mpanet
