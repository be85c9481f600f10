// The synthetic data set: its layout for the reader and the trial file, the same bytes for every number of threads, no
// colour in infrared pictures, and every nuance in both modalities.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "data/pictures/image.h"
#include "data/pictures/sheet.h"
#include "data/sets/dataset.h"
#include "data/sets/matfile.h"
#include "data/sets/sysu.h"
#include "data/sets/text_list.h"
#include "data/sets/verify.h"
#include "data/synth/synth.h"
#include "data/synth/synth_scene.h"
#include "tests/support/mean_difference.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;
namespace fs = std::filesystem;

namespace {

// Tests that need these libraries are skipped in builds without them.
const bool kLacking = !trial_files_supported() || !jpeg_supported();

const auto kGoOn = [] { return false; };

SynthConfig small(uint64_t seed = 3, int threads = 1) {
  SynthConfig config;
  config.ids = 6;
  config.test_ids = 4;
  config.images = 4;
  config.seed = seed;
  config.threads = threads;
  return config;
}

std::map<std::string, std::vector<uint8_t>> contents(const std::string& root) {
  std::map<std::string, std::vector<uint8_t>> files;
  for (const auto& entry : fs::recursive_directory_iterator(root))
    if (entry.is_regular_file()) files[fs::relative(entry.path(), root).string()] = read_bytes(entry.path().string());
  return files;
}

size_t entries(const std::string& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

synth::Person somebody() {
  synth::Person person = synth::draw_people(1, 1)[0];
  person.sleeves = synth::Sleeves::Long;
  person.top = synth::Top::Waist;
  person.lower = synth::Lower::Trousers;
  person.pattern = person.lower_pattern = synth::Pattern::Plain;
  person.bag = synth::Bag::None;
  person.hat = synth::Hat::None;
  person.hair = synth::Hair::Short;
  person.shoes = synth::Shoes::Low;
  person.glasses = person.scarf = person.belt = false;
  person.build = 1;
  person.legs = 0.49f;
  return person;
}

Image picture(const synth::Person& person, int camera, uint32_t index = 0) {
  Random random(1, Purpose::Test, 0, index);
  return synth::draw_picture(World::Plain, person, camera, random);
}

}  // namespace

TEST_CASE("the layout of SYSU-MM01, with counts as in its own trial file" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  const std::string root = folder / "data";
  REQUIRE(write_synth(small(), root, kGoOn));
  CHECK(entries(folder.path()) == 1);  // no temporary folder left
  CHECK(is_drawn(root));
  CHECK(!is_drawn(root + "/exp"));
  for (const char* text : {"", "The people in this data set are drawn,", "Somebody drew something else."}) {
    write_file(folder / "drawn.txt", text);
    CHECK(!is_drawn(folder.path()));
  }
  const Dataset data = read_dataset(DatasetKind::Sysu, root);
  CHECK(data.classes == 6);
  CHECK(read_id_list(root + "/exp/val_id.txt").size() == 1);
  const std::vector<int> test_ids = read_sysu_test_ids(root);
  CHECK(test_ids.size() == 4);
  const TrialFile trials = read_trial_file(find_trial_file(root));
  CHECK(sysu_test_images(test_ids, trials) == data.test);
  size_t listed = 0;
  for (int camera = 1; camera <= 6; camera++) {
    CHECK(trials.identities(camera) == 10);
    for (int identity = 1; identity <= 10; identity++) {
      const int count = trials.count(camera, identity);
      if (identity == 8 && camera <= 3)
        CHECK(count == 0);
      else
        CHECK((count == 3 || count == 4));
      listed += static_cast<size_t>(count);
    }
  }
  CHECK(listed == data.train.size() + data.test.size());
  // Infrared pictures are gray and visible ones are not; sizes vary.
  std::map<int, int> heights;
  for (const auto* images : {&data.train, &data.test})
    for (const auto& record : *images) {
      const Image image = decode_image(root + "/" + record.path);
      heights[image.height]++;
      CHECK(image.height >= 130);
      CHECK(image.height <= 210);
      bool gray = true;
      for (size_t i = 0; i < image.pixels.size(); i += 3)
        gray = gray && image.pixels[i] == image.pixels[i + 1] && image.pixels[i] == image.pixels[i + 2];
      CHECK(gray == record.infrared);
    }
  CHECK(heights.size() > 20);
}

TEST_CASE("the same bytes with any number of threads, others from another seed" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  fs::create_directory(folder / "b");  // an empty folder may exist
  REQUIRE(write_synth(small(3, 1), folder / "a", kGoOn));
  REQUIRE(write_synth(small(3, 5), folder / "b/", kGoOn));
  REQUIRE(write_synth(small(4, 2), folder / "c", kGoOn));
  const auto a = contents(folder / "a"), b = contents(folder / "b"), c = contents(folder / "c");
  CHECK(a.size() > 200);
  CHECK(a == b);
  for (const auto& [path, bytes] : c)
    if (const auto same = a.find(path); same != a.end() && path.rfind("cam", 0) == 0) CHECK(same->second != bytes);
  CHECK(draw_synth_sheet(small(3), 3).pixels == draw_synth_sheet(small(3), 3).pixels);
  CHECK(draw_synth_sheet(small(3), 3).pixels != draw_synth_sheet(small(4), 3).pixels);
}

TEST_CASE("infrared pictures know nothing of colours, visible ones do") {
  synth::Person person = somebody();
  synth::Person repainted = person;
  repainted.color_seed++;
  for (int camera : {3, 6}) CHECK(picture(person, camera).pixels == picture(repainted, camera).pixels);
  for (int camera : {1, 2, 4, 5}) CHECK(mean_difference(picture(person, camera), picture(repainted, camera)) > 1);
}

TEST_CASE("every nuance shows in every camera") {
  using synth::Person;
  const Person plain = somebody();
  const std::pair<const char*, std::function<void(Person&)>> changes[] = {
      {"sleeves", [](Person& p) { p.sleeves = synth::Sleeves::Short; }},
      {"contrast", [](Person& p) { p.sleeves = synth::Sleeves::Contrast; }},
      {"top", [](Person& p) { p.top = synth::Top::Thigh; }},
      {"lower", [](Person& p) { p.lower = synth::Lower::Skirt; }},
      {"shorts", [](Person& p) { p.lower = synth::Lower::Shorts; }},
      {"pattern", [](Person& p) { p.pattern = synth::Pattern::Stripes; }},
      {"lower pattern", [](Person& p) { p.lower_pattern = synth::Pattern::WideBars; }},
      {"backpack", [](Person& p) { p.bag = synth::Bag::Backpack; }},
      {"suitcase", [](Person& p) { p.bag = synth::Bag::Suitcase; }},
      {"hat", [](Person& p) { p.hat = synth::Hat::Brim; }},
      {"hair", [](Person& p) { p.hair = synth::Hair::Long; }},
      {"boots", [](Person& p) { p.shoes = synth::Shoes::Boots; }},
      {"scarf", [](Person& p) { p.scarf = true; }},
      {"build", [](Person& p) { p.build = 1.3f; }},
      {"legs", [](Person& p) { p.legs = 0.53f; }},
  };
  for (const auto& difference_of : changes) {
    const auto& name = difference_of.first;
    Person other = plain;
    difference_of.second(other);
    for (int camera = 1; camera <= 6; camera++) {
      // The mean of several pictures, because tones and light differ from picture to picture. 0.1 levels over the whole
      // picture are a region of 1 % that changes by 10 of 255 levels.
      double difference = 0;
      for (uint32_t i = 0; i < 6; i++)
        difference += mean_difference(picture(plain, camera, i), picture(other, camera, i)) / 6;
      CAPTURE(name);
      CAPTURE(camera);
      CHECK(difference > 0.1);
    }
  }
}

TEST_CASE("people are no doubles of each other") {
  const auto people = synth::draw_people(5, 150);
  REQUIRE(people.size() == 150);
  int least = 100;
  for (size_t i = 0; i < people.size(); i++)
    for (size_t j = 0; j < i; j++) {
      const auto &a = people[i], &b = people[j];
      least = std::min(least, (a.sleeves != b.sleeves) + (a.top != b.top) + (a.lower != b.lower) +
                                  (a.pattern != b.pattern) + (a.bag != b.bag) + (a.hat != b.hat) + (a.hair != b.hair) +
                                  (a.shoes != b.shoes) + (a.lower_pattern != b.lower_pattern) +
                                  (std::abs(a.build - b.build) > 0.12f));
    }
  CHECK(least >= 3);
}

TEST_CASE("refused or stopped: what was there stays, nothing is left" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  fs::create_directory(folder / "full");
  write_file(folder / "full/note.txt", "mine");
  CHECK(error_of([&] { write_synth(small(), folder / "full", kGoOn); }).find("does not exist yet or is empty") !=
        std::string::npos);
  CHECK(entries(folder / "full") == 1);
  CHECK_FALSE(error_of([&] { write_synth(small(), folder / "full/note.txt", kGoOn); }).empty());
  CHECK_FALSE(error_of([&] { write_synth(small(), folder / "full/note.txt/below", kGoOn); }).empty());
  const auto stop = [] { return true; };
  CHECK_FALSE(write_synth(small(), folder / "stopped", stop));
  CHECK(entries(folder.path()) == 1);

  SynthConfig config = small();
  config.ids = 1;
  CHECK(error_of([&] { write_synth(config, folder / "x", kGoOn); }) == "ids: expected 2..4000, got 1");
  config = small();
  config.images = 1000;
  CHECK(error_of([&] { write_synth(config, folder / "x", kGoOn); }) == "images: expected 1..999, got 1000");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("contact sheets: frames, thumbnails and text where they belong") {
  Sheet sheet(2, 3, 20, 10, 30, 1);
  const Image white{40, 20, std::vector<uint8_t>(40 * 20 * 3, 250)};
  sheet.set(1, 2, white, kSheetGreen, "7");
  const Image& image = sheet.image();
  int green = 0, thumb = 0, ink = 0;
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    const Rgb color{image.pixels[i], image.pixels[i + 1], image.pixels[i + 2]};
    green += color == kSheetGreen;
    thumb += color == Rgb{250, 250, 250};
    ink += color == kSheetInk;
  }
  CHECK(thumb == 20 * 10);
  CHECK(green == 26 * 16 - 20 * 10);  // a frame of three pixels
  CHECK(ink == 11);                   // the digit 7: five in its bar, six below
  CHECK(error_of([&] { sheet.set(2, 0, white); }).find("cell (2, 0) of (2, 3)") != std::string::npos);

  Image canvas{9, 12, std::vector<uint8_t>(9 * 12 * 3, 255)};
  draw_text(canvas, 1, 1, "i", {0, 0, 0});  // capital I: bars of 3 at its ends, a stem of 5 between
  std::string shape;
  for (int y = 1; y < 8; y++)
    for (int x = 1; x < 6; x++) shape += canvas.pixels[static_cast<size_t>((y * 12 + x) * 3)] == 0 ? '#' : '.';
  CHECK(shape == ".###...#....#....#....#....#...###.");
  draw_text(canvas, -3, 5, "clipped at the edges", {0, 0, 0});
}

TEST_CASE("a test with more images than training, and trials of multi shot that differ" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  const std::string root = folder / "data";
  SynthConfig config = small();
  config.images = 2;
  config.test_images = 16;
  REQUIRE(write_synth(config, root, kGoOn));
  const TrialFile trials = read_trial_file(find_trial_file(root));
  const std::vector<int> test_ids = read_sysu_test_ids(root);
  const std::set<int> test(test_ids.begin(), test_ids.end());
  for (int identity = 1; identity <= 10; identity++)
    for (int camera = 4; camera <= 6; camera++) {
      const int count = trials.count(camera, identity);
      CHECK(count <= (test.count(identity) ? 16 : 2));
      CHECK(count >= (test.count(identity) ? 12 : 2));
    }
  // The first ten of each trial's permutation, as sets.
  std::set<std::set<int>> drawn;
  for (int trial = 0; trial < kSysuTrials; trial++) {
    std::set<int> places;
    for (int place = 0; place < 10; place++) places.insert(trials.image(trial, 4, test_ids[0], place));
    drawn.insert(places);
  }
  CHECK(drawn.size() >= 8);
}

TEST_CASE("the layouts of RegDB, LLCM and a manifest, as their readers see them" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  for (const DatasetKind kind : {DatasetKind::RegDb, DatasetKind::Llcm, DatasetKind::Csv}) {
    SynthConfig config = small();
    config.layout = kind;
    config.images = 2;
    const std::string root = folder / name_of(kind);
    CAPTURE(root);
    REQUIRE(write_synth(config, root, kGoOn));
    CHECK(find_dataset_kind(root) == kind);
    std::set<std::string> test_sets;
    for (int split = 1; split <= splits_of(kind); split++) {
      const Dataset data = read_dataset(kind, root, Split::Both, split);
      CHECK(data.classes == 6);
      CHECK(data.notes.empty());
      check_pictures(data, data.train);
      check_pictures(data, data.test);
      std::set<int> identities;
      std::string text;
      for (const ImageRecord& image : data.test) identities.insert(image.identity);
      for (const int identity : identities) text += fmt::format("{} ", identity);
      CHECK(identities.size() == 4);
      test_sets.insert(text);
      for (const ImageRecord& image : {data.train.front(), data.train.back(), data.test.front(), data.test.back()}) {
        const Image picture = decode_image(root + "/" + image.path);
        CHECK(picture.height > picture.width);
        const uint8_t* p = picture.pixels.data() + picture.pixels.size() / 2 / 3 * 3;
        const bool gray = std::abs(p[0] - p[1]) < 2 && std::abs(p[1] - p[2]) < 2;
        if (image.infrared) CHECK(gray);
      }
    }
    if (kind == DatasetKind::RegDb) CHECK(test_sets.size() >= 8);  // of ten draws of 4 out of 10 identities
  }
  // Eight near-infrared cameras: no number 3.
  const Dataset llcm = read_dataset(DatasetKind::Llcm, folder / "llcm", Split::Test);
  std::set<int> cameras[2];
  for (const ImageRecord& image : llcm.test) cameras[image.infrared].insert(image.camera);
  CHECK(cameras[0] == std::set<int>{1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(cameras[1] == std::set<int>{1, 2, 4, 5, 6, 7, 8, 9});
}
