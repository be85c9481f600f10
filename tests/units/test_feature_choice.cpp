// The choice of features: before or after the BN neck, some of its pieces, with or without mirror images; and the hash
// that identifies a checkpoint in results.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "data/pictures/image.h"
#include "mpanet/evaluation/evaluate.h"
#include "mpanet/evaluation/feature_choice.h"
#include "tests/support/engine_helpers.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;

TEST_CASE("before the BN neck: what the neck's formula leads from") {
  EngineConfig config = tiny(Precision::f64);
  config.model.parts = 2;
  const auto engine = make_engine(config);
  engine->initialize(1);
  // A neck that is not the identity.
  const size_t features = engine->feature_size();
  Values weight(features), mean(features), variance(features);
  for (size_t i = 0; i < features; i++) {
    weight[i] = 0.5 + static_cast<double>(i % 7) / 4;
    mean[i] = static_cast<double>(i % 5) - 2;
    variance[i] = 0.25 + static_cast<double>(i % 3);
  }
  engine->write("bn_neck.weight", Slot::Value, weight.data());
  engine->write("bn_neck.running_mean", Slot::Value, mean.data());
  engine->write("bn_neck.running_var", Slot::Value, variance.data());
  const Batch batch = make_batch(config.model, 3, 1);
  const Values after = embed(*engine, batch);
  bypass_neck(*engine);
  const Values before = embed(*engine, batch);
  double largest = 0;
  for (size_t i = 0; i < before.size(); i++) {
    const size_t f = i % features;
    const double expected = (before[i] - mean[f]) / std::sqrt(variance[f] + 1e-5) * weight[f];
    largest = std::max(largest, std::abs(expected - after[i]));
  }
  CHECK(largest < 1e-12);  // rounding in double of numbers below 10
}

TEST_CASE("pieces of a feature") {
  Embeddings embeddings{6, {1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16}};  // two parts and the global mean, two each
  const FeatureChoice choice = parse_feature("before-bn", "global,1", 2);
  CHECK(choice.before_neck);
  CHECK(describe(choice, 2) == "BN neck input, parts 1 and global");
  keep_pieces(choice, 2, embeddings);
  CHECK(embeddings.dimension == 4);
  CHECK(embeddings.values == std::vector<float>{1, 2, 5, 6, 11, 12, 15, 16});
  CHECK(describe(parse_feature("bn", "all", 6), 6) == "BN neck output");
  CHECK(describe(parse_feature("bn", "1,2,3", 6), 6) == "BN neck output, parts 1, 2 and 3");
  CHECK_THROWS_WITH_AS(parse_feature("neck", "all", 6), "--feature: expected bn or before-bn, got \"neck\"", UserError);
  CHECK_THROWS_WITH_AS(parse_feature("bn", "7", 6), "--parts: this network has 1..6 and global, got \"7\"", UserError);
  CHECK_THROWS_WITH_AS(parse_feature("bn", "1", 0), "--parts: this network has global alone, got \"1\"", UserError);
  CHECK_THROWS_WITH_AS(parse_feature("bn", "1,,2", 6), "--parts: this network has 1..6 and global, got \"\"",
                       UserError);
  CHECK_THROWS_WITH_AS(parse_feature("bn", "2,2", 6), "--parts: 2 stands twice", UserError);
}

TEST_CASE("flip averaging is the mean over a picture and its mirror image" * doctest::skip(!png_supported())) {
  const TemporaryFolder folder;
  EngineConfig config = tiny(Precision::f64);
  const auto engine = make_engine(config);
  engine->initialize(1);
  Random random(3, Purpose::Test, 0, 0);
  std::vector<ImageRecord> images;
  for (int n = 0; n < 3; n++) {
    Image picture{48, 24, std::vector<uint8_t>(48 * 24 * 3)}, mirrored = picture;
    for (int y = 0; y < 48; y++)
      for (int x = 0; x < 24; x++)
        for (int c = 0; c < 3; c++)
          mirrored.pixels[(y * 24 + 23 - x) * 3 + c] = picture.pixels[(y * 24 + x) * 3 + c] =
              static_cast<uint8_t>(random.below(256));
    for (const auto& [name, image] : {std::pair("a", &picture), std::pair("b", &mirrored)}) {
      images.push_back({fmt::format("{}{}.png", name, n), 1, 1, false, -1});
      OutputFile file(folder / images.back().path);
      write_png(file, *image);
      file.commit();
    }
  }
  EmbedOptions options;
  options.height = 48;
  options.width = 24;
  options.batch = 4;
  const Embeddings plain = embed_images(*engine, images, folder.path(), options);
  options.flip = true;
  const Embeddings flipped = embed_images(*engine, images, folder.path(), options);
  double largest = 0, change = 0;
  for (size_t i = 0; i < images.size(); i++)
    for (int d = 0; d < plain.dimension; d++) {
      const double expected = (plain.row(i)[d] + plain.row(i ^ 1)[d]) / 2.0;
      largest = std::max(largest, std::abs(flipped.row(i)[d] - expected));
      change = std::max(change, std::abs(static_cast<double>(flipped.row(i)[d]) - plain.row(i)[d]));
    }
  CHECK(largest < 1e-6);  // embeddings of about 1 are returned as float32
  CHECK(change > 1e-3);
}

TEST_CASE("SHA-256") {
  // FIPS 180-4's examples; a million letters a; lengths near a block's end, from sha256sum.
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  CHECK(sha256(std::string(55, 'b')) == "eb2c86e932179f4ba13fe8715a26124b77d6bad290b9b4c1cc140cf633300c19");
  CHECK(sha256(std::string(56, 'b')) == "a5fc6e203a4c2b657d0d153885932414b2ffc6a93f0f8bf8b3183315e5a7212c");
  CHECK(sha256(std::string(63, 'b')) == "94e419fabac7f930810f9636354042f8c1426d2f834d4ab65c93dc1e69326b13");
  CHECK(sha256(std::string(64, 'b')) == "a0fab1377f49a759b57f63318262ebe89fabfc990e8e93ceac2984561482b9d4");
  CHECK(sha256(std::string(65, 'b')) == "74b128f30cf83de43ddf4aafc40c7b50a7443d3c73a89a7cfca17e15e43d51ab");
  const TemporaryFolder folder;
  write_file(folder / "a", std::string(3 << 20, 'x'));
  CHECK(sha256_of_file(folder / "a") == "3bea8a9a07c1e8dcaa4c1b816815c35a29b4fb585ba6ecc70ea44840a794cfb3");
}
