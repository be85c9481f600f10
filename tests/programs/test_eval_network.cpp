// mpanet-eval with a network: embeddings of pictures, the sheet of matches, bad networks and pictures.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "core/base/random.h"
#include "data/loading/pack.h"
#include "data/pictures/image.h"
#include "data/sets/npy.h"
#include "data/sets/sysu.h"
#include "mpanet/files/checkpoint.h"
#include "tests/support/eval_program.h"
#include "tests/support/spoiled_checkpoint.h"

using namespace mpanet;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// The same two identities with pictures on disk, and a network that fits pictures of 48x32.
class Pictures : public EvalFolder {
 public:
  Pictures() {
    Random random(1, Purpose::Test, 0, 0);
    for (const int camera : {1, 3})
      for (const int identity : {2, 3})
        for (const int number : {1, 2}) {
          Image image{30 + number, 12 + camera, std::vector<uint8_t>((30 + number) * (12 + camera) * 3)};
          for (uint8_t& value : image.pixels) value = static_cast<uint8_t>(random.below(128) + 60 * (identity - 2));
          const fs::path file = data() + "/" + sysu_path(camera, identity, number);
          fs::create_directories(file.parent_path());
          write_jpeg(file.string(), image, 90);
        }
    TrainConfig config;
    config.model.depth = "tiny";
    config.model.height = 48;
    config.model.width = 32;
    config.model.classes = 7;  // the data set has two identities; evaluation ignores the number of classes
    EngineConfig engine_config;
    engine_config.model = config.model;
    engine_config.embed_batch = 1;
    const auto engine = make_engine(engine_config);
    engine->initialize(3);
    save_model(checkpoint(), *engine->snapshot(), config, 0);
  }
  std::string checkpoint() const { return path() + "/best.safetensors"; }
  std::string network() const { return "--checkpoint '" + checkpoint() + "' --data '" + data() + "'"; }
};

NpyFloats saved_features(const Pictures& folder, const std::string& options) {
  const std::string saved = folder / "saved";
  REQUIRE(run(folder.network() + " --save-features '" + saved + "' " + options).code == 0);
  return read_npy(saved + "/features.npy");
}

double largest_difference(const NpyFloats& a, const NpyFloats& b) {
  REQUIRE(a.shape == b.shape);
  double largest = 0;
  for (size_t i = 0; i < a.values.size(); i++)
    largest = std::max(largest, std::abs(static_cast<double>(a.values[i]) - b.values[i]));
  return largest;
}

}  // namespace

TEST_CASE("a network, its features and its sheet") {
  if (kNoPictures) return;
  const Pictures folder;
  const std::string json_file = folder / "result.json", sheet = folder / "sheet.png", saved = folder / "saved";
  const Result result =
      run(folder.network() + " --json '" + json_file + "' --sheet '" + sheet + "' --save-features '" + saved + "'");
  REQUIRE_MESSAGE(result.code == 0, result.err);
  CHECK(has(result.out, "best.safetensors"));
  const json results = json::parse(read_text(json_file))["results"];
  CHECK(results[0]["queries"] == 4);
  CHECK(results[1]["gallery"] == 4);
  const NpyFloats features = read_npy(saved + "/features.npy");
  CHECK(features.shape == std::vector<int64_t>{8, 7 * 128});  // six pattern parts and the mean, 128 channels
  CHECK(decode_image(sheet).width > 11 * 48);

  SUBCASE("the folder it saved gives the same results") {
    REQUIRE(run("--features '" + saved + "' --data '" + folder.data() + "' --json '" + json_file + "'").code == 0);
    CHECK(json::parse(read_text(json_file))["results"] == results);
  }
  SUBCASE("other batches and threads give the same embeddings, double nearly the same") {
    // Sums of 128 channels' products in float32: about 1e-6 of values near 1.
    CHECK(largest_difference(features, saved_features(folder, "--batch 3 --threads 1")) < 1e-4);
    const double to_double = largest_difference(features, saved_features(folder, "--precision f64"));
    CHECK(to_double < 1e-3);
    CHECK(to_double > 0);
  }
  SUBCASE("the sheet of the worst queries") {
    const std::string worst = folder / "worst.png";
    REQUIRE(run(folder.network() + " --sheet '" + worst + "' --worst").code == 0);
    CHECK(decode_image(worst).height == decode_image(sheet).height);  // all four queries, in another order
    CHECK(read_text(worst) != read_text(sheet));
    check_refused(folder.network() + " --worst", "--worst: only with --sheet");
  }
  SUBCASE("another size of pictures gives other embeddings") {
    CHECK(largest_difference(features, saved_features(folder, "--size 64x32")) > 1e-2);
    check_refused(folder.network() + " --size 48", "--size: expected HEIGHTxWIDTH");
  }
}

TEST_CASE("pictures of a pack: the same embeddings, and no output replaces it") {
  if (kNoPictures) return;
  const Pictures folder;
  std::vector<std::string> paths;
  for (const int camera : {1, 3})
    for (const int identity : {2, 3})
      for (const int number : {1, 2}) paths.push_back(sysu_path(camera, identity, number));
  const std::string pack = folder / "pictures.pack", with_pack = " --pack '" + pack + "'";
  write_pack(folder.data(), paths, 48, 32, pack, 1);
  CHECK(saved_features(folder, with_pack).values == saved_features(folder, "").values);
  const std::string bytes = read_text(pack);
  check_refused(folder.network() + with_pack + " --json '" + pack + "'",
                "cannot write: it is --pack, which this program reads");
  CHECK(read_text(pack) == bytes);
}

TEST_CASE("bad networks and pictures") {
  if (kNoPictures) return;
  const Pictures folder;
  const std::string json_file = folder / "result.json", arguments = folder.network() + " --json '" + json_file + "'";
  const std::string picture = folder.data() + "/cam3/0002/0002.jpg";
  SUBCASE("a picture missing") {
    fs::remove(picture);
    check_refused(arguments, "cam3/0002/0002.jpg: no such picture");
  }
  SUBCASE("a checkpoint that is none") {
    write_file(folder.checkpoint(), "no tensors");
    check_refused(arguments, "best.safetensors");
    fs::remove(folder.checkpoint());
    check_refused(arguments, "best.safetensors");
  }
  SUBCASE("a checkpoint whose finite weights overflow in the network") {
    save_spoiled(folder.checkpoint(), "backbone.conv1.weight", 3e38, folder.checkpoint());
    const Result result = run(arguments);
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    // A convolution's ReLU may make zeros of NaN, or keep it.
    const bool equal = has(result.err, "\nmpanet-eval: the network gives all 8 pictures the same embedding; ");
    CHECK_MESSAGE((equal || has(result.err, ": the network's embedding holds nan, expected finite")), result.err);
  }
  SUBCASE("a checkpoint cut short") {
    fs::resize_file(folder.checkpoint(), fs::file_size(folder.checkpoint()) - 8);
    check_refused(arguments, "best.safetensors");
  }
  SUBCASE("a picture that is none, met while embedding") {
    write_file(picture, "no picture");
    const Result result = run(arguments);
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    CHECK(has(result.err.substr(result.err.find("mpanet-eval: ")), "cam3/0002/0002.jpg"));
  }
  CHECK(!fs::exists(json_file));
}
