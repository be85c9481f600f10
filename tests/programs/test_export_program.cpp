// mpanet-export: ONNX models whose embeddings, by the operators' definitions in double, are mpanet-eval's.
#include <filesystem>

#include "core/base/sha256.h"
#include "data/pictures/image.h"
#include "data/pictures/resize.h"
#include "data/sets/npy.h"
#include "tests/support/train_program.h"
#ifdef MPANET_TEST_ONNX
#  include <onnx/checker.h>
#  include <onnx/shape_inference/implementation.h>

#  include "tests/support/onnx_reference.h"
#endif

using namespace mpanet;
namespace fs = std::filesystem;

namespace {

std::string quoted(const std::string& word) { return "'" + word + "'"; }

void check_export_refused(const std::string& arguments, const std::string& words) {
  CHECK(not_refused("mpanet-export", arguments, words) == "");
}

}  // namespace

#ifdef MPANET_TEST_ONNX

namespace {

constexpr int kHeight = 64, kWidth = 32;

// A run with pictures that leave 4 x 2 positions for the instance norms: with two positions, whose difference may be
// small, these amplify float32's rounding to 1e-3.
const std::string& trained(const std::string& settings = "num_parts=2") {
  static TemporaryFolder folder;
  static std::map<std::string, std::string> made;
  std::string& run = made[settings];
  if (!run.empty()) return run;
  const std::string name = "run" + std::to_string(made.size());
  run = folder / name;
  Arguments more = {"--set", fmt::format("image_size=[{},{}]", kHeight, kWidth), "num_epoch=1"};
  std::istringstream words(settings);
  for (std::string word; words >> word;) more.push_back(word);
  check_works(command(folder, name, more));
  return run;
}

std::string checkpoint() { return trained() + "/best.safetensors"; }

onnx::ModelProto exported(const std::string& file, const std::string& options, const std::string& run = trained()) {
  const Result result = run_program(
      "mpanet-export", "--checkpoint " + quoted(run + "/best.safetensors") + " --to onnx " + quoted(file) + options);
  REQUIRE_MESSAGE(result.code == 0, result.err);
  onnx::ModelProto model;
  REQUIRE(model.ParseFromString(read_text(file)));
  return model;
}

std::string metadata(const onnx::ModelProto& model, const std::string& key) {
  for (const auto& entry : model.metadata_props())
    if (entry.key() == "mpanet." + key) return entry.value();
  return "none";
}

// Three test pictures and mpanet-eval's embeddings of them.
struct Expected {
  std::vector<Image> pictures;
  std::vector<std::vector<float>> embeddings;
};
Expected expected(const std::string& run) {
  const TemporaryFolder folder;
  check_works({PROGRAMS "/mpanet-eval", "--checkpoint", run + "/best.safetensors", "--data", data_set(),
               "--save-features", folder / "saved"});
  const NpyFloats features = read_npy(folder / "saved/features.npy");
  const auto d = static_cast<size_t>(features.shape[1]);
  std::istringstream lines(read_text(folder / "saved/images.csv"));
  Expected made;
  std::string line;
  std::getline(lines, line);
  for (size_t row = 0; row < 3 && std::getline(lines, line); row++) {
    Resizer resizer;
    Image resized;
    resizer.resize(decode_image(data_set() + "/" + line.substr(0, line.find(','))), kHeight, kWidth, resized);
    made.pictures.push_back(resized);
    made.embeddings.emplace_back(features.values.begin() + static_cast<ptrdiff_t>(row * d),
                                 features.values.begin() + static_cast<ptrdiff_t>((row + 1) * d));
  }
  REQUIRE(made.pictures.size() == 3);
  return made;
}

// The pictures as bytes (N, H, W, 3), or normalised by the definition (docs/method.md, section 3), (N, 3, H, W).
onnx_reference::Array input(const std::vector<Image>& pictures, bool bytes) {
  const auto n = static_cast<int64_t>(pictures.size());
  onnx_reference::Array made({n, kHeight, kWidth, 3});
  const double mean[] = {0.485, 0.456, 0.406}, deviation[] = {0.229, 0.224, 0.225};
  int64_t at = 0;
  for (const Image& picture : pictures)
    for (size_t i = 0; i < picture.pixels.size(); i++, at++)
      made.at(at) = bytes ? picture.pixels[i] : (picture.pixels[i] / 255.0 - mean[i % 3]) / deviation[i % 3];
  return bytes ? made : onnx_reference::transpose(made, {0, 3, 1, 2});
}

// With l2 the largest difference of two numbers, without it its ratio to the largest number.
double largest_difference(const onnx_reference::Array& made, const Expected& wanted, bool l2) {
  double largest = 0, largest_number = 0;
  int64_t at = 0;
  for (const std::vector<float>& row : wanted.embeddings) {
    double square = 0;
    for (const float value : row) square += static_cast<double>(value) * value;
    for (const float value : row) {
      const double expected = value / (l2 ? std::sqrt(square) : 1);
      largest = std::max(largest, std::abs(made.at(at++) - expected));
      largest_number = std::max(largest_number, std::abs(expected));
    }
  }
  CHECK(at == onnx_reference::product(made.shape));
  return l2 ? largest : largest / largest_number;
}

// The two differ by float32's rounding, some 1e-6.
constexpr double kTolerance = 1e-4;

}  // namespace

