#include "mpanet/report/camera_matrix.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <set>

namespace mpanet {
namespace {

// One search: the gallery images of one camera in one trial.
struct Search {
  int ranked = 0, right = 0;
  bool first = false;    // the nearest image is right
  double precision = 0;  // sum over the right images
};

}  // namespace

CameraCounter::CameraCounter(const EvaluationPlan& plan, size_t setting)
    : plan_(plan), first_column_(setting * static_cast<size_t>(plan.trials)) {
  const uint64_t trials = plan.trials == 64 ? ~uint64_t{0} : (uint64_t{1} << plan.trials) - 1;
  std::set<int> cameras;
  for (size_t g = 0; g < plan.gallery.size(); g++)
    if (plan.drawn[g] >> first_column_ & trials) {
      images_.push_back(g);
      cameras.insert(plan.gallery[g].camera);
    }
  gallery_cameras_.assign(cameras.begin(), cameras.end());
}

void CameraCounter::add(size_t q, std::span<const float> distances) {
  const ImageRecord& query = plan_.queries[q];
  order_ = images_;
  std::stable_sort(order_.begin(), order_.end(), [&](size_t a, size_t b) { return distances[a] < distances[b]; });
  const size_t cameras = gallery_cameras_.size(), trials = static_cast<size_t>(plan_.trials);
  const uint64_t all = trials == 64 ? ~uint64_t{0} : (uint64_t{1} << trials) - 1;
  const uint64_t asked = plan_.asked_in(q) >> first_column_ & all;
  std::vector<Search> searches(cameras * trials);
  for (const size_t g : order_) {
    const ImageRecord& image = plan_.gallery[g];
    if (plan_.skips && plan_.skips({query.identity, query.camera}, {image.identity, image.camera})) continue;
    const size_t camera =
        std::lower_bound(gallery_cameras_.begin(), gallery_cameras_.end(), image.camera) - gallery_cameras_.begin();
    for (uint64_t rest = plan_.drawn[g] >> first_column_ & asked; rest; rest &= rest - 1) {
      Search& search = searches[camera * trials + static_cast<size_t>(std::countr_zero(rest))];
      search.ranked++;
      if (image.identity != query.identity) continue;
      search.first |= search.ranked == 1;
      search.precision += static_cast<double>(++search.right) / search.ranked;
    }
  }
  std::vector<Sums>& sums = sums_[query.camera];
  sums.resize(cameras);
  for (size_t i = 0; i < searches.size(); i++) {
    const Search& search = searches[i];
    if (search.right == 0) continue;
    Sums& to = sums[i / trials];
    to.searches++;
    to.first += search.first;
    to.precision += search.precision / search.right;
  }
}

CameraMatrix CameraCounter::matrix() const {
  CameraMatrix made;
  made.gallery_cameras = gallery_cameras_;
  for (const auto& [camera, sums] : sums_) {
    made.query_cameras.push_back(camera);
    std::vector<CameraPair>& row = made.pairs.emplace_back();
    for (const Sums& sum : sums) {
      const double count = static_cast<double>(sum.searches);  // 0 / 0: NaN
      row.push_back({sum.searches, 100 * sum.first / count, 100 * sum.precision / count});
    }
  }
  return made;
}

}  // namespace mpanet
