#include "mpanet/report/pattern_pictures.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "data/loading/loader.h"
#include "data/pictures/image.h"
#include "data/pictures/resize.h"

namespace mpanet {
namespace {

constexpr int kShownWidth = 72;

// Bilinear between the centres of the map's cells; `y` and `x` in 0..1.
float value_at(const float* map, const MapShape& shape, double y, double x) {
  const double fy = std::clamp(y * shape.height - 0.5, 0.0, shape.height - 1.0);
  const double fx = std::clamp(x * shape.width - 0.5, 0.0, shape.width - 1.0);
  const int y0 = static_cast<int>(fy), x0 = static_cast<int>(fx);
  const int y1 = std::min(y0 + 1, shape.height - 1), x1 = std::min(x0 + 1, shape.width - 1);
  const auto at = [&](int row, int column) { return static_cast<double>(map[row * shape.width + column]); };
  const double top = std::lerp(at(y0, x0), at(y0, x1), fx - x0), bottom = std::lerp(at(y1, x0), at(y1, x1), fx - x0);
  return static_cast<float>(std::lerp(top, bottom, fy - y0));
}

// The picture in gray under the map's colours.
Image overlay(const Image& picture, const float* map, const MapShape& shape, std::pair<float, float> range) {
  constexpr double kPicture = 0.4;
  Image made = picture;
  const double span = std::max(range.second - range.first, 1e-6f);
  for (int y = 0; y < made.height; y++)
    for (int x = 0; x < made.width; x++) {
      uint8_t* pixel = made.pixels.data() + (static_cast<size_t>(y) * made.width + x) * 3;
      const double gray = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
      const float value = value_at(map, shape, (y + 0.5) / made.height, (x + 0.5) / made.width);
      const std::array<uint8_t, 3> color = map_color((value - range.first) / span);
      for (int c = 0; c < 3; c++)
        pixel[c] = static_cast<uint8_t>(std::lround(kPicture * gray + (1 - kPicture) * color[static_cast<size_t>(c)]));
    }
  return made;
}

Image shown_picture(const std::string& path, int height, int width) {
  return resize_bilinear(decode_image(path), std::max(1, kShownWidth * height / width), kShownWidth);
}

}  // namespace

std::array<uint8_t, 3> map_color(double value) {
  constexpr std::array<std::array<double, 3>, 6> kColors = {
      {{0, 34, 78}, {58, 71, 107}, {102, 105, 112}, {147, 142, 119}, {196, 182, 101}, {254, 232, 56}}};
  const double at = std::clamp(value, 0.0, 1.0) * (kColors.size() - 1);
  const size_t low = std::min(static_cast<size_t>(at), kColors.size() - 2);
  std::array<uint8_t, 3> color;
  for (size_t c = 0; c < 3; c++)
    color[c] = static_cast<uint8_t>(
        std::lround(std::lerp(kColors[low][c], kColors[low + 1][c], at - static_cast<double>(low))));
  return color;
}

std::vector<std::pair<ImageRecord, ImageRecord>> chosen_persons(const std::vector<ImageRecord>& images, size_t count) {
  std::map<int, std::pair<const ImageRecord*, const ImageRecord*>> found;
  for (const ImageRecord& image : images) {
    auto& pair = found[image.identity];
    const ImageRecord*& kept = image.infrared ? pair.second : pair.first;
    if (kept == nullptr || image.path < kept->path) kept = &image;
  }
  std::vector<std::pair<ImageRecord, ImageRecord>> both, chosen;
  for (const auto& [identity, pair] : found)
    if (pair.first != nullptr && pair.second != nullptr) both.emplace_back(*pair.first, *pair.second);
  if (both.size() <= count) return both;
  for (size_t i = 0; i < count; i++) chosen.push_back(both[i * both.size() / count]);
  return chosen;
}

std::vector<EmbeddedPicture> embed_pictures(EngineEmbed& engine, const EmbedOptions& options,
                                            const std::vector<std::string>& paths) {
  const MapShape shape = engine.map_shape();
  const auto maps = static_cast<size_t>(shape.parts) * shape.height * shape.width;
  const auto dimension = static_cast<size_t>(engine.feature_size()), batch_size = static_cast<size_t>(options.batch);
  std::vector<std::vector<Sample>> batches((paths.size() + batch_size - 1) / batch_size);
  for (size_t i = 0; i < paths.size(); i++)
    batches[i / batch_size].push_back({paths[i], 0, false, static_cast<uint32_t>(i)});
  Loader loader(loader_config_of(options), batches);
  Batch batch;
  std::vector<float> features(batch_size * dimension), values(batch_size * maps);
  std::vector<EmbeddedPicture> made;
  while (loader.next(batch)) {
    if (maps > 0)
      engine.embed(batch, features.data(), values.data());
    else
      engine.embed(batch, features.data());
    for (size_t i = 0; i < static_cast<size_t>(batch.count); i++) {
      const auto first = features.begin() + static_cast<ptrdiff_t>(i * dimension);
      const auto map = values.begin() + static_cast<ptrdiff_t>(i * maps);
      made.push_back({shown_picture(paths[made.size()], options.height, options.width),
                      {first, first + static_cast<ptrdiff_t>(dimension)},
                      {map, map + static_cast<ptrdiff_t>(maps)}});
    }
  }
  return made;
}

MappedPair map_pair(const EmbeddedPicture& a, const EmbeddedPicture& b, const MapShape& shape) {
  const auto area = static_cast<size_t>(shape.height) * shape.width;
  MappedPair pair;
  for (size_t p = 0; p < static_cast<size_t>(shape.parts); p++) {
    const std::array<const float*, 2> maps = {a.maps.data() + p * area, b.maps.data() + p * area};
    float least = *maps[0], most = *maps[0];
    for (const float* map : maps) {
      least = std::min(least, *std::min_element(map, map + area));
      most = std::max(most, *std::max_element(map, map + area));
    }
    pair.ranges.emplace_back(least, most);
    pair.overlays[0].push_back(overlay(a.picture, maps[0], shape, pair.ranges.back()));
    pair.overlays[1].push_back(overlay(b.picture, maps[1], shape, pair.ranges.back()));
  }
  return pair;
}

std::vector<MappedPerson> map_persons(EngineEmbed& engine, const EmbedOptions& options,
                                      const std::vector<std::pair<ImageRecord, ImageRecord>>& persons,
                                      const std::string& root) {
  std::vector<std::string> paths;
  for (const auto& [visible, infrared] : persons) {
    paths.push_back(root + "/" + visible.path);
    paths.push_back(root + "/" + infrared.path);
  }
  std::vector<EmbeddedPicture> pictures = embed_pictures(engine, options, paths);
  std::vector<MappedPerson> mapped;
  for (size_t i = 0; i < persons.size(); i++) {
    EmbeddedPicture &a = pictures[2 * i], &b = pictures[2 * i + 1];
    MappedPair maps = map_pair(a, b, engine.map_shape());
    mapped.push_back(
        {{persons[i].first, persons[i].second}, {std::move(a.picture), std::move(b.picture)}, std::move(maps)});
  }
  return mapped;
}

}  // namespace mpanet