TEST_CASE("embeddings of a model are mpanet-eval's" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  std::string settings = "num_parts=2", options;
  SUBCASE("nothing included") {}
  SUBCASE("pixels") { options = " --include pixels"; }
  SUBCASE("l2") { options = " --include l2"; }
  SUBCASE("both") { options = " --include pixels,l2"; }
  SUBCASE("no pattern maps, attention after layer4 alone") { settings = "num_parts=0 modality_attention=1"; }
  SUBCASE("no attention, layer4 with its stride") {
    settings = "num_parts=1 modality_attention=0 drop_last_stride=false";
  }
  const std::string run = trained(settings);
  const bool pixels = has(options, "pixels"), l2 = has(options, "l2");
  onnx::ModelProto model = exported(folder / "model.onnx", options, run);
  const Expected wanted = expected(run);
  const onnx_reference::Array made = onnx_reference::run(model, input(wanted.pictures, pixels));
  CHECK(made.shape.front() == 3);
  CHECK(largest_difference(made, wanted, l2) < kTolerance);
  if (l2) return;
  CHECK(largest_difference(made, wanted, true) > 100 * kTolerance);
}

TEST_CASE("the model's form and metadata" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  onnx::ModelProto model = exported(folder / "a.onnx", "");
  CHECK(model.opset_import_size() == 1);
  CHECK(model.opset_import(0).version() == 17);
  CHECK(metadata(model, "included") == "");
  CHECK(has(metadata(model, "input"), "float (N, 3, 64, 32), RGB, (byte / 255 - mean) / std with mean 0.485,"));
  CHECK(metadata(model, "checkpoint_sha256") == sha256_of_file(checkpoint()));
  const onnx::ModelProto both = exported(folder / "b.onnx", " --include l2,pixels");
  CHECK(metadata(both, "included") == "pixels,l2");
  CHECK(has(metadata(both, "input"), "uint8 (N, 64, 32, 3), RGB, 0..255: scaling and normalisation are inside"));
  CHECK(has(metadata(both, "output"), "L2-normalised inside"));
  CHECK(both.graph().input(0).type().tensor_type().elem_type() == onnx::TensorProto::UINT8);
  for (onnx::ModelProto* each : {&model}) {
    onnx::checker::check_model(*each);
    // Strict: an operator whose shapes contradict each other is an error.
    onnx::shape_inference::InferShapes(*each, onnx::OpSchemaRegistry::Instance(),
                                       onnx::ShapeInferenceOptions{true, 1, true});
    const auto& shape = each->graph().output(0).type().tensor_type().shape();
    CHECK(shape.dim(0).dim_param() == "N");
    CHECK(shape.dim(1).dim_value() == 3 * 128);
    size_t inferred = 0;
    for (const auto& value : each->graph().value_info()) inferred += value.type().tensor_type().shape().dim_size() > 0;
    CHECK(inferred > 50);
  }
  const std::string bytes = read_text(folder / "a.onnx");
  exported(folder / "a.onnx", "");
  CHECK(read_text(folder / "a.onnx") == bytes);
  const onnx::ModelProto other = exported(folder / "c.onnx", " --size 96x48");
  CHECK(other.graph().input(0).type().tensor_type().shape().dim(2).dim_value() == 96);
}

TEST_CASE("input that is refused, and files that stay" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  const std::string network = "--checkpoint " + quoted(checkpoint()), out = folder / "model.onnx";
  check_export_refused("--to onnx " + quoted(out), "--checkpoint is needed");
  check_export_refused(network + " --to onnx", "OUT is needed");
  check_export_refused(network + " " + quoted(out), "--to is needed");
  check_export_refused(network + " --to tflite " + quoted(out), "--to");
  check_export_refused(network + " --to onnx --include gray " + quoted(out), "--include");
  check_export_refused(network + " --to onnx --size 64 " + quoted(out), "--size: expected HEIGHTxWIDTH");
  check_export_refused(network + " --to onnx --size 8x8 " + quoted(out), "image_size");
  check_export_refused(network + " --to onnx " + quoted(folder / "none/model.onnx"), "there is no folder");
  check_export_refused("--checkpoint " + quoted(data_set() + "/exp/test_id.txt") + " --to onnx " + quoted(out),
                       "test_id.txt");
  CHECK(!fs::exists(out));
  const std::string before = read_text(checkpoint());
  check_export_refused(network + " --to onnx " + quoted(checkpoint()), "--checkpoint");
  CHECK(read_text(checkpoint()) == before);
  write_file(out, "older");
  check_export_refused("--checkpoint " + quoted(folder / "none") + " --to onnx " + quoted(out), "none");
  CHECK(read_text(out) == "older");
  const Result full = run_program("mpanet-export", network + " --to onnx /dev/full");
  CHECK(full.code == 2);
  CHECK(full.out == "");
  CHECK(has(full.err, "/dev/full: "));
  const Result piped = run_program("mpanet-export", network + " --to onnx /dev/stdout");
  CHECK(piped.code == 0);
  onnx::ModelProto model;
  CHECK(model.ParseFromString(piped.out));
}

#else

TEST_CASE("a build without libonnx says so, before it opens anything") {
  const TemporaryFolder folder;
  check_export_refused("--checkpoint " + quoted(folder / "none") + " --to onnx " + quoted(folder / "model.onnx"),
                       "this build has no ONNX support (MPANET_ONNX");
  CHECK(!fs::exists(folder / "model.onnx"));
}

#endif
