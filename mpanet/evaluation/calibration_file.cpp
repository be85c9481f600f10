// The file of a calibration: docs/files.md, Calibration.
#include <algorithm>
#include <filesystem>
#include <iterator>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json_fields.h"
#include "core/base/sha256.h"
#include "mpanet/evaluation/calibration.h"

namespace mpanet {
namespace {

using nlohmann::ordered_json;

constexpr int kLargestSide = 9999, kLargestSplit = 10;

std::vector<int> read_identities(const JsonFields& fields) {
  std::vector<int> identities;
  for (const ordered_json& value : fields.list("identities"))
    identities.push_back(fields.whole<int>(value, "identities", 0, std::numeric_limits<int>::max()));
  return identities;
}

Calibration parse_calibration(const ordered_json& value, const std::string& path) {
  const JsonFields fields(value, path);
  Calibration calibration;
  calibration.checkpoint = fields.text("checkpoint_sha256");
  calibration.height = fields.whole<int>("height", 1, kLargestSide);
  calibration.width = fields.whole<int>("width", 1, kLargestSide);
  calibration.flip = fields.boolean("flip");
  calibration.protocol = fields.text("protocol");
  calibration.split = static_cast<int>(fields.number_or_null("split", 1, kLargestSplit).value_or(0));
  fields.number("prior", kCalibrationPrior, kCalibrationPrior);
  calibration.identities = read_identities(fields);
  calibration.same_pairs = fields.whole<uint64_t>("same_pairs", 1);
  calibration.different_pairs = fields.whole<uint64_t>("different_pairs", 1);
  const JsonFields curves = fields.object("curves");
  for (const auto& item : curves.all().items()) {
    const JsonFields curve = curves.object(item.key());
    const auto distance = std::find_if(std::begin(kCalibrated), std::end(kCalibrated),
                                       [&](Distance known) { return item.key() == name_of(known); });
    if (distance == std::end(kCalibrated)) curves.refuse(item.key(), "the name of a distance", &item.value());
    const LogisticCurve read{curve.number("intercept"), curve.number("slope")};
    if (!(read.slope < 0)) curve.refuse("slope", "a number below 0", &curve.all().at("slope"));
    calibration.curves[*distance] = read;
  }
  return calibration;
}

}  // namespace

std::string calibration_path(const std::string& checkpoint) { return checkpoint + ".calibration.json"; }

ordered_json calibration_json(const Calibration& calibration) {
  ordered_json json;
  json["checkpoint_sha256"] = calibration.checkpoint;
  json["height"] = calibration.height;
  json["width"] = calibration.width;
  json["flip"] = calibration.flip;
  json["protocol"] = calibration.protocol;
  json["split"] = calibration.split > 0 ? ordered_json(calibration.split) : ordered_json();
  json["prior"] = kCalibrationPrior;
  json["identities"] = calibration.identities;
  json["same_pairs"] = calibration.same_pairs;
  json["different_pairs"] = calibration.different_pairs;
  json["curves"] = ordered_json::object();
  for (const auto& [distance, curve] : calibration.curves)
    json["curves"][name_of(distance)] = {
        {"intercept", curve.intercept}, {"slope", curve.slope}, {"threshold", curve.threshold()}};
  return json;
}

std::optional<Calibration> read_calibration(const std::string& checkpoint, std::string sha256) {
  const std::string path = calibration_path(checkpoint);
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  const ordered_json value = parse_ordered_json(read_text(path), path);
  Calibration calibration = parse_calibration(value, path);
  if (sha256.empty()) sha256 = sha256_of_file(checkpoint);
  if (calibration.checkpoint != sha256)
    fail(
        "{}: expected the calibration of {}, whose SHA-256 is {}, got that of other weights, {}: mpanet-eval "
        "--calibrate-share makes a new one; without the file there is none",
        path, quote(checkpoint), sha256, quote(calibration.checkpoint));
  return calibration;
}

}  // namespace mpanet
