// Precisions by name, and the precision of a run: the one that the user gave, or for `auto` the best one of the device.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/device.h"
#include "kernels/survey.h"

namespace mpanet {

// The type of stored activations. Sums, statistics, losses and parameters are f32, or f64 under --precision f64. tf32
// is f32, except that the operands of convolutions and products are rounded to TF32, in bf16 and f16 those of products
// (docs/method.md, section 7).
enum class Precision { f32, tf32, bf16, f16, f64 };
inline constexpr Precision kEveryPrecision[] = {Precision::f32, Precision::tf32, Precision::bf16, Precision::f16,
                                                Precision::f64};

// "f32", "tf32", "bf16", "f16", "f64". parse_precision() throws UserError, which begins with `where`, for another text.
std::string name_of(Precision precision);
Precision parse_precision(const std::string& text, const std::string& where);
// The same, and nullopt for "auto".
std::optional<Precision> parse_precision_or_auto(const std::string& text, const std::string& where);

// The text of --precision where auto is allowed.
constexpr const char* kPrecisionHelp =
    "auto, f32, tf32, bf16, f16 or f64; auto: bf16 on a GPU of compute capability 8.0 or newer, f16 on an older one, "
    "else "
    "f32";

// The engines that this program was built with (MPANET_PRECISIONS); f32's also computes tf32.
const std::vector<Precision>& built_precisions();

// The precision for the device. `wanted` is nullopt for auto, which takes the first one that the program has of
//   bf16, f16, f32   on a GPU with bf16 tensor cores, of compute capability 8.0 or newer
//   f16, f32         on an older GPU
//   f32              on a CPU and under the emulation
// `why`, if given, gets a line that names the precision and the reason. UserError, one line: bf16 or tf32 on an older
// GPU; auto when the program has none of them.
Precision choose_precision(std::optional<Precision> wanted, Device device, std::string* why = nullptr);
Precision choose_precision(std::optional<Precision> wanted, Device device, const GpuSurvey& survey,
                           const std::vector<Precision>& built, std::string* why = nullptr);

}  // namespace mpanet
