#include "mpanet/report/pattern_pictures.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "data/loading/loader.h"
#include "data/pictures/image.h"
#include "data/pictures/resize.h"
#include "mpanet/report/pictures.h"

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

std::vector<MappedPerson> map_persons(EngineEmbed& engine, const EmbedOptions& options,
                                      const std::vector<std::pair<ImageRecord, ImageRecord>>& persons,
                                      const std::string& root) {
  const MapShape shape = engine.map_shape();
  const auto parts = static_cast<size_t>(shape.parts), area = static_cast<size_t>(shape.height) * shape.width;
  LoaderConfig config;
  config.height = options.height;
  config.width = options.width;
  config.threads = options.threads;
  config.form = options.form;
  config.allocate = options.allocate;
  const auto sample = [&](const ImageRecord& image) {
    return Sample{root + "/" + image.path, 0, image.infrared, image.infrared ? 1u : 0u};
  };
  std::vector<std::vector<Sample>> batches;  // of one picture: an engine embeds at least one at a time
  for (const auto& [visible, infrared] : persons) {
    batches.push_back({sample(visible)});
    batches.push_back({sample(infrared)});
  }
  Loader loader(config, batches);
  Batch batch;
  std::vector<MappedPerson> mapped;
  std::vector<float> features(static_cast<size_t>(engine.feature_size())), maps(2 * parts * area);
  for (const auto& [visible, infrared] : persons) {
    for (size_t i = 0; i < 2; i++) {
      loader.next(batch);
      engine.embed(batch, features.data(), maps.data() + i * parts * area);
    }
    MappedPerson person;
    person.identity = visible.identity;
    person.visible.image = visible;
    person.infrared.image = infrared;
    for (size_t p = 0; p < parts; p++) {
      std::vector<float> values(maps.begin() + static_cast<ptrdiff_t>(p * area),
                                maps.begin() + static_cast<ptrdiff_t>((p + 1) * area));
      values.insert(values.end(), maps.begin() + static_cast<ptrdiff_t>((parts + p) * area),
                    maps.begin() + static_cast<ptrdiff_t>((parts + p + 1) * area));
      const auto [least, most] = std::minmax_element(values.begin(), values.end());
      person.ranges.emplace_back(*least, *most);
    }
    for (MappedPicture* one : {&person.visible, &person.infrared}) {
      const Image picture = shown_picture(root + "/" + one->image.path, options.height, options.width);
      const float* own = maps.data() + (one == &person.infrared ? parts * area : 0);
      one->uri = picture_uri(picture);
      for (size_t p = 0; p < parts; p++)
        one->maps.push_back(picture_uri(overlay(picture, own + p * area, shape, person.ranges[p])));
    }
    mapped.push_back(std::move(person));
  }
  return mapped;
}

}  // namespace mpanet
