#include "data/sets/dataset.h"

#include <filesystem>

#include "core/base/error.h"
#include "core/base/text.h"
#include "data/sets/llcm.h"
#include "data/sets/manifest.h"
#include "data/sets/regdb.h"
#include "data/sets/sysu.h"

namespace mpanet {

const char* name_of(DatasetKind kind) {
  switch (kind) {
    case DatasetKind::Sysu:
      return "sysu";
    case DatasetKind::RegDb:
      return "regdb";
    case DatasetKind::Llcm:
      return "llcm";
    case DatasetKind::Csv:
      return "csv";
  }
  MPANET_CHECK(false, "unknown data set kind");
  return "";
}

DatasetKind parse_dataset_kind(std::string_view name) {
  std::vector<std::string> known;
  for (const DatasetKind kind : kDatasetKinds) {
    if (name == name_of(kind)) return kind;
    known.emplace_back(name_of(kind));
  }
  fail("data set kind: expected one of {}, got {}", join(known), quote(name));
}

Dataset read_dataset(DatasetKind kind, const std::string& root, Split split, int regdb_split) {
  MPANET_CHECK(regdb_split >= 1 && regdb_split <= splits_of(kind), "split {} of {}", regdb_split, name_of(kind));
  switch (kind) {
    case DatasetKind::Sysu:
      return read_sysu(root, split);
    case DatasetKind::RegDb:
      return read_regdb(root, split, regdb_split);
    case DatasetKind::Llcm:
      return read_llcm(root, split);
    case DatasetKind::Csv:
      return read_manifest(root, split);
  }
  MPANET_CHECK(false, "unknown data set kind");
  return {};
}

void check_pictures(const Dataset& data, const std::vector<ImageRecord>& images) {
  namespace fs = std::filesystem;
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
