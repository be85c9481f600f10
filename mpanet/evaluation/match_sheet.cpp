#include "mpanet/evaluation/match_sheet.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "data/pictures/image.h"
#include "data/pictures/sheet.h"

namespace mpanet {
namespace {

constexpr int kQueries = 10, kMatches = 10;
constexpr int kHeight = 128, kWidth = 48;

// Queries at equal distances in the list of those that have a match in the trial's gallery.
std::vector<int> chosen_queries(const EvaluationPlan& plan) {
  std::set<std::pair<int, int>> shown;  // identity, camera
  for (size_t g = 0; g < plan.gallery.size(); g++)
    if (plan.drawn[g] & 1) shown.insert({plan.gallery[g].identity, plan.gallery[g].camera});
  std::vector<int> findable;
  for (size_t q = 0; q < plan.queries.size(); q++) {
    const ImageRecord& query = plan.queries[q];
    if (!(plan.asked_in(q) & 1)) continue;
    for (auto at = shown.lower_bound({query.identity, 0}); at != shown.end() && at->first == query.identity; ++at)
      if (!plan.skips || !plan.skips({query.identity, query.camera}, {at->first, at->second})) {
        findable.push_back(static_cast<int>(q));
        break;
      }
  }
  if (findable.size() <= kQueries) return findable;
  std::vector<int> chosen;
  for (size_t i = 0; i < kQueries; i++) chosen.push_back(findable[i * findable.size() / kQueries]);
  return chosen;
}

}  // namespace

void write_match_sheet(OutputFile& file, const std::string& root, const EvaluationPlan& plan,
                       const Embeddings& embeddings) {
  const std::vector<int> queries = chosen_queries(plan);
  const auto matches = top_matches(plan, embeddings, queries, 0, 0, kMatches);
  Sheet sheet(static_cast<int>(queries.size()), 1 + kMatches, kHeight, kWidth, 60, true);
  sheet.title(fmt::format("query, then its first {}: {} search, {} shot, trial 0", kMatches, plan.settings[0].mode,
                          plan.settings[0].shots));
  ImageDecoder decoder;
  Image picture;
  const auto place = [&](int row, int column, const ImageRecord& image, Rgb frame) {
    decoder.decode(root + "/" + image.path, picture);
    sheet.set(row, column, picture, frame, fmt::format("{}/{}", image.identity, image.camera));
  };
  for (size_t row = 0; row < queries.size(); row++) {
    const ImageRecord& query = plan.queries[queries[row]];
    sheet.label(static_cast<int>(row), fmt::format("id {}\ncamera {}", query.identity, query.camera));
    place(static_cast<int>(row), 0, query, kSheetGray);
    for (size_t i = 0; i < matches[row].size(); i++) {
      const ImageRecord& found = plan.gallery[matches[row][i]];
      place(static_cast<int>(row), static_cast<int>(i) + 1, found,
            found.identity == query.identity ? kSheetGreen : kSheetRed);
    }
  }
  write_png(file, sheet.image());
  file.commit();
}

}  // namespace mpanet
