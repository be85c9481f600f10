#include "data/sets/verify.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/threads.h"
#include "data/pictures/image.h"
#include "data/sets/matfile.h"
#include "data/sets/sysu.h"

namespace mpanet {
namespace fs = std::filesystem;
namespace {

using Problem = std::function<void(const std::string&)>;

struct Scan {
  std::vector<std::string> images;                                // absolute or as given, ascending
  std::map<std::pair<int, int>, std::vector<std::string>> names;  // (camera, identity) -> file names, ascending
};

std::vector<fs::path> sorted_entries(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  fs::directory_iterator iterator(folder, error);
  if (error) fail("{}: cannot read the folder: {}", folder.string(), error.message());
  for (const auto& entry : iterator) entries.push_back(entry.path());
  std::sort(entries.begin(), entries.end());
  return entries;
}

// The identity of a folder whose name has four digits; 0 for another name.
int folder_identity(const std::string& name) {
  if (name.size() != 4 || !std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) return 0;
  return std::stoi(name);
}

void scan_camera(const fs::path& root, int camera, Scan& scan, VerifyReport& report, const Problem& problem) {
  const fs::path folder = root / fmt::format("cam{}", camera);
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    report.problems++;
    return problem(fmt::format("{}: no such folder", folder.string()));
  }
  for (const auto& person : sorted_entries(folder)) {
    const int identity = folder_identity(person.filename().string());
    if (identity == 0 || !fs::is_directory(person, ignored)) {
      report.other_files++;
      continue;
    }
    for (const auto& file : sorted_entries(person)) {
      if (!sysu_image_name(file.filename().string())) {
        report.other_files++;
        continue;
      }
      scan.images.push_back(file.string());
      scan.names[{camera, identity}].push_back(file.filename().string());
      (sysu_infrared(camera) ? report.infrared : report.visible)++;
    }
  }
}

// "0002.jpg", "0002.jpg and 4 more"
std::string some_of(const std::vector<std::string>& names) {
  return names.size() == 1 ? names[0] : fmt::format("{} and {} more", names[0], names.size() - 1);
}

// Compares the image names of one camera and identity with the `want` names that the trial file implies: 0001.jpg,
// 0002.jpg, ... Returns a text about the differences, empty when there are none.
std::string wrong_names(const std::vector<std::string>& have, int want) {
  std::vector<std::string> listed, missing, others;
  for (int number = 1; number <= want; number++)
    listed.push_back(fs::path(sysu_path(1, 1, number)).filename().string());
  std::sort(listed.begin(), listed.end());  // "10000.jpg" sorts before "9999.jpg"
  std::set_difference(listed.begin(), listed.end(), have.begin(), have.end(), std::back_inserter(missing));
  std::set_difference(have.begin(), have.end(), listed.begin(), listed.end(), std::back_inserter(others));
  if (missing.empty() && others.empty()) return "";
  std::string text =
      fmt::format("expected {} image{} as in the trial file, got {}", want, want == 1 ? "" : "s", have.size());
  if (!missing.empty()) text += fmt::format("; missing: {}", some_of(missing));
  if (!others.empty()) text += fmt::format("; not listed: {}", some_of(others));
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

// Decodes all images. Returns an error text for each, empty for a good image.
std::vector<std::string> decode_all(const std::vector<std::string>& images, int threads) {
  std::vector<std::string> errors(images.size());
  std::mutex mutex;  // guards `progress`
  if (threads == 0) threads = usable_processors();
  Progress progress(fmt::format("decoding, {} thread{}", threads, threads == 1 ? "" : "s"), "images", images.size());
  struct Scratch {
    ImageDecoder decoder;
    Image image;
  };
  std::vector<Scratch> scratch(static_cast<size_t>(threads));
  parallel_for(threads, images.size(), [&](size_t i, int thread) {
    auto& [decoder, image] = scratch[static_cast<size_t>(thread)];
    try {
      decoder.decode(images[i], image);
    } catch (const UserError& e) {
      errors[i] = e.what();
    }
    const std::lock_guard lock(mutex);
    progress.advance();
  });
  return errors;
}

}  // namespace

VerifyReport verify_sysu(const std::string& root, const std::string& trial_file, int threads, const Problem& problem) {
  const std::vector<int> test = read_sysu_test_ids(root);
  const fs::path exp = fs::path(root) / "exp";
  std::vector<std::pair<std::string, std::vector<int>>> lists;
  for (const char* name : {"train_id.txt", "val_id.txt"}) lists.emplace_back(name, read_id_list((exp / name).string()));
  lists.emplace_back("test_id.txt", test);
  const TrialFile trials = read_trial_file(find_trial_file(root, trial_file));

  VerifyReport report;
  const auto tell = [&](const std::string& text) {
    report.problems++;
    problem(text);
  };
  Scan scan;
  for (int camera = 1; camera <= kSysuCameras; camera++) scan_camera(root, camera, scan, report, problem);
  std::set<int> found, listed;
  for (const auto& [key, names] : scan.names) found.insert(key.second);
  report.identities = found.size();
  for (const auto& [name, ids] : lists)
    for (int id : ids) {
      const std::string path = (exp / name).string();
      if (!found.count(id)) tell(fmt::format("{}: identity {} is listed, but there is no image of it", path, id));
      if (!listed.insert(id).second) tell(fmt::format("{}: identity {} stands in another list too", path, id));
    }
  if (report.infrared == 0) tell(fmt::format("{}: no infrared image (cameras 3 and 6)", root));
  if (report.visible == 0) tell(fmt::format("{}: no visible image (cameras 1, 2, 4 and 5)", root));
  compare_names(root, scan, trials, report, problem);
  for (const std::string& error : decode_all(scan.images, threads))
    if (!error.empty()) tell(error);
  return report;
}

}  // namespace mpanet
