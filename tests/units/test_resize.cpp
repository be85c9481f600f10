// Resizing against Pillow's results (fixtures/images/make.py) and exact cases computed by hand.

#include <doctest/doctest.h>

#include <numeric>

#include "data/pictures/resize.h"
#include "tests/support/image_helpers.h"

using namespace mpanet;

TEST_CASE("equal to Pillow (up to 12) to the bit") {
  Resizer resizer;  // one for all, so that its filters and scratch memory are reused
  Image out;
  for (const auto& c : expected()["resize"]) {
    CAPTURE(c.dump());
    const Image in = formula_image(c[0], c[1], c[2]);
    resizer.resize(in, c[3], c[4], out);
    CHECK(out.height == c[3]);
    CHECK(out.width == c[4]);
    CHECK(checksum(out) == c[5]);
    CHECK(out.pixels == resize_bilinear(in, c[3], c[4]).pixels);
  }
  CHECK(expected()["resize"].size() == 160);
}

TEST_CASE("filters") {
  // Up by two: weights 1/4 and 3/4, clipped at the edges.
  const ResizeFilter up(2, 4);
  CHECK(up.taps == 2);
  CHECK(up.first == std::vector<int32_t>{0, 0, 0, 0});
  const int32_t one = 1 << 22;
  CHECK(up.coefficients == std::vector<int32_t>{one, 0, one * 3 / 4, one / 4, one / 4, one * 3 / 4, 0, one});
  // Down by two: the triangle spans four pixels with weights 1 3 3 1; at the edges 3 3 1.
  const ResizeFilter down(8, 4);
  CHECK(down.taps == 4);
  CHECK(down.first == std::vector<int32_t>{0, 1, 3, 4});
  CHECK(std::vector<int32_t>(down.coefficients.begin() + 4, down.coefficients.begin() + 8) ==
        std::vector<int32_t>{one / 8, one * 3 / 8, one * 3 / 8, one / 8});
  for (int in : {1, 2, 7, 130, 3000})
    for (int out : {1, 3, 128, 977}) {
      const ResizeFilter filter(in, out);
      for (int x = 0; x < out; x++) {
        const auto begin = filter.coefficients.begin() + static_cast<std::ptrdiff_t>(x) * filter.taps;
        // Each coefficient is rounded by at most half a unit.
        CHECK(std::abs(std::accumulate(begin, begin + filter.taps, 0) - one) <= (filter.taps + 1) / 2);
        CHECK(filter.first[static_cast<size_t>(x)] >= 0);
        CHECK(filter.first[static_cast<size_t>(x)] + filter.taps <= in);
      }
    }
}

TEST_CASE("flat pictures stay flat") {
  for (int value : {0, 1, 127, 254, 255}) {
    const Image flat{37, 23, std::vector<uint8_t>(37 * 23 * 3, static_cast<uint8_t>(value))};
    for (auto [height, width] : {std::pair(384, 128), {5, 7}, {37, 200}, {1, 1}, {1, 23}}) {
      const Image out = resize_bilinear(flat, height, width);
      CHECK(out.pixels == std::vector<uint8_t>(static_cast<size_t>(height * width * 3), static_cast<uint8_t>(value)));
    }
  }
}

TEST_CASE("broken promises are caught") {
  Resizer resizer;
  Image out;
  CHECK_THROWS_AS(resizer.resize(Image{2, 2, std::vector<uint8_t>(11)}, 4, 4, out), CheckError);
  CHECK_THROWS_AS(resizer.resize(formula_image(1, 2, 2), 0, 4, out), CheckError);
}
