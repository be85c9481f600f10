// Results by pair of cameras: each query searches among the gallery images of one camera alone.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "mpanet/evaluation/plan.h"

namespace mpanet {

struct CameraPair {
  int64_t searches = 0;       // queries x trials with a right image of this camera in the gallery
  double rank1 = 0, mAP = 0;  // percent, means over the searches; NaN without one
};

struct CameraMatrix {
  std::vector<int> query_cameras, gallery_cameras;  // ascending; 0: unknown
  std::vector<std::vector<CameraPair>> pairs;       // [query camera][gallery camera]
};

// Over all trials of one setting. Images that the query ignores are left out; equal distances rank in gallery order.
class CameraCounter {
 public:
  CameraCounter(const EvaluationPlan& plan, size_t setting);
  // Distances of query `q` to every gallery image of the plan (visit_distances()). Queries in ascending order.
  void add(size_t q, std::span<const float> distances);
  CameraMatrix matrix() const;

 private:
  struct Sums {
    int64_t searches = 0;
    double first = 0, precision = 0;
  };
  const EvaluationPlan& plan_;
  size_t first_column_;
  std::vector<size_t> order_, images_;  // scratch; gallery images that a trial of the setting draws
  std::vector<int> gallery_cameras_;
  std::map<int, std::vector<Sums>> sums_;  // by query camera: a value per gallery camera
};

}  // namespace mpanet
