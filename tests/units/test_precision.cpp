// The precision of a run: by name, by device, and what a run that goes on keeps.
#include <doctest/doctest.h>

#include "core/base/error.h"
#include "mpanet/config/config.h"
#include "mpanet/network/precision.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;

namespace {

const std::vector<Precision> kAll(std::begin(kEveryPrecision), std::end(kEveryPrecision));
const Device kCuda(Backend::cuda, 0);

GpuSurvey machine(const char* name, int major, int minor) {
  GpuSurvey survey;
  survey.gpus = {{name, major, minor, size_t{8} << 30}};
  return survey;
}
const GpuSurvey kTuring = machine("Tesla T4", 7, 5), kAmpere = machine("NVIDIA A100", 8, 0),
                kHopper = machine("NVIDIA H100", 9, 0);

// The line about the choice for `auto`.
std::string automatic(Device device, const GpuSurvey& survey, const std::vector<Precision>& built = kAll) {
  std::string why;
  const Precision precision = choose_precision(std::nullopt, device, survey, built, &why);
  CHECK(why.starts_with(name_of(precision) + " (auto: "));
  CHECK(why.find('\n') == why.npos);
  return why;
}

}  // namespace

TEST_CASE("names") {
  for (const Precision precision : kAll) {
    CHECK(parse_precision(name_of(precision), "--precision") == precision);
    CHECK(parse_precision_or_auto(name_of(precision), "--precision") == precision);
  }
  CHECK(parse_precision_or_auto("auto", "--precision") == std::nullopt);
  CHECK(error_of([] { parse_precision("auto", "x"); }).starts_with("x: expected f32, "));
  for (const char* text : {"", "f8", "AUTO", "f32 "})
    CHECK(error_of([&] { parse_precision_or_auto(text, "x"); }).starts_with("x: expected auto, f32, tf32, "));
}

TEST_CASE("auto: bf16 where tensor cores have it, f16 on older GPUs, f32 on a CPU") {
  CHECK(automatic(Backend::cpu, {}) == "f32 (auto: on a CPU)");
  CHECK(automatic(Backend::emu, {}) == "f32 (auto: under the emulation)");
  CHECK(automatic(kCuda, kHopper) == "bf16 (auto: NVIDIA H100 has compute capability 9.0, bf16 tensor cores need 8.0)");
  CHECK(automatic(kCuda, kAmpere).starts_with("bf16 "));
  CHECK(automatic(kCuda, kTuring) == "f16 (auto: Tesla T4 has compute capability 7.5, bf16 tensor cores need 8.0)");
  GpuSurvey both = kHopper;
  both.gpus.push_back(kTuring.gpus[0]);
  CHECK(automatic({Backend::cuda, 1}, both).starts_with("f16 "));
}

TEST_CASE("auto in a build that lacks a precision") {
  using enum Precision;
  CHECK(automatic(kCuda, kHopper, {f64, f32, f16}) ==
        "f16 (auto: NVIDIA H100 has compute capability 9.0, bf16 tensor cores need 8.0; this program was built "
        "without bf16)");
  CHECK(automatic(kCuda, kHopper, {f32}).ends_with("; this program was built without bf16, f16)"));
  CHECK(automatic(kCuda, kTuring, {bf16, f32}).starts_with("f32 "));
  CHECK(error_of([] {
          choose_precision(std::nullopt, Backend::cpu, {}, {f64, bf16});
        }) ==
        "precision: auto: on a CPU: expected f32, which this program was built without (MPANET_PRECISIONS); it has "
        "f64, bf16");
}

TEST_CASE("a given precision is taken, except bf16 and tf32 on a GPU that is too old") {
  std::string why;
  for (const Precision precision : kAll) {
    CHECK(choose_precision(precision, Backend::cpu, {}, kAll, &why) == precision);
    CHECK(why == name_of(precision));
    CHECK(choose_precision(precision, kCuda, kAmpere, kAll) == precision);
    if (precision == Precision::bf16 || precision == Precision::tf32)
      CHECK(
          error_of([&] { choose_precision(precision, kCuda, kTuring, kAll); }) ==
          "precision: " + name_of(precision) +
              ": expected a GPU of compute capability 8.0 or newer, but Tesla T4 has compute capability 7.5; f16 runs "
              "on it");
    else
      CHECK(choose_precision(precision, kCuda, kTuring, kAll) == precision);
  }
}

TEST_CASE("a run that goes on keeps its precision, unless another one is asked for, which is a difference") {
  TrainConfig before, now;
  before.precision = Precision::f16;
  keep_precision(before, now);
  CHECK(now.precision == Precision::f16);
  CHECK(fixed_differences(before, now).empty());
  set_config(now, "precision=f32");
  keep_precision(before, now);
  CHECK(fixed_differences(before, now) == std::vector<std::string>{"precision"});
  set_config(now, "precision=auto");
  CHECK(!now.precision);
}
