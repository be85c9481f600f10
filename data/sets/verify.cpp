#include "data/sets/verify.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "core/base/error.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "core/base/threads.h"
#include "data/pictures/image.h"
#include "data/sets/manifest.h"
#include "data/sets/picture_names.h"
#include "data/sets/regdb.h"
#include "data/sets/verify_sysu.h"

namespace mpanet {
namespace fs = std::filesystem;
namespace {

// Decodes all images. Returns an error text for each, empty for a good image.
std::vector<std::string> decode_all(const std::vector<std::string>& images, int threads) {
  std::vector<std::string> errors(images.size());
  std::mutex mutex;  // guards `progress`
  if (threads == 0) threads = usable_processors();
  Progress progress("decoding, " + counted(threads, "thread"), "images", images.size());
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

// The union of the pictures and identities in a data set's lists, over all parts and splits.
class Lists {
 public:
  Lists(DatasetKind kind, const std::string& root, VerifyReport& report, const Problem& problem)
      : kind_(kind), root_(root), report_(report), problem_(problem) {}

  void read(int split) {
    const size_t before = report_.problems;
    for (const Split part : {Split::Train, Split::Test})
      if (const auto data = read_part(part, split)) take(*data);
    // Checks that concern both parts.
    if (report_.problems == before) read_part(Split::Both, split);
  }

  // Fills the report's counts. Returns the pictures' paths, ascending.
  std::vector<std::string> finish() {
    report_.identities = train_.size() + test_.size();
    if (kind_ != DatasetKind::Llcm) {  // LLCM's training labels are not identities of the test
      test_.insert(train_.begin(), train_.end());
      report_.identities = test_.size();
    }
    std::vector<std::string> paths;
    for (const auto& [path, infrared] : images_) {
      paths.push_back(path);
      (infrared ? report_.infrared : report_.visible)++;
    }
    for (const std::string& note : notes_) report_.notes.push_back(note);
    return paths;
  }

 private:
  std::optional<Dataset> read_part(Split part, int split) {
    try {
      return read_dataset(kind_, root_, part, split);
    } catch (const UserError& e) {
      if (said_.insert(e.what()).second) {
        report_.problems++;
        problem_(e.what());
      }
      return std::nullopt;
    }
  }

  void take(const Dataset& data) {
    for (const auto* images : {&data.train, &data.test})
      for (const ImageRecord& image : *images) {
        (images == &data.train ? train_ : test_).insert(image.identity);
        images_.emplace((fs::path(data.root) / image.path).string(), image.infrared);
      }
    notes_.insert(data.notes.begin(), data.notes.end());
  }

  const DatasetKind kind_;
  const std::string& root_;
  VerifyReport& report_;
  const Problem& problem_;
  std::map<std::string, bool> images_;  // path -> infrared
  std::set<int> train_, test_;
  std::set<std::string> said_, notes_;
};

bool has_list(const std::string& root, const std::string& relative) {
  std::error_code error;
  return fs::exists(fs::path(root) / relative, error);
}

bool has_lists_of(const std::string& root, int split) {
  for (const bool train : {true, false})
    for (const bool infrared : {true, false})
      if (has_list(root, regdb_list(train, infrared, split))) return true;
  return false;
}

std::vector<std::string> read_lists(DatasetKind kind, const std::string& root, VerifyReport& report,
                                    const Problem& problem) {
  if (kind != DatasetKind::Csv) require_folder(root, "the data set");
  Lists lists(kind, root, report, problem);
  if (kind == DatasetKind::RegDb) {
    std::vector<std::string> absent;
    for (int split = 1; split <= kRegDbSplits; split++) {
      if (has_lists_of(root, split))
        lists.read(split);
      else
        absent.push_back(std::to_string(split));
    }
    if (absent.size() == kRegDbSplits) fail("{}: no list of any split, such as {}", root, regdb_list(true, false, 1));
    if (!absent.empty()) report.notes.push_back("no lists in idx/ for the splits " + join(absent));
  } else {
    lists.read(1);
  }
  return lists.finish();
}

}  // namespace

VerifyReport verify_dataset(DatasetKind kind, const std::string& root, const std::string& trial_file, int threads,
                            const Problem& problem) {
  if (!trial_file.empty() && kind != DatasetKind::Sysu)
    fail("--trials: only sysu has a trial file, this data set is {}", name_of(kind));
  VerifyReport report;
  const std::vector<std::string> images = kind == DatasetKind::Sysu
                                              ? verify_sysu_names(root, trial_file, report, problem)
                                              : read_lists(kind, root, report, problem);
  for (const std::string& error : decode_all(images, threads))
    if (!error.empty()) {
      report.problems++;
      problem(error);
    }
  return report;
}

DatasetKind find_dataset_kind(const std::string& root) {
  std::error_code error;
  const auto type = fs::status(root, error).type();
  if (type == fs::file_type::not_found) fail("{}: no such folder (the data set)", root);
  if (type != fs::file_type::directory || has_list(root, kManifestName)) return DatasetKind::Csv;
  if (has_list(root, "idx/train_vis.txt") || has_list(root, "idx/test_id.txt")) return DatasetKind::Llcm;
  for (int split = 1; split <= kRegDbSplits; split++)
    if (has_lists_of(root, split)) return DatasetKind::RegDb;
  if (has_list(root, "exp")) return DatasetKind::Sysu;
  fail(
      "{}: expected a data set: exp/ with lists of identities (sysu), idx/train_visible_1.txt (regdb), "
      "idx/train_vis.txt (llcm) or {} (csv)",
      root, kManifestName);
}

std::string published_counts(DatasetKind kind) {
  switch (kind) {
    case DatasetKind::Sysu:
      return "SYSU-MM01: 491 identities, 30,071 visible and 15,792 infrared images";
    case DatasetKind::RegDb:
      return "RegDB: 412 identities, 4,120 visible and 4,120 infrared images";
    case DatasetKind::Llcm:
      return "LLCM: 713 training and 351 test identities";
    case DatasetKind::Csv:
      break;
  }
  return "";
}

}  // namespace mpanet
