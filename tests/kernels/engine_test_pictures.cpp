// The network's input from bytes.
#include <fmt/format.h>

#include <utility>

#include "tests/support/kernel_test.h"

namespace mpanet::PRECISION {
namespace {

// docs/method.md, section 3, step by step on whole pictures: flip, pad by kPadding, crop at (top, left), erase. A pixel
// is three codes.
std::vector<int> augmented(const std::vector<uint8_t>& picture, int h, int w, int padding, const PictureCut& cut) {
  const int width = w + 2 * padding;
  std::vector<int> padded(static_cast<size_t>((h + 2 * padding) * width * 3), kPaddingCode), out;
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++)
      for (int c = 0; c < 3; c++)
        padded[static_cast<size_t>(((y + padding) * width + x + padding) * 3 + c)] =
            picture[static_cast<size_t>((y * w + (cut.flip ? w - 1 - x : x)) * 3 + c)];
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++)
      for (int c = 0; c < 3; c++) {
        const bool erased = y >= cut.erase_top && y < cut.erase_top + cut.erase_height && x >= cut.erase_left &&
                            x < cut.erase_left + cut.erase_width;
        const int row = y + cut.top + padding, column = x + cut.left + padding;
        out.push_back(erased ? kErasedCode : padded[static_cast<size_t>((row * width + column) * 3 + c)]);
      }
  return out;
}

TEST_CASE("augment_pictures: every value is the table's, bit for bit") {
  constexpr int kPadding = 6, kPictures = 5;
  // Rows of whole packs, and not; narrower than the padding; more than one block a picture, and steps of its threads.
  const std::pair<int, int> sizes[] = {{1, 1}, {4, 3}, {7, 5}, {9, 16}, {13, 8}, {96, 64}, {151, 61}};
  on_each_device([&](Context& context) {
    for (const auto& [h, w] : sizes) {
      Random random(1, Purpose::Test, static_cast<uint32_t>(h), static_cast<uint32_t>(w));
      const auto below = [&](int bound) { return static_cast<int>(random.below(static_cast<uint32_t>(bound))); };
      const int64_t values = int64_t{3} * h * w;
      std::vector<unsigned char> bytes;
      for (int64_t i = 0; i < kPictures * values; i++) bytes.push_back(static_cast<unsigned char>(below(256)));
      const std::vector<real> table = rounded(normals(3 * kPictureCodes, 7));
      const int n = 8;  // pictures repeat, and one may be in nobody's cut
      std::vector<PictureCut> cuts;
      std::vector<real> expected;
      for (int i = 0; i < n; i++) {
        PictureCut cut{below(kPictures), i / 2 % 2, below(2 * kPadding + 1) - kPadding,
                       below(2 * kPadding + 1) - kPadding};
        if (i % 2 == 1) {
          cut.erase_height = below(h) + 1, cut.erase_width = below(w) + 1;
          cut.erase_top = below(h - cut.erase_height + 1), cut.erase_left = below(w - cut.erase_width + 1);
        }
        if (i == 4) cut = PictureCut{.picture = 2};  // as evaluation takes it
        cuts.push_back(cut);
        const auto first = bytes.begin() + cut.picture * values;
        const std::vector<int> codes = augmented({first, first + values}, h, w, kPadding, cut);
        for (size_t at = 0; at < codes.size(); at++)
          expected.push_back(table[at % 3 * kPictureCodes + static_cast<size_t>(codes[at])]);
      }
      const Bytes pixels(context, bytes);
      const Buffer drawn(context, cuts.size() * sizeof(PictureCut));
      context.to_device(drawn.as<void>(), cuts.data(), drawn.bytes());
      for (const size_t shift : {0, 1}) {  // an address that packs do not fit
        const Stored y(context, std::vector<real>(expected.size(), 7), shift);
        RUN_ON(context, augment_pictures(context.stream(), pixels.data(), drawn.as<PictureCut>(),
                                         Stored(context, table).data(), n, h, w, y.data()));
        check_exact(y.values(), expected, fmt::format("{}x{}, shift {}", h, w, shift));
      }
    }
  });
}

}  // namespace
}  // namespace mpanet::PRECISION
