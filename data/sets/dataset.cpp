#include "data/sets/dataset.h"

#include <filesystem>
#include <iterator>

#include "core/base/error.h"
#include "core/base/text.h"
#include "data/sets/llcm.h"
#include "data/sets/manifest.h"
#include "data/sets/regdb.h"
#include "data/sets/sysu.h"

namespace mpanet {

namespace fs = std::filesystem;
namespace {

std::vector<std::string> regdb_lists() {
  std::vector<std::string> lists;
  for (int split = 1; split <= kRegDbSplits; split++)
    for (const bool train : {true, false})
      for (const bool infrared : {false, true}) lists.push_back(regdb_list(train, infrared, split));
  return lists;
}

struct Known {
  const char* name;
  Dataset (*read)(const std::string& root, Split split, int regdb_split);
  std::vector<std::string> (*lists)();  // relative to the root; one of them tells the layout
  const char* published;
};

// In the order of DatasetKind.
constexpr Known kKnown[] = {
    {"sysu", [](const std::string& root, Split split, int) { return read_sysu(root, split); },
     [] {
       return std::vector<std::string>{"exp/train_id.txt", "exp/val_id.txt", "exp/test_id.txt", kTrialFiles[0],
                                       kTrialFiles[1]};
     },
     "SYSU-MM01: 491 identities, 30,071 visible and 15,792 infrared images"},
    {"regdb", read_regdb, regdb_lists, "RegDB: 412 identities, 4,120 visible and 4,120 infrared images"},
    {"llcm", [](const std::string& root, Split split, int) { return read_llcm(root, split); },
     [] {
       return std::vector<std::string>{"idx/train_vis.txt", "idx/train_nir.txt", "idx/test_id.txt"};
     },
     "LLCM: 713 training and 351 test identities"},
    {"csv", [](const std::string& root, Split split, int) { return read_manifest(root, split); },
     [] { return std::vector<std::string>{kManifestName}; }, ""},
};
static_assert(std::size(kKnown) == std::size(kDatasetKinds));

const Known& known(DatasetKind kind) { return kKnown[static_cast<size_t>(kind)]; }

}  // namespace

const char* name_of(DatasetKind kind) { return known(kind).name; }
const char* published_counts(DatasetKind kind) { return known(kind).published; }

DatasetKind parse_dataset_kind(std::string_view name) {
  std::vector<std::string> names;
  for (const DatasetKind kind : kDatasetKinds) {
    if (name == name_of(kind)) return kind;
    names.emplace_back(name_of(kind));
  }
  fail("data set kind: expected one of {}, got {}", join(names), quote(name));
}

DatasetKind find_dataset_kind(const std::string& root) {
  std::error_code error;
  const auto type = fs::status(root, error).type();
  if (type == fs::file_type::not_found) fail("{}: no such folder (the data set)", root);
  if (type != fs::file_type::directory) return DatasetKind::Csv;
  // A manifest in a folder of another layout comes first.
  for (const DatasetKind kind : {DatasetKind::Csv, DatasetKind::Llcm, DatasetKind::RegDb, DatasetKind::Sysu})
    for (const std::string& list : dataset_lists(kind, root))
      if (fs::exists(list, error)) return kind;
  std::vector<std::string> examples;
  for (const Known& each : kKnown) examples.push_back(fmt::format("{} ({})", each.lists().front(), each.name));
  fail("{}: expected a data set with lists such as {}", root, join(examples));
}

std::vector<std::string> dataset_lists(DatasetKind kind, const std::string& root) {
  if (kind == DatasetKind::Csv) return {manifest_path(root)};
  std::vector<std::string> lists = known(kind).lists();
  for (std::string& list : lists) list = (fs::path(root) / list).string();
  return lists;
}

Dataset read_dataset(DatasetKind kind, const std::string& root, Split split, int regdb_split) {
  MPANET_CHECK(regdb_split >= 1 && regdb_split <= splits_of(kind), "split {} of {}", regdb_split, name_of(kind));
  return known(kind).read(root, split, regdb_split);
}

void check_pictures(const Dataset& data, const std::vector<ImageRecord>& images) {
  const fs::path root = data.root;
  size_t missing = 0;
  std::string first;
  for (const ImageRecord& image : images) {
    std::error_code error;
    if (fs::exists(root / image.path, error)) continue;
    if (missing++ == 0) first = (root / image.path).string();
  }
  if (missing > 0)
    fail("{}: no such picture ({} of the {} that the data set lists are missing)", first, missing, images.size());
}

}  // namespace mpanet
