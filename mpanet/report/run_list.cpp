#include "mpanet/report/run_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "core/base/error.h"
#include "core/base/folder.h"
#include "core/base/text.h"
#include "mpanet/evaluation/results.h"
#include "mpanet/report/run_files.h"
#include "mpanet/training/run_folder.h"

namespace mpanet {
namespace fs = std::filesystem;

namespace {

// The index of mpanet-search has a lock too, but neither of these files.
bool is_run(const std::string& path) {
  std::error_code error;
  return RunFolder::is_run(path) &&
         (fs::exists(path + "/config.json", error) || fs::exists(path + "/last.safetensors", error));
}

// Adds the runs in a folder, and those one level deeper, which are an experiment's. A folder that cannot be read may be
// one of them.
void add_runs(const std::string& folder, int levels, std::vector<std::string>& runs) {
  std::error_code error;
  for (fs::directory_iterator entries(folder, error); !error && entries != fs::directory_iterator();
       entries.increment(error)) {
    const std::string path = entries->path().string();
    std::error_code ignored;
    if (!entries->is_directory(ignored)) continue;
    if (is_run(path) || !folder_can_be_read(path))
      runs.push_back(path);
    else if (levels > 1)
      add_runs(path, levels - 1, runs);
  }
}

std::string best_words(const RunCurves& curves) {
  if (curves.rank1.empty()) return "not evaluated";
  const size_t at = curves.best.empty() ? curves.rank1.size() - 1 : curves.best.back();
  return fmt::format("rank-1 {}, mAP {} (epoch {:.0f})", percent_words(curves.rank1[at].second),
                     percent_words(curves.mAP[at].second), curves.rank1[at].first);
}

// The columns after the name.
std::vector<std::string> columns_of(const std::string& path) {
  const RunRecord run = read_run(path, false);
  const size_t epochs = run.curves.learning_rate.size();
  const bool done = epochs >= static_cast<size_t>(run.config.num_epoch);
  const std::string split = run.config.dataset == DatasetKind::RegDb ? fmt::format(" split {}", run.config.split) : "";
  return {RunFolder::in_use(path) ? "training"
          : done                  ? "done"
                                  : "stopped",
          fmt::format("epoch {}/{}", epochs, run.config.num_epoch), best_words(run.curves),
          fmt::format("{}{}, depth {}, seed {}", name_of(run.config.dataset), split, run.config.model.depth,
                      run.config.seed)};
}

}  // namespace

std::string list_runs(const std::string& folder) {
  std::error_code error;
  if (!folder_exists(folder)) fail("{}: expected a folder with runs, got no folder", folder);
  check_folder_can_be_read(folder);
  std::vector<std::string> runs;
  if (is_run(folder))
    runs = {folder};
  else
    add_runs(folder, 2, runs);
  if (runs.empty()) fail("{}: expected a folder with runs, got one without", folder);
  std::sort(runs.begin(), runs.end());
  std::vector<std::vector<std::string>> lines;
  std::vector<size_t> widths(4);
  for (const std::string& run : runs) {
    std::vector<std::string> line = {printable(run)};
    try {
      const std::vector<std::string> columns = columns_of(run);
      line.insert(line.end(), columns.begin(), columns.end());
    } catch (const UserError& reason) {
      line.emplace_back(reason.what());
    }
    // The last column has no width, and neither has a reason.
    for (size_t i = 0; i + 1 < line.size() && i < widths.size(); i++) widths[i] = std::max(widths[i], line[i].size());
    lines.push_back(std::move(line));
  }
  std::string text;
  for (const std::vector<std::string>& line : lines) {
    for (size_t i = 0; i + 1 < line.size(); i++) text += fmt::format("{:<{}}  ", line[i], widths[i]);
    text += line.back() + "\n";
  }
  return text;
}

}  // namespace mpanet
