// Pooling, elementwise kernels, sums of scalars and of splits, optimisers.
#include <deque>
#include <limits>
#include <utility>

#include "tests/support/kernel_test.h"

namespace mpanet::PRECISION {
namespace {

constexpr bool kDouble = sizeof(real) == 8;

TEST_CASE("max_pool: values, ties, NaN and infinities as PyTorch has them") {
  const real nan = std::numeric_limits<real>::quiet_NaN(), inf = std::numeric_limits<real>::infinity();
  const std::vector<real> picture = {1,    1,    2, 2,   nan,  //
                                     1,    1,    2, 2,   0,    //
                                     -inf, -inf, 3, 3,   3,    //
                                     -inf, -inf, 3, nan, 5,    //
                                     0,    0,    4, 4,   5};
  // torch 2, max_pool2d(size 3, stride 2, padding 1, return_indices=True)
  const std::vector<real> expected = {1, 2, nan, 1, nan, nan, 0, nan, nan};
  const int indices[] = {0, 2, 4, 5, 18, 18, 20, 18, 18};
  const PoolShape s{.n = 1, .h = 5, .w = 5, .c = 1};
  on_each_device([&](Context& context) {
    Stored y(context, s.output_count());
    Array<uint8_t> winner(context, s.output_count());
    RUN_ON(context, max_pool_forward(context.stream(), s, Stored(context, picture).data(), y.data(), winner.data()));
    const std::vector<real> values = y.values();
    const std::vector<uint8_t> places = winner.values();
    for (size_t i = 0; i < 9; i++) {
      CAPTURE(i);
      CHECK((values[i] == expected[i] || (std::isnan(values[i]) && std::isnan(expected[i]))));
      const int at = static_cast<int>(i), row = at / 3 * 2 - 1 + places[i] / 3, column = at % 3 * 2 - 1 + places[i] % 3;
      CHECK(row * 5 + column == indices[i]);
    }
  });
}

TEST_CASE("max_pool against windows looked through one by one") {
  const PoolShape shapes[] = {{.n = 2, .h = 12, .w = 8, .c = 64},
                              {.n = 1, .h = 7, .w = 9, .c = 67},
                              {.n = 3, .h = 1, .w = 1, .c = 5},
                              {.n = 1, .h = 8, .w = 6, .c = 3, .size = 2, .stride = 2, .pad = 0},
                              {.n = 1, .h = 9, .w = 9, .c = 2, .size = 2, .stride = 3, .pad = 0},
                              {.n = 2, .h = 6, .w = 5, .c = 130, .size = 3, .stride = 1, .pad = 1}};
  on_each_device([&](Context& context) {
    for (const PoolShape& s : shapes) {
      const std::string what = std::to_string(s.h) + " x " + std::to_string(s.w) + " x " + std::to_string(s.c);
      const std::vector<real> x = integers(s.input_count(), 1, 2), dy = integers(s.output_count(), 2);  // many ties
      std::vector<real> expected, gradient(x.size());
      std::vector<uint8_t> places;
      for (int n = 0; n < s.n; n++)
        for (int row = 0; row < s.oh(); row++)
          for (int column = 0; column < s.ow(); column++)
            for (int c = 0; c < s.c; c++) {
              int best = -1;
              size_t at = 0;
              for (int i = 0; i < s.size * s.size; i++) {
                const int yy = row * s.stride - s.pad + i / s.size, xx = column * s.stride - s.pad + i % s.size;
                if (yy < 0 || yy >= s.h || xx < 0 || xx >= s.w) continue;
                const auto here = static_cast<size_t>(((int64_t{n} * s.h + yy) * s.w + xx) * s.c + c);
                if (best < 0 || x[here] > x[at]) best = i, at = here;
              }
              gradient[at] += dy[expected.size()];
              expected.push_back(x[at]);
              places.push_back(static_cast<uint8_t>(best));
            }
      Stored y(context, s.output_count()), dx(context, s.input_count());
      Array<uint8_t> winner(context, s.output_count());
      RUN_ON(context, max_pool_forward(context.stream(), s, Stored(context, x).data(), y.data(), winner.data()));
      check_exact(y.values(), expected, what);
      CHECK(winner.values() == places);
      RUN_ON(context,
             max_pool_backward(context.stream(), s, Stored(context, dy).data(), winner.data(), dx.data(), Write::Set));
      check_exact(dx.values(), gradient, what + " dx");
      RUN_ON(context,
             max_pool_backward(context.stream(), s, Stored(context, dy).data(), winner.data(), dx.data(), Write::Add));
      for (real& value : gradient) value *= 2;
      check_exact(dx.values(), gradient, what + " dx added");
    }
  });
}

TEST_CASE("mean_pool") {
  on_each_device([&](Context& context) {
    const int sizes[][3] = {{1, 1, 1}, {2, 8, 67}, {3, 16, 256}, {1, 64, 5}};  // hw a power of two: exact
    for (const auto& [n, hw, c] : sizes) {
      const std::vector<real> x = integers(int64_t{n} * hw * c, 1), dy = integers(int64_t{n} * c, 2);
      std::vector<real> expected(static_cast<size_t>(n * c)), gradient(x.size());
      for (int i = 0; i < n; i++)
        for (int p = 0; p < hw; p++)
          for (int j = 0; j < c; j++) {
            const auto in = static_cast<size_t>((i * hw + p) * c + j), out = static_cast<size_t>(i * c + j);
            expected[out] += x[in] / static_cast<real>(hw);
            gradient[in] = dy[out] / static_cast<real>(hw);
          }
      Reals y(context, int64_t{n} * c);
      Stored dx(context, int64_t{n} * hw * c);
      RUN_ON(context, mean_pool_forward(context.stream(), Stored(context, x).data(), n, hw, c, y.data()));
      check_exact(y.values(), expected, std::to_string(hw));
      RUN_ON(context, mean_pool_backward(context.stream(), Reals(context, dy).data(), n, hw, c, dx.data(), Write::Set));
      check_exact(dx.values(), gradient, std::to_string(hw) + " dx");
    }
  });
}

TEST_CASE("relu on every tail") {
  on_each_device([&](Context& context) {
    for (int64_t count = 1; count <= 35; count++) {
      const std::vector<real> x = integers(count, 1), dy = integers(count, 2);
      std::vector<real> expected(x.size()), gradient(x.size());
      for (size_t i = 0; i < x.size(); i++) {
        expected[i] = x[i] > 0 ? x[i] : 0;
        gradient[i] = x[i] > 0 ? dy[i] : 0;
      }
      Stored y(context, count), dx(context, count);
      RUN_ON(context, relu_forward(context.stream(), Stored(context, x).data(), y.data(), count));
      check_exact(y.values(), expected, std::to_string(count));
      RUN_ON(context,
             relu_backward(context.stream(), Stored(context, dy).data(), y.data(), dx.data(), count, Write::Set));
      check_exact(dx.values(), gradient, std::to_string(count) + " backward");
    }
  });
}

TEST_CASE("relu and sigmoid") {
  on_each_device([&](Context& context) {
    const int64_t count = 20011;  // more than kSerialCount, and odd
    const std::vector<real> x = integers(count, 1), dy = integers(count, 2), before = integers(count, 3);
    std::vector<real> expected(x.size());
    for (size_t i = 0; i < x.size(); i++) expected[i] = x[i] > 0 ? x[i] : 0;
    Stored y(context, count), dx(context, before);
    RUN_ON(context, relu_forward(context.stream(), Stored(context, x).data(), y.data(), count));
    check_exact(y.values(), expected, "relu");
    for (size_t i = 0; i < x.size(); i++) expected[i] = before[i] + (x[i] > 0 ? dy[i] : 0);
    RUN_ON(context,
           relu_backward(context.stream(), Stored(context, dy).data(), y.data(), dx.data(), count, Write::Add));
    check_exact(dx.values(), expected, "relu backward");
    const real nan = std::numeric_limits<real>::quiet_NaN();
    RUN_ON(context, relu_forward(context.stream(), Stored(context, std::vector<real>{nan}).data(), y.data(), 1));
    CHECK(std::isnan(y.values()[0]));

    const std::vector<real> points = {0, 1, -1, 800, -800, real(0.25)};
    const std::vector<double> sigmoids = {0.5, 0.7310585786300049, 0.2689414213699951, 1, 0, 0.5621765008857981};
    const std::vector<double> slopes = {0.25, 0.19661193324148185, 0.19661193324148185, 0, 0, 0.24613408273759835};
    Reals s(context, 6), ds(context, 6);
    RUN_ON(context, sigmoid_forward(context.stream(), Reals(context, points).data(), s.data(), 6));
    check_close(s.values(), sigmoids, kDouble ? 1e-15 : 1e-7, "sigmoid");
    const std::vector<real> ones(6, 1);
    RUN_ON(context,
           sigmoid_backward(context.stream(), Reals(context, ones).data(), s.data(), ds.data(), 6, Write::Set));
    check_close(ds.values(), slopes, kDouble ? 1e-15 : 1e-7, "sigmoid backward");
  });
}

TEST_CASE("sums over rows, casts, fills") {
  on_each_device([&](Context& context) {
    const int64_t sizes[][2] = {{1, 1}, {5, 3}, {257, 33}, {3000, 6}, {1000, 97}, {5, 2048}, {700, 64}};
    for (const auto& [rows, k] : sizes) {
      const std::vector<real> dy = integers(rows * k, 1);
      std::vector<real> sums(static_cast<size_t>(k), 5);
      for (size_t i = 0; i < dy.size(); i++) sums[i % sums.size()] += dy[i];
      const int width = static_cast<int>(k);
      Reals a(context, k, 5), b(context, k, 5);
      Bytes work(context, static_cast<int64_t>(ASK_BACKEND(context, row_sums_workspace_bytes(rows, width))));
      RUN_ON(context, bias_backward(context.stream(), Stored(context, dy).data(), rows, width, a.data(), Write::Add,
                                    work.data()));
      check_exact(a.values(), sums, "bias_backward");
      RUN_ON(context,
             column_sums(context.stream(), Reals(context, dy).data(), rows, width, b.data(), Write::Set, work.data()));
      for (real& value : sums) value -= 5;
      check_exact(b.values(), sums, "column_sums");
    }
    const int64_t count = 20011;
    const std::vector<real> from = integers(count, 3);
    const std::vector<float> pictures(from.begin(), from.end());
    Stored cast(context, count), images(context, count);
    RUN_ON(context, cast_to_storage(context.stream(), Reals(context, from).data(), cast.data(), count));
    check_exact(cast.values(), from, "cast_to_storage");
    RUN_ON(context, cast_images(context.stream(), Array<float>(context, pictures).data(), images.data(), count));
    check_exact(images.values(), from, "cast_images");
  });
}

// More products than a launch has, in packs and without.
TEST_CASE("sums of the splits of many products") {
  on_each_device([&](Context& context) {
    std::deque<Reals> partial, to;
    std::vector<std::vector<real>> expected;
    std::vector<SplitSums> list;
    for (uint32_t i = 0; i < 131; i++) {
      const int splits = 1 + static_cast<int>(i % 5);
      const int64_t count = i % 17 == 0 ? 5000 + i : 1 + i * i % 97 * 4;
      const size_t shift = i % 11 == 3 ? 1 : 0;
      const bool add = i % 7 == 2;
      const std::vector<real> parts = integers(splits * count, i);
      std::vector<real>& sums = expected.emplace_back(static_cast<size_t>(count), add ? 9 : 0);
      for (size_t at = 0; at < parts.size(); at++) sums[at % sums.size()] += parts[at];
      partial.emplace_back(context, parts);
      to.emplace_back(context, std::vector<real>(sums.size(), 9), shift);
      list.push_back({partial.back().data(), splits, to.back().data(), count, add ? Write::Add : Write::Set});
    }
    RUN_ON(context, add_split_sums(context.stream(), list.data(), static_cast<int>(list.size())));
    for (size_t i = 0; i < list.size(); i++) check_exact(to[i].values(), expected[i], "product " + std::to_string(i));
  });
}

TEST_CASE("weighted sum: the record of its terms, and gradients of which two have one address") {
  on_each_device([&](Context& context) {
    const Reals values(context, {3, -2, 5}), upstream(context, {2});
    Reals total(context, 1), record(context, 5, 9), gradients(context, {10, 20});
    const Terms terms{{values.data(), values.data() + 1, values.data() + 2}, {2, 4, -1}, 3};
    RUN_ON(context, weighted_sum_forward(context.stream(), terms, total.data(), record.data()));
    CHECK(total.value() == -7);
    check_exact(record.values(), {3, -2, 5, -7, 9}, "record");
    RUN_ON(context, weighted_sum_forward(context.stream(), terms, total.data(), nullptr));
    CHECK(total.value() == -7);
    real* const first = gradients.data();
    RUN_ON(context, weighted_sum_backward(context.stream(), upstream.data(), terms,
                                          {{first, first + 1, first}, {Write::Set, Write::Add, Write::Add}}));
    check_exact(gradients.values(), {2, 28}, "gradients");
  });
}

// Three steps of six parameters in torch 2 (float64). The learning rate drops at the third.
const std::vector<double> kStart = {0.5, -1.25, 3.0, 0.0, 1e-3, -7.5};
const std::vector<double> kGradients[] = {
    {0.1, -0.2, 0.3, 1e-9, -5.0, 0.0}, {0.4, 0.25, -0.3, 2.0, 1.0, 1e-4}, {-0.7, 0.0, 0.6, -1.5, 0.125, 0.75}};
constexpr double kRates[] = {3.5e-4, 3.5e-4, 3.5e-5};

std::vector<real> narrow(const std::vector<double>& values) { return {values.begin(), values.end()}; }

constexpr double kScale = 1024;  // of gradients; a power of two, so that it changes no bits

// The gradients of step 0, 1 or 2, multiplied by kScale in step 1.
std::vector<real> scaled_gradients(int step) {
  std::vector<real> gradients = narrow(kGradients[step]);
  if (step == 1)
    for (real& g : gradients) g *= static_cast<real>(kScale);
  return gradients;
}

StepState state_of(int step) { return {.step = step + 1, .gradient_scale = step == 1 ? kScale : 1}; }

TEST_CASE("adam_step equals torch.optim.Adam") {
  struct Run {
    AdamSettings settings;
    std::vector<double> after[3], first, second;
  };
  const Run runs[] = {{{.weight_decay = 5e-4},
                       {{0.4996500000349127, -1.2496500000174455, 2.9996500000116084, -3.181818181818182e-05,
                         0.0013499999993, -7.499650000933331},
                        {0.499340395848666, -1.2497060071417612, 2.999666670999612, -0.00029226606834264286,
                         0.001528859080876956, -7.4993002809290505},
                        {0.499347506761339, -1.249710292819609, 2.9996491381270483, -0.00029494994291061317,
                         0.0015421322953611514, -7.499322449436014}},
                       {-0.025832298730205976, 0.006130655449642124, 0.0577064675835505, 0.02999998403587841,
                        -0.302499822307046, 0.07399280073591152},
                       {0.0006597202189733087, 0.0001022961104637868, 0.0005415358380254367, 0.0062460003748264015,
                        0.0259646465497537, 0.0005569169269558535}},
                      {{.beta1 = 0.8, .beta2 = 0.95, .eps = 1e-4},
                       {{0.49965034965034966, -1.2496501749125437, 2.999650116627791, -3.4999650003499966e-09,
                         0.0013499930001399972, -7.5},
                        {0.49933388737140055, -1.2497272264065564, 2.9996889925580366, -0.00027151143280382294,
                         0.0015137252795384244, -7.500113305028344},
                        {0.49934337348664254, -1.2497328685144626, 2.9996705705442865, -0.000272496313307088,
                         0.001525087511850262, -7.500137528677896}},
                       {-0.06319999999999998, 0.014399999999999991, 0.11039999999999997, 0.020000000128000024,
                        -0.4549999999999999, 0.15001599999999995},
                       {0.03255125000000003, 0.004773750000000004, 0.026336250000000023, 0.30250000000000027,
                        1.1764062500000008, 0.028125000475000026}}};
  on_each_device([&](Context& context) {
    for (const Run& run : runs) {
      Reals value(context, narrow(kStart)), first(context, 6, 0), second(context, 6, 0);
      const std::vector<real> before = rounded(narrow({9, 9, 9, 9, 9, 9}));
      Stored working(context, before);
      for (int step = 0; step < 3; step++) {
        const StepRates rates{.learning_rate = kRates[step]};
        RUN_ON(context, adam_step(context.stream(), Array<StepRates>(context, {rates}).data(),
                                  Array<StepState>(context, {state_of(step)}).data(), run.settings,
                                  Reals(context, scaled_gradients(step)).data(), first.data(), second.data(),
                                  value.data(), 6, working.data(), 5));
        check_close(value.values(), run.after[step], kDouble ? 1e-14 : 2e-7, "value", kDouble ? 1e-3 : 1);
        std::vector<real> copied = rounded(value.values());
        copied[5] = before[5];
        check_exact(working.values(), copied, "working copies");
      }
      check_close(first.values(), run.first, kDouble ? 1e-13 : 1e-6, "first moment", 0.1);
      check_close(second.values(), run.second, kDouble ? 1e-13 : 1e-6, "second moment", 0.1);
    }
  });
}

TEST_CASE("sgd_step equals torch.optim.SGD") {
  const std::vector<double> after[] = {
      {0.4999649125, -1.24992978125, 2.999894475, -3.5e-13, 0.002749999825, -7.4999986875},
      {0.49979324625614036, -1.2499538656372884, 2.999903977518467, -0.0007000000006649998, 0.003974999186250031,
       -7.49999622875023},
      {0.4998022875478112, -1.2499560113579518, 2.999883780246809, -0.0007104999884433498, 0.004080874059200048,
       -7.500022126212817}};
  const std::vector<double> buffer = {-0.2583226191662469, 0.06130630466561885, 0.5770649045025091,
                                      0.29999965080999935, -3.024996370000486,  0.7399275024762498};
  const SgdSettings settings{.momentum = 0.9, .weight_decay = 5e-4};
  on_each_device([&](Context& context) {
    Reals value(context, narrow(kStart)), momentum(context, 6, 9);  // the first step does not read the momentum
    Stored working(context, 6);
    for (int step = 0; step < 3; step++) {
      const StepRates rates{.learning_rate = kRates[step]};
      RUN_ON(context, sgd_step(context.stream(), Array<StepRates>(context, {rates}).data(),
                               Array<StepState>(context, {state_of(step)}).data(), settings,
                               Reals(context, scaled_gradients(step)).data(), momentum.data(), value.data(), 6,
                               working.data(), 6));
      check_close(value.values(), after[step], kDouble ? 1e-14 : 2e-7, "value", kDouble ? 1e-3 : 1);
      check_exact(working.values(), rounded(value.values()), "working copies");
    }
    check_close(momentum.values(), buffer, kDouble ? 1e-13 : 1e-6, "momentum", 0.1);
  });
}

TEST_CASE("teacher_update") {
  on_each_device([&](Context& context) {
    const std::vector<real> live = integers(20011, 1), start = integers(20011, 2);
    std::vector<real> expected(live.size());
    for (size_t i = 0; i < live.size(); i++) expected[i] = start[i] * real(0.75) + live[i] * real(0.25);  // exact
    Reals teacher(context, start);
    const StepRates rates{.teacher_rate = 0.25};
    RUN_ON(context, teacher_update(context.stream(), Array<StepRates>(context, {rates}).data(),
                                   Reals(context, live).data(), teacher.data(), teacher.count()));
    check_exact(teacher.values(), expected, "teacher");
  });
}

TEST_CASE("a step that is left out changes no parameter") {
  on_each_device([&](Context& context) {
    const std::vector<real> start = integers(5003, 1), moments = integers(5003, 2);
    const std::vector<real> bad(5003, std::numeric_limits<real>::infinity());
    const Array<StepRates> rates(context, {StepRates{.learning_rate = 1}});
    const Array<StepState> state(context, {StepState{.step = 4, .updated = 0}});
    Reals value(context, start), first(context, moments), second(context, moments);
    const Reals gradient(context, bad);
    Stored working(context, moments);
    RUN_ON(context, adam_step(context.stream(), rates.data(), state.data(), AdamSettings{}, gradient.data(),
                              first.data(), second.data(), value.data(), 5003, working.data(), 5003));
    RUN_ON(context, sgd_step(context.stream(), rates.data(), state.data(), SgdSettings{}, gradient.data(), first.data(),
                             value.data(), 5003, working.data(), 5003));
    check_exact(value.values(), start, "value");
    check_exact(first.values(), moments, "first moment");
    check_exact(second.values(), moments, "second moment");
    check_exact(working.values(), moments, "working copies");
  });
}

TEST_CASE("the loss scale: halved by a step that is left out, doubled after steady ones, between its bounds") {
  struct Case {
    double scale;
    int32_t steady, finite;
    double scale_after;
    int32_t steady_after;
  };
  const LossScaling scaling{.largest = 4096, .steady_steps = 3};
  const Case cases[] = {{1024, 0, 1, 1024, 1}, {1024, 1, 1, 1024, 2}, {1024, 2, 1, 2048, 0}, {4096, 2, 1, 4096, 0},
                        {1024, 0, 0, 512, 0},  {1024, 2, 0, 512, 0},  {1, 2, 0, 1, 0},       {2, 1, 0, 1, 0}};
  on_each_device([&](Context& context) {
    for (const Case& c : cases) {
      CAPTURE(c.scale);
      CAPTURE(c.steady);
      CAPTURE(c.finite);
      const StepState before{
          .step = 5, .loss_scale = c.scale, .steady = c.steady, .finite = c.finite, .updated = 1 - c.finite};
      const Array<StepState> state(context, {before});
      const Reals gradient(context, 1);
      RUN_ON(context, begin_backward(context.stream(), state.data(), gradient.data()));
      CHECK(gradient.value() == static_cast<real>(c.scale));
      RUN_ON(context, begin_update(context.stream(), state.data(), scaling));
      const StepState after = state.value();
      CHECK(after.updated == c.finite);
      CHECK(after.finite == 1);
      CHECK(after.step == 5 + c.finite);
      CHECK(after.gradient_scale == c.scale);
      CHECK(after.loss_scale == c.scale_after);
      CHECK(after.steady == c.steady_after);
    }
    // A constant scale.
    const Array<StepState> state(context, {StepState{.step = 5, .steady = 2}});
    RUN_ON(context, begin_update(context.stream(), state.data(), LossScaling{}));
    CHECK(state.value().step == 6);
    CHECK(state.value().steady == 2);
    CHECK(state.value().loss_scale == 1);
  });
}

}  // namespace
}  // namespace mpanet::PRECISION
