#include "data/sets/verify.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "core/base/error.h"
#include "core/base/text.h"
#include "data/pictures/decode_all.h"
#include "data/sets/manifest.h"
#include "data/sets/picture_names.h"
#include "data/sets/regdb.h"
#include "data/sets/verify_sysu.h"

namespace mpanet {
namespace fs = std::filesystem;
namespace {

// The union of the pictures and identities in a data set's lists, over all parts and splits.
class Lists {
 public:
  Lists(DatasetKind kind, const std::string& root, VerifyReport& report, const Problem& problem)
      : kind_(kind), root_(root), report_(report), problem_(problem) {}

  void read(int split) {
    const size_t before = report_.problems;
    if (kind_ == DatasetKind::Csv) {
      if (const auto data = read_part(Split::Present, split)) return take(*data);
    }
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

std::vector<std::string> read_lists(DatasetKind kind, const std::string& root, VerifyReport& report,
                                    const Problem& problem) {
  if (kind != DatasetKind::Csv) require_folder(root, "the data set");
  Lists lists(kind, root, report, problem);
  if (kind == DatasetKind::RegDb) {
    std::vector<std::string> absent;
    for (int split = 1; split <= kRegDbSplits; split++) {
      if (has_regdb_lists(root, split))
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
  std::vector<std::string> errors(images.size());
  decode_all(
      images.size(), threads, [&](size_t i) { return images[i]; },
      [&](size_t i, const Decoded& decoded) { errors[i] = decoded.error; });
  for (const std::string& error : errors)
    if (!error.empty()) {
      report.problems++;
      problem(error);
    }
  return report;
}

}  // namespace mpanet
