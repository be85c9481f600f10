// The file of a calibration: docs/files.md, Calibration.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iterator>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json_fields.h"
#include "core/base/sha256.h"
#include "mpanet/evaluation/calibration.h"
#include "mpanet/evaluation/protocol.h"

namespace mpanet {
namespace {

using nlohmann::ordered_json;

constexpr int kLargestSide = 9999, kLargestSplit = 10;

std::vector<int> read_identities(const JsonFields& fields) {
  std::vector<int> identities;
  const ordered_json& list = fields.list("identities");
  for (const ordered_json& value : list) {
    const int low = identities.empty() ? 0 : identities.back();
    identities.push_back(fields.whole<int>(value, "identities", 0, std::numeric_limits<int>::max()));
    if (identities.size() > 1 && identities.back() <= low)
      fail("{}: expected them ascending, got {} after {}", fields.where("identities"), identities.back(), low);
  }
  if (identities.size() < 2) fields.refuse("identities", "at least two", &list);
  return identities;
}

// The split of a protocol whose data set has splits, and 0 for the others.
int read_split(const JsonFields& fields, const std::string& protocol) {
  DatasetKind data;
  try {
    data = dataset_of(protocol);
  } catch (const UserError& error) {
    fail("{}: {}", fields.where("protocol"), error.what());
  }
  const auto split = fields.number_or_null("split", 1, kLargestSplit);
  if (data != DatasetKind::RegDb && split)
    fields.refuse("split", "null with the protocol " + protocol, &fields.all().at("split"));
  return data == DatasetKind::RegDb ? fields.whole<int>("split", 1, kLargestSplit) : 0;
}

LogisticCurve read_curve(const JsonFields& curve) {
  const LogisticCurve read{curve.number("intercept"), curve.number("slope")};
  if (!(read.slope < 0)) curve.refuse("slope", "a number below 0", &curve.all().at("slope"));
  const double threshold = curve.number("threshold"), expected = read.threshold();
  if (!(std::fabs(threshold - expected) <= 1e-9 * std::max(1.0, std::fabs(expected))))
    curve.refuse("threshold", fmt::format("{}, by the intercept and the slope", expected),
                 &curve.all().at("threshold"));
  return read;
}

Calibration parse_calibration(const ordered_json& value, const std::string& path) {
  const JsonFields fields(value, path);
  Calibration calibration;
  calibration.checkpoint = fields.text("checkpoint_sha256");
  calibration.height = fields.whole<int>("height", 1, kLargestSide);
  calibration.width = fields.whole<int>("width", 1, kLargestSide);
  calibration.flip = fields.boolean("flip");
  calibration.protocol = fields.text("protocol");
  calibration.split = read_split(fields, calibration.protocol);
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
    calibration.curves[*distance] = read_curve(curve);
  }
  if (calibration.curves.empty()) fields.refuse("curves", "at least one", &curves.all());
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

std::string why_no_probability(const std::optional<Calibration>& calibration, Distance distance, int height, int width,
                               bool flip) {
  if (!calibration) return "the checkpoint has no calibration";
  if (calibration->curve(distance, height, width, flip) != nullptr) return "";
  return fmt::format("the checkpoint's calibration is of pictures of {}x{}{}{}", calibration->height,
                     calibration->width, calibration->flip ? ", with flip averaging" : "",
                     calibration->curves.contains(distance) ? "" : ", without a curve for this distance");
}

}  // namespace mpanet
