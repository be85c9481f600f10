#include "data/loading/augment.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "core/base/error.h"

namespace mpanet {
namespace {

// Converts `count` pixels that start at `in`, left to right (step 3) or right to left (step -3).
inline float* convert(const uint8_t* in, int count, std::ptrdiff_t step, const PixelTable& table, float* out) {
  for (int x = 0; x < count; x++, in += step, out += 3) {
    out[0] = table.value[0][in[0]];
    out[1] = table.value[1][in[1]];
    out[2] = table.value[2][in[2]];
  }
  return out;
}

inline float* repeat(const std::array<float, 3>& pixel, int count, float* out) {
  for (int x = 0; x < count; x++, out += 3) std::copy_n(pixel.data(), 3, out);
  return out;
}

}  // namespace

Augmentation draw_augmentation(const AugmentConfig& config, int height, int width, Random random) {
  Augmentation a;
  a.flip = random.uniform() < config.flip_probability;
  const auto places = static_cast<uint32_t>(2 * config.padding + 1);
  a.top = static_cast<int>(random.below(places));
  a.left = static_cast<int>(random.below(places));
  if (random.uniform() >= config.erase_probability) return a;
  for (int attempt = 0; attempt < config.erase_tries; attempt++) {
    const double share = random.uniform(config.erase_area_min, config.erase_area_max);
    const double area = share * (static_cast<double>(height) * width);
    const double aspect = random.uniform(config.erase_aspect_min, config.erase_aspect_max);
    const double h = std::nearbyint(std::sqrt(area * aspect)), w = std::nearbyint(std::sqrt(area / aspect));
    if (!(h < height && w < width)) continue;
    a.erase = true;
    a.erase_height = static_cast<int>(h);
    a.erase_width = static_cast<int>(w);
    a.erase_top = static_cast<int>(random.below(static_cast<uint32_t>(height - a.erase_height + 1)));
    a.erase_left = static_cast<int>(random.below(static_cast<uint32_t>(width - a.erase_width + 1)));
    break;
  }
  return a;
}

PixelTable::PixelTable(const Normalization& normalization) {
  for (size_t c = 0; c < 3; c++)
    for (size_t byte = 0; byte < 256; byte++) {
      const float scaled = static_cast<float>(byte) / 255.0f;
      const float centered = scaled - normalization.mean[c];
      value[c][byte] = centered / normalization.std[c];
    }
}

void normalize_image(const uint8_t* image, int height, int width, const PixelTable& table, float* out) {
  convert(image, height * width, 3, table, out);
}

void augment_image(const uint8_t* image, int height, int width, const AugmentConfig& config,
                   const Augmentation& augmentation, const PixelTable& table, float* out) {
  std::array<float, 3> pad;
  for (size_t c = 0; c < 3; c++) pad[c] = table.value[c][static_cast<size_t>(config.pad_value[c])];
  // The crop starts `shift` pixels right of the picture and `drop` pixels below its top. Padding is outside the
  // picture.
  const int shift = augmentation.left - config.padding, drop = augmentation.top - config.padding;
  const int pad_left = std::clamp(-shift, 0, width), pad_right = std::clamp(shift, 0, width);
  const int kept = std::max(width - pad_left - pad_right, 0), first = pad_right;  // columns of the (flipped) picture
  float* at = out;
  for (int y = 0; y < height; y++) {
    const int source = y + drop;
    if (source < 0 || source >= height) {
      at = repeat(pad, width, at);
      continue;
    }
    const uint8_t* row = image + static_cast<size_t>(source) * static_cast<size_t>(width) * 3;
    at = repeat(pad, pad_left, at);
    if (kept > 0)
      at = augmentation.flip ? convert(row + static_cast<size_t>(width - 1 - first) * 3, kept, -3, table, at)
                             : convert(row + static_cast<size_t>(first) * 3, kept, 3, table, at);
    at = repeat(pad, pad_right, at);
  }
  if (!augmentation.erase) return;
  for (int y = augmentation.erase_top; y < augmentation.erase_top + augmentation.erase_height; y++)
    std::fill_n(out + (static_cast<size_t>(y) * static_cast<size_t>(width) + augmentation.erase_left) * 3,
                static_cast<size_t>(augmentation.erase_width) * 3, 0.0f);
}

PictureCut cut_of(const AugmentConfig& config, const Augmentation& augmentation, int picture) {
  PictureCut cut;
  cut.picture = picture;
  cut.flip = augmentation.flip ? 1 : 0;
  cut.top = augmentation.top - config.padding;
  cut.left = augmentation.left - config.padding;
  if (!augmentation.erase) return cut;
  cut.erase_top = augmentation.erase_top;
  cut.erase_left = augmentation.erase_left;
  cut.erase_height = augmentation.erase_height;
  cut.erase_width = augmentation.erase_width;
  return cut;
}

std::vector<float> picture_values(const PixelTable& table, const std::array<int, 3>& pad_value) {
  std::vector<float> values;
  for (size_t c = 0; c < 3; c++) {
    values.insert(values.end(), table.value[c].begin(), table.value[c].end());
    values.push_back(table.value[c][static_cast<size_t>(pad_value[c])]);  // kPaddingCode
    values.push_back(0);                                                  // kErasedCode
  }
  return values;
}

}  // namespace mpanet
