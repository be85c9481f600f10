#include "data/sets/dataset_inputs.h"

#include <filesystem>
#include <system_error>

#include "core/base/inputs.h"
#include "data/sets/manifest.h"
#include "data/sets/picture_names.h"

namespace mpanet {
namespace fs = std::filesystem;

void register_pictures(DatasetKind kind, const std::string& root, const std::string& name) {
  if (kind == DatasetKind::Csv) {
    // Other pictures in the manifest's folder are no concern of the data set.
    for (const std::string& path : manifest_pictures(root)) register_input(path, name);
    return;
  }
  // A layout's pictures lie at least one folder deep. That folder may be a link to another place.
  std::error_code error;
  fs::directory_iterator entries(root, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    std::error_code ignored;
    if (entries->is_directory(ignored)) register_inputs_below(entries->path().string(), is_picture_name, name);
  }
}

void register_dataset(DatasetKind kind, const std::string& root) {
  for (const std::string& list : dataset_lists(kind, root)) register_input(list, "a list of the data set");
  register_pictures(kind, root, "a picture of the data set");
}

}  // namespace mpanet
