// From a resized 8-bit picture to the network's input, in one pass over the pixels. Training: flip, pad and crop,
// scale, normalise, erase. Evaluation: scale, normalise. docs/method.md, section 3.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "core/base/picture_cut.h"
#include "core/base/random.h"

namespace mpanet {

struct AugmentConfig {
  double flip_probability = 0.5;                          // 0..1
  int padding = 10;                                       // pixels on each side before the crop, >= 0; 0: no crop
  std::array<int, 3> pad_value = {127, 127, 127};         // RGB, 0..255
  double erase_probability = 0.5;                         // 0..1
  double erase_area_min = 0.02, erase_area_max = 0.33;    // fraction of the picture's area, 0..1
  double erase_aspect_min = 0.3, erase_aspect_max = 3.3;  // height / width, > 0
  int erase_tries = 10;                                   // >= 0
  bool operator==(const AugmentConfig&) const = default;
};

struct Normalization {
  std::array<float, 3> mean = {0.485f, 0.456f, 0.406f}, std = {0.229f, 0.224f, 0.225f};  // of RGB in 0..1
  bool operator==(const Normalization&) const = default;
};

// The random decisions for one picture.
struct Augmentation {
  bool flip = false;
  int top = 0, left = 0;  // of the crop in the padded picture, 0..2*padding
  bool erase = false;  // whether to erase the rectangle, which is strictly smaller than the picture in both directions
  int erase_top = 0, erase_left = 0, erase_height = 0, erase_width = 0;
  bool operator==(const Augmentation&) const = default;
};

// Draws the random decisions. The order of draws is fixed for every configuration:
//   1. flip: uniform() < flip_probability
//   2. top = below(2 * padding + 1); 3. left likewise
//   4. erase: uniform() < erase_probability; only then up to erase_tries times
//        area = uniform(area_min, area_max) * (height * width), aspect = uniform(aspect_min, aspect_max),
//        h = round(sqrt(area * aspect)), w = round(sqrt(area / aspect)), halves to even;
//        if h < height and w < width: erase_top = below(height - h + 1), erase_left = below(width - w + 1), done.
//      Nothing is erased when every try is too large.
Augmentation draw_augmentation(const AugmentConfig& config, int height, int width, Random random);

// The normalised value of every channel and byte: (byte / 255 - mean) / std in float32, evaluated in this order. It has
// the bits of torchvision's ToTensor and Normalize.
struct PixelTable {
  explicit PixelTable(const Normalization& normalization = {});
  std::array<std::array<float, 256>, 3> value;  // (channel, byte)
};

// Evaluation: image (height, width, 3) bytes to out (height, width, 3).
void normalize_image(const uint8_t* image, int height, int width, const PixelTable& table, float* out);

// Training: the same with the augmentation.
void augment_image(const uint8_t* image, int height, int width, const AugmentConfig& config,
                   const Augmentation& augmentation, const PixelTable& table, float* out);

// The same for the kernel augment_pictures(), whose results have the same bits: the decisions for the picture with
// index `picture`, and the table (3, kPictureCodes) of values.
PictureCut cut_of(const AugmentConfig& config, const Augmentation& augmentation, int picture);
std::vector<float> picture_values(const PixelTable& table, const std::array<int, 3>& pad_value);

}  // namespace mpanet
