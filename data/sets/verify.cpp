#include "data/sets/verify.h"

#include <algorithm>
#include <filesystem>
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
  std::vector<std::string> images;                  // absolute or as given, ascending
  std::map<std::pair<int, int>, int> counts;        // (camera, identity) -> images
  std::map<std::pair<int, int>, std::string> last;  // (camera, identity) -> the last image's name
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

// The identity that a folder is named after, 0 if none: four digits.
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
      if (file.extension() != ".jpg") {
        report.other_files++;
        continue;
      }
      scan.images.push_back(file.string());
      scan.counts[{camera, identity}]++;
      scan.last[{camera, identity}] = file.filename().string();
      (sysu_infrared(camera) ? report.infrared : report.visible)++;
    }
  }
}

// The trial file is a manifest: its matrices' widths are the numbers of images, which are named 0001, 0002, ...
void compare_counts(const fs::path& root, const Scan& scan, const TrialFile& trials, VerifyReport& report,
                    const Problem& problem) {
  const auto tell = [&](const std::string& text) {
    report.problems++;
    problem(text);
  };
  for (int camera = 1; camera <= kSysuCameras; camera++) {
    std::set<int> identities;
    for (int identity = 1; identity <= trials.identities(camera); identity++)
      if (trials.count(camera, identity) > 0) identities.insert(identity);
    for (const auto& [key, count] : scan.counts)
      if (key.first == camera) identities.insert(key.second);
    for (int identity : identities) {
      const auto found = scan.counts.find({camera, identity});
      const int have = found == scan.counts.end() ? 0 : found->second, want = trials.count(camera, identity);
      const std::string folder = (root / fmt::format("cam{}/{:04d}", camera, identity)).string();
      if (have != want)
        tell(fmt::format("{}: expected {} images as in the trial file, got {}", folder, want, have));
      else if (have > 0 && scan.last.at({camera, identity}) != fmt::format("{:04d}.jpg", have))
        tell(fmt::format("{}: expected the names 0001.jpg to {:04d}.jpg, got {}", folder, have,
                         scan.last.at({camera, identity})));
    }
  }
}

// Decodes all; answers with the error of each, empty where there is none.
std::vector<std::string> decode_all(const std::vector<std::string>& images, int threads) {
  std::vector<std::string> errors(images.size());
  std::mutex mutex;  // of progress
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
  for (const auto& [key, count] : scan.counts) found.insert(key.second);
  report.identities = found.size();
  for (const auto& [name, ids] : lists)
    for (int id : ids) {
      const std::string path = (exp / name).string();
      if (!found.count(id)) tell(fmt::format("{}: identity {} is listed, but there is no image of it", path, id));
      if (!listed.insert(id).second) tell(fmt::format("{}: identity {} stands in another list too", path, id));
    }
  if (report.infrared == 0) tell(fmt::format("{}: no infrared image (cameras 3 and 6)", root));
  if (report.visible == 0) tell(fmt::format("{}: no visible image (cameras 1, 2, 4 and 5)", root));
  compare_counts(root, scan, trials, report, problem);
  for (const std::string& error : decode_all(scan.images, threads))
    if (!error.empty()) tell(error);
  return report;
}

}  // namespace mpanet
