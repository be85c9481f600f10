#include "data/loading/stats.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "core/base/error.h"
#include "core/base/text.h"
#include "data/loading/sampler.h"
#include "data/pictures/decode_all.h"

namespace mpanet {
namespace {

struct Size {
  int height = 0, width = 0;
};

std::vector<Size> sizes_of(const Dataset& data, const std::vector<ImageRecord>& images, int threads) {
  std::vector<Size> sizes(images.size());
  decode_all(
      images.size(), threads, [&](size_t i) { return data.root + "/" + images[i].path; },
      [&](size_t i, const Decoded& decoded) {
        if (!decoded.error.empty()) throw UserError(decoded.error);
        sizes[i] = {decoded.image.height, decoded.image.width};
      });
  return sizes;
}

// "384", or "128 to 384, median 200".
std::string range_text(std::vector<int> values) {
  std::sort(values.begin(), values.end());
  if (values.front() == values.back()) return std::to_string(values.front());
  return fmt::format("{} to {}, median {}", values.front(), values.back(), values[values.size() / 2]);
}

struct Group {
  std::set<int> identities;
  size_t images = 0;
  std::vector<int> heights, widths;
};

// The rows of one part: by modality and camera, then the sum.
std::string part_rows(const char* part, const std::vector<ImageRecord>& images, const std::vector<Size>& sizes) {
  std::map<std::tuple<int, bool, int>, Group> groups;  // the last one is the sum
  for (size_t i = 0; i < images.size(); i++)
    for (const auto& key : {std::tuple(0, images[i].infrared, images[i].camera), std::tuple(1, false, 0)}) {
      Group& group = groups[key];
      group.identities.insert(images[i].identity);
      group.images++;
      group.heights.push_back(sizes[i].height);
      group.widths.push_back(sizes[i].width);
    }
  std::string rows;
  for (const auto& [key, group] : groups) {
    const auto [all, infrared, camera] = key;
    rows += fmt::format("{:<8} {:<9} {:>6} {:>11} {:>8}   {:<26} {}\n", part,
                        all        ? "all"
                        : infrared ? "infrared"
                                   : "visible",
                        all          ? "all"
                        : camera > 0 ? std::to_string(camera)
                                     : "?",
                        group.identities.size(), group.images, range_text(group.heights), range_text(group.widths));
  }
  return rows;
}

std::string batches_text(const Dataset& data, const StatsOptions& options) {
  if (data.train.empty()) return "";
  const std::string batch = fmt::format("{} x {}", options.p_size, options.k_size);
  try {
    const IdentitySampler sampler(data.train, options.p_size, options.k_size, 1);
    return fmt::format("batches of {}: {} in epoch 1 (seed 1); {} in no batch\n", batch, sampler.epoch(1).size(),
                       counted(sampler.skipped().size(), "identity", "identities"));
  } catch (const UserError& e) {
    return fmt::format("batches of {}: none; {}\n", batch, e.what());
  }
}

}  // namespace

std::string dataset_stats(const Dataset& data, const StatsOptions& options) {
  std::string text = fmt::format("{:<8} {:<9} {:>6} {:>11} {:>8}   {:<26} {}\n", "part", "modality", "camera",
                                 "identities", "images", "height", "width");
  for (const auto& [part, images] : {std::pair("training", &data.train), std::pair("test", &data.test)})
    if (!images->empty()) text += part_rows(part, *images, sizes_of(data, *images, options.threads));
  return text + batches_text(data, options);
}

}  // namespace mpanet
