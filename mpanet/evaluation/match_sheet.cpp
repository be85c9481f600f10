#include "mpanet/evaluation/match_sheet.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "data/pictures/image.h"
#include "data/pictures/sheet.h"
#include "mpanet/evaluation/ranked_queries.h"

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

// At most six characters of a column's nine.
std::string distance_text(double distance) {
  return std::abs(distance) < 10 ? fmt::format("{:.3f}", distance) : fmt::format("{:.4g}", distance);
}

}  // namespace

void write_match_sheet(OutputFile& file, const std::string& root, const EvaluationPlan& plan,
                       const Embeddings& embeddings, bool worst) {
  const std::vector<RankedQuery> queries = worst ? worst_queries(plan, embeddings, kQueries, kMatches)
                                                 : ranked_queries(plan, embeddings, chosen_queries(plan), kMatches);
  size_t longest = kMatches;
  for (const RankedQuery& query : queries) longest = std::max(longest, query.list.size());
  Sheet sheet(std::max(1, static_cast<int>(queries.size())), 1 + static_cast<int>(longest), kHeight, kWidth, 66, 2);
  sheet.title(fmt::format("{}, then the first {}: {} search, {} shot, trial 0; identity/camera, rank: distance",
                          worst ? "worst queries" : "query", kMatches, plan.settings[0].mode, plan.settings[0].shots));
  ImageDecoder decoder;
  Image picture;
  const auto place = [&](int row, int column, const ImageRecord& image, Rgb frame, const std::string& more) {
    decoder.decode(root + "/" + image.path, picture);
    sheet.set(row, column, picture, frame, fmt::format("{}/{}\n{}", image.identity, image.camera, more));
  };
  for (size_t q = 0; q < queries.size(); q++) {
    const RankedQuery& query = queries[q];
    const int row = static_cast<int>(q);
    sheet.label(row, fmt::format("id {}\ncamera {}\nAP {:.1f}\nright {}\nfirst {}\nlast {}\nof {}",
                                 query.query.identity, query.query.camera, query.average_precision, query.right,
                                 query.first_right, query.last_right, query.gallery));
    place(row, 0, query.query, kSheetGray, "");
    for (size_t i = 0; i < query.list.size(); i++) {
      const RankedImage& found = query.list[i];
      place(row, static_cast<int>(i) + 1, found.image, found.right ? kSheetGreen : kSheetRed,
            fmt::format("{}:{}", found.rank, distance_text(found.distance)));
    }
  }
  write_png(file, sheet.image());
  file.commit();
}

}  // namespace mpanet
