// Augmentation against torchvision's functions and a second implementation of the random draws, both in
// fixtures/images/make.py.

#include <doctest/doctest.h>

#include "data/loading/augment.h"
#include "tests/support/image_helpers.h"

using namespace mpanet;

namespace {

Augmentation draw(uint64_t seed, uint32_t epoch, uint32_t index, int height, int width,
                  const AugmentConfig& config = {}) {
  return draw_augmentation(config, height, width, Random(seed, Purpose::Augment, epoch, index));
}

uint32_t augmented_checksum(const Image& image, const AugmentConfig& config, const Augmentation& augmentation) {
  std::vector<float> out(image.pixels.size(), -1e30f);
  augment_image(image.pixels.data(), image.height, image.width, config, augmentation, PixelTable(), out.data());
  return checksum(out.data(), out.size());
}

}  // namespace

TEST_CASE("scaled and normalised values are torchvision's, bit for bit") {
  const PixelTable table;
  CHECK(checksum(table.value[0].data(), 3 * 256) == expected()["table"]);
  const Image image = formula_image(5, 3, 4);
  std::vector<float> out(image.pixels.size());
  normalize_image(image.pixels.data(), 3, 4, table, out.data());
  for (size_t i = 0; i < out.size(); i++) CHECK(out[i] == table.value[i % 3][image.pixels[i]]);
  const PixelTable plain(Normalization{{0, 0, 0}, {1, 1, 1}});
  CHECK(plain.value[1][255] == 1.0f);
  CHECK(plain.value[2][51] == 51.0f / 255.0f);
}

TEST_CASE("draws and pictures equal the second implementation") {
  for (const auto& c : expected()["draws"]) {
    CAPTURE(c.dump());
    const auto& at = c["at"];
    const int height = at[3], width = at[4];
    const Augmentation a = draw(at[0], at[1], at[2], height, width);
    CHECK(a.flip == c["flip"]);
    CHECK(a.top == c["top"]);
    CHECK(a.left == c["left"]);
    CHECK(a.erase == !c["erase"].is_null());
    if (a.erase) CHECK(nlohmann::json({a.erase_top, a.erase_left, a.erase_height, a.erase_width}) == c["erase"]);
    const Image image = formula_image(at[2].get<uint32_t>() * 2 + 1, height, width);
    CHECK(augmented_checksum(image, {}, a) == c["crc"]);
  }
}

TEST_CASE("another padding and colour") {
  AugmentConfig config;
  config.padding = 7;
  config.pad_value = {127, 0, 255};
  Augmentation a{.flip = true, .top = 1, .left = 12, .erase = true};
  a.erase_top = 3, a.erase_left = 4, a.erase_height = 5, a.erase_width = 6;
  CHECK(augmented_checksum(formula_image(1, 30, 20), config, a) == expected()["other_augmentation"]);
}

TEST_CASE("statistics over many pictures, exact") {
  for (const auto& s : expected()["statistics"]) {
    const int height = s["height"], width = s["width"], count = s["count"];
    int flips = 0, top = 0, left = 0, erased = 0;
    std::array<int, 4> boxes{};
    for (int i = 0; i < count; i++) {
      const Augmentation a = draw(5, 1, static_cast<uint32_t>(i), height, width);
      flips += a.flip;
      top += a.top;
      left += a.left;
      erased += a.erase;
      boxes[0] += a.erase_top, boxes[1] += a.erase_left, boxes[2] += a.erase_height, boxes[3] += a.erase_width;
      if (!a.erase) continue;
      CHECK(a.erase_height < height);
      CHECK(a.erase_width < width);
      CHECK(a.erase_top + a.erase_height <= height);
      CHECK(a.erase_left + a.erase_width <= width);
    }
    CHECK(flips == s["flips"]);
    CHECK(top == s["top"]);
    CHECK(left == s["left"]);
    CHECK(erased == s["erased"]);
    CHECK(nlohmann::json(boxes) == s["boxes"]);
  }
}

TEST_CASE("probabilities 0 and 1, no crop, no tries") {
  AugmentConfig never;
  never.flip_probability = never.erase_probability = 0;
  never.padding = 0;
  AugmentConfig always = never;
  always.flip_probability = always.erase_probability = 1;
  AugmentConfig tryless = always;
  tryless.erase_tries = 0;
  int erased = 0;
  for (uint32_t i = 0; i < 200; i++) {
    CHECK(draw(1, 1, i, 64, 32, never) == Augmentation{});
    const Augmentation a = draw(1, 1, i, 64, 32, always);
    CHECK(a.flip);
    CHECK(a.top == 0);
    CHECK(a.left == 0);
    erased += a.erase;
    CHECK(!draw(1, 1, i, 64, 32, tryless).erase);
  }
  CHECK(erased == 200);
  const Image image = formula_image(9, 6, 5);
  std::vector<float> plain(image.pixels.size()), mirrored(image.pixels.size());
  normalize_image(image.pixels.data(), 6, 5, PixelTable(), plain.data());
  CHECK(augmented_checksum(image, never, {}) == checksum(plain.data(), plain.size()));
  for (size_t y = 0; y < 6; y++)
    for (size_t x = 0; x < 5; x++)
      for (size_t c = 0; c < 3; c++) mirrored[(y * 5 + x) * 3 + c] = plain[(y * 5 + 4 - x) * 3 + c];
  CHECK(augmented_checksum(image, never, {.flip = true}) == checksum(mirrored.data(), mirrored.size()));
}

TEST_CASE("a picture smaller than the padding") {
  // Every position of the crop; most have no pixel of the picture.
  const Image image = formula_image(9, 3, 2);
  const PixelTable table;
  const AugmentConfig config;
  std::vector<float> out(image.pixels.size());
  for (int top = 0; top <= 20; top++)
    for (int left = 0; left <= 20; left++)
      for (const bool flip : {false, true}) {
        augment_image(image.pixels.data(), 3, 2, config, {.flip = flip, .top = top, .left = left}, table, out.data());
        for (int y = 0; y < 3; y++)
          for (int x = 0; x < 2; x++)
            for (int c = 0; c < 3; c++) {
              const int sy = y + top - 10, sx = x + left - 10;
              const bool inside = sy >= 0 && sy < 3 && sx >= 0 && sx < 2;
              const int byte =
                  inside ? image.pixels[static_cast<size_t>((sy * 2 + (flip ? 1 - sx : sx)) * 3 + c)] : 127;
              REQUIRE(out[static_cast<size_t>((y * 2 + x) * 3 + c)] ==
                      table.value[static_cast<size_t>(c)][static_cast<size_t>(byte)]);
            }
      }
}
