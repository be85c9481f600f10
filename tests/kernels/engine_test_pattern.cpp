// Pattern alignment on inputs whose results every precision represents: the maps are 0, 1/2 or 1, so that a wrong sum
// over channels changes a map, and all sums are exact. The other shapes are cases of opcheck.
#include <string>
#include <vector>

#include "tests/support/kernel_test.h"

namespace mpanet::PRECISION {
namespace {

using Values = std::vector<real>;

constexpr real kSteep = 1024;  // exp(-1024) is 0 and exp(1024) infinite, in double too

struct Sizes {
  int n, hw, c, p;  // hw: a power of two
  int64_t pixels() const { return int64_t{n} * hw; }
};

struct Alignment {
  Sizes s;
  Values x, w, df, dmasks, b;
  Values masks, f, dx, image_dw, image_db;

  explicit Alignment(const Sizes& sizes, bool with_features = true, bool with_maps = true)
      : s(sizes),
        x(integers(s.pixels() * s.c, 1, 1)),
        w(integers(int64_t{s.p} * s.c, 2, 1)),
        df(integers(int64_t{s.n} * (s.p + 1) * s.c, 3, 1)),
        dmasks(integers(s.pixels() * s.p, 4)),
        b(integers(s.p, 5, 1)) {
    for (real& value : w) value *= kSteep;
    for (real& value : b) value *= kSteep;
    if (!with_features) df.assign(df.size(), 0);
    if (!with_maps) dmasks.assign(dmasks.size(), 0);
    masks.resize(dmasks.size());
    f.resize(df.size());
    dx.resize(x.size());
    image_dw.resize(static_cast<size_t>(s.n) * w.size());
    image_db.resize(static_cast<size_t>(s.n) * b.size());
    for (int64_t pixel = 0; pixel < s.pixels(); pixel++) compute(pixel);
  }

  void compute(int64_t pixel) {
    const auto image = static_cast<size_t>(pixel / s.hw), width = static_cast<size_t>(s.c);
    const auto parts = static_cast<size_t>(s.p), at = static_cast<size_t>(pixel);
    const real* const own = x.data() + at * width;
    const real* const g = df.data() + image * (parts + 1) * width;
    const real inverse_hw = real{1} / static_cast<real>(s.hw);
    for (size_t j = 0; j <= parts; j++) {
      real sum = 0, pooled = 0, mask = 1, ds = 0;
      for (size_t k = 0; k < width && j < parts; k++) {
        sum += own[k] * w[j * width + k];
        pooled += own[k] * g[j * width + k];
      }
      if (j < parts) {
        sum += b[j];
        masks[at * parts + j] = mask = sum > 0 ? real{1} : sum < 0 ? real{0} : real{0.5};
        ds = (pooled * inverse_hw + dmasks[at * parts + j]) * mask * (1 - mask);
        image_db[image * parts + j] += ds;
      }
      for (size_t k = 0; k < width; k++) {
        f[(image * (parts + 1) + j) * width + k] += mask * own[k] * inverse_hw;
        dx[at * width + k] += mask * inverse_hw * g[j * width + k];
        if (j == parts) continue;
        dx[at * width + k] += ds * w[j * width + k];
        image_dw[(image * parts + j) * width + k] += ds * own[k];
      }
    }
  }
};

// One image, whole and incomplete groups of pixels; whole, incomplete and no packs; units of tensor cores for one warp,
// for every warp, and for some warps twice; more channels than the threads of a block have.
constexpr Sizes kSizes[] = {{1, 1, 1, 1},   {1, 16, 64, 6},  {3, 4, 64, 7},   {2, 2, 128, 1},  {1, 16, 192, 3},
                            {2, 8, 576, 5}, {1, 32, 512, 6}, {2, 16, 72, 6},  {3, 16, 67, 7},  {2, 4, 64, 8},
                            {1, 8, 5, 2},   {2, 8, 2048, 6}, {1, 4, 4096, 6}, {1, 2, 2048, 8}, {1, 1, 2112, 4}};

std::string text_of(const Sizes& s) {
  return std::to_string(s.n) + "x" + std::to_string(s.hw) + "x" + std::to_string(s.c) + " parts " + std::to_string(s.p);
}

// shift: of every address, in elements.
void check_forward(Context& context, const Alignment& a, size_t shift) {
  const Sizes& s = a.s;
  const Stored x(context, a.x, shift);
  const Reals w(context, a.w, shift), b(context, a.b);
  Reals masks(context, s.pixels() * s.p), f(context, static_cast<int64_t>(a.f.size()));
  RUN_ON(context, pattern_alignment_forward(context.stream(), x.data(), w.data(), b.data(), s.n, s.hw, s.c, s.p,
                                            masks.data(), f.data()));
  check_exact(masks.values(), a.masks, "maps");
  check_exact(f.values(), a.f, "f");
}

void check_backward(Context& context, const Alignment& a, size_t shift, Write write, bool with_features = true,
                    bool with_maps = true) {
  const Sizes& s = a.s;
  const Stored x(context, a.x, shift);
  const Reals w(context, a.w, shift), masks(context, a.masks), df(context, a.df), dmasks(context, a.dmasks);
  const Values before = integers(s.pixels() * s.c, 6);
  Stored dx = write == Write::Add ? Stored(context, before) : Stored(context, s.pixels() * s.c);
  Reals dw(context, static_cast<int64_t>(a.image_dw.size())), db(context, static_cast<int64_t>(a.image_db.size()));
  RUN_ON(context, pattern_alignment_backward(context.stream(), with_features ? df.data() : nullptr,
                                             with_maps ? dmasks.data() : nullptr, x.data(), masks.data(), w.data(), s.n,
                                             s.hw, s.c, s.p, dx.data(), write, dw.data(), db.data()));
  check_exact(dw.values(), a.image_dw, "dw of each image");
  check_exact(db.values(), a.image_db, "db of each image");
  Values expected = a.dx;
  if (write == Write::Add)
    for (size_t i = 0; i < expected.size(); i++) expected[i] += before[i];
  check_exact(dx.values(), rounded(expected), "dx");
}

TEST_CASE("pattern alignment: exact sums of every shape") {
  on_each_device([&](Context& context) {
    for (const Sizes& s : kSizes) {
      INFO(text_of(s));
      const Alignment a(s);
      for (const size_t shift : {0, 1}) {
        CAPTURE(shift);
        check_forward(context, a, shift);
        check_backward(context, a, shift, Write::Set);
        check_backward(context, a, shift, Write::Add);
      }
    }
  });
}

TEST_CASE("pattern alignment: a gradient of f only, and of the maps only") {
  on_each_device([&](Context& context) {
    for (const Sizes& s : {Sizes{2, 16, 64, 6}, Sizes{1, 4, 67, 3}, Sizes{1, 4, 576, 7}}) {
      INFO(text_of(s));
      check_backward(context, Alignment(s, true, false), 0, Write::Set, true, false);
      check_backward(context, Alignment(s, false, true), 0, Write::Set, false, true);
    }
  });
}

}  // namespace
}  // namespace mpanet::PRECISION
