// The hard world of the synthetic data set: who differs from whom and where, what infrared cameras invert, and that
// every mark shows in both modalities.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "data/sets/matfile.h"
#include "data/synth/synth.h"
#include "data/synth/synth_hard.h"
#include "data/synth/synth_layouts.h"
#include "data/synth/synth_scene.h"
#include "tests/support/mean_difference.h"

using namespace mpanet;
using namespace mpanet::synth;

namespace {

bool equal_at_large(const Person& a, const Person& b) {
  return a.sleeves == b.sleeves && a.top == b.top && a.lower == b.lower && a.pattern == b.pattern && a.bag == b.bag &&
         a.hat == b.hat && a.hair == b.hair && a.shoes == b.shoes && a.build == b.build && a.legs == b.legs &&
         a.glasses == b.glasses;
}

std::vector<int> different_marks(const Person& a, const Person& b) {
  std::vector<int> spots;
  for (int spot = 0; spot < kSpots; spot++)
    if (a.marks[spot] != b.marks[spot]) spots.push_back(spot);
  return spots;
}

Person unmarked() {
  Person person = draw_hard_people(2, 1)[0];
  person.marks.fill(Mark::None);
  person.top = Top::Waist;
  person.bag = Bag::None;
  person.shoes = Shoes::Low;
  return person;
}

}  // namespace

TEST_CASE("families share what is large; pairs in them differ in one mark that is seen from both sides") {
  const auto people = draw_hard_people(7, 80);
  REQUIRE(people.size() == 80);
  std::set<std::vector<int>> looks;
  for (size_t family = 0; family < people.size(); family += kFamily) {
    const Person* member = &people[family];
    for (int i = 1; i < kFamily; i++) CHECK(equal_at_large(member[0], member[i]));
    for (const int pair : {0, 2}) {
      const auto spots = different_marks(member[pair], member[pair + 1]);
      REQUIRE(spots.size() == 1);
      CHECK((spots[0] >= kUpperArm && spots[0] != kCollar));
    }
    // The pairs differ on whichever side is seen.
    for (const int spot : {kChest, kBack}) CHECK(member[0].marks[spot] != member[2].marks[spot]);
    for (int i = 0; i < kFamily; i++) {
      std::vector<int> look{static_cast<int>(family)};
      for (const Mark mark : member[i].marks) look.push_back(static_cast<int>(mark));
      looks.insert(look);
    }
  }
  CHECK(looks.size() == 80);  // no two are the same
  CHECK(draw_hard_people(7, 3).size() == 3);
}

TEST_CASE("families are not divided between training and test" * doctest::skip(!trial_files_supported())) {
  SynthConfig config;
  config.world = World::Hard;
  config.ids = 12, config.test_ids = 8;
  for (const TextFile& file : plan_layout(config).files) {
    if (file.path != "exp/test_id.txt") continue;
    std::vector<int> ids;
    for (size_t at = 0; at < file.text.size(); at = file.text.find_first_of(",\n", at) + 1)
      ids.push_back(std::stoi(file.text.substr(at)));
    REQUIRE(ids.size() == 8);
    for (size_t i = 0; i < ids.size(); i += kFamily) {
      CHECK(ids[i] % kFamily == 1);
      CHECK(ids[i + kFamily - 1] == ids[i] + kFamily - 1);
    }
  }
}

TEST_CASE("infrared cameras keep or invert a mark's contrast by the garment's material, not by the picture") {
  for (const int camera : {3, 6}) {
    int inverted = 0;
    for (int material = 0; material < 5; material++) {
      Person person = draw_hard_people(3, 1)[0];
      person.top_material = static_cast<Material>(material);
      const Tones seen = hard_visible_tones(person);
      const bool lighter = luma(seen.top_mark) > luma(seen.top);
      std::set<bool> kept;
      for (uint32_t i = 0; i < 20; i++) {
        Random random(1, Purpose::Test, 0, i);
        const Tones tones = hard_infrared_tones(person, camera, random);
        CHECK(tones.top_mark.r == tones.top_mark.g);
        CHECK(std::abs(tones.top_mark.r - tones.top.r) > 0.25f);
        kept.insert((tones.top_mark.r > tones.top.r) == lighter);
      }
      CHECK(kept.size() == 1);
      inverted += kept.count(false) != 0;
    }
    CHECK(inverted == 3);
  }
}

TEST_CASE("colours are the same in all visible pictures of a person, and unknown to infrared ones but for the sign") {
  const auto people = draw_hard_people(4, 2);
  CHECK(hard_visible_tones(people[0]).top.r == hard_visible_tones(people[0]).top.r);
  CHECK(hard_visible_tones(people[0]).top.r != hard_visible_tones(people[1]).top.r);
  Person dark = unmarked();
  for (uint64_t seed = 0; seed < 40; seed++) {
    Person other = dark;
    other.color_seed = seed;
    Random one(1, Purpose::Test, 0, 1), two(1, Purpose::Test, 0, 1);
    const Tones a = hard_infrared_tones(dark, 3, one), b = hard_infrared_tones(other, 3, two);
    CHECK(a.top.r == b.top.r);
    CHECK(a.lower.r == b.lower.r);
    CHECK((a.top_mark.r == b.top_mark.r || (a.top_mark.r > a.top.r) != (b.top_mark.r > b.top.r)));
  }
}

TEST_CASE("every kind of mark at every spot shows in every camera") {
  const Person none = unmarked();
  for (int spot = 0; spot < kSpots; spot++)
    for (const Mark mark : {Mark::Narrow, Mark::Wide, Mark::Double}) {
      Person marked = none;
      marked.marks[spot] = mark;
      for (int camera = 1; camera <= 6; camera++) {
        // The largest of several pictures: a mark may be on the other side of the body or behind something. 0.02
        // levels over the whole picture are 20 pixels of 15,000 that change by 15 levels.
        double difference = 0;
        for (uint32_t i = 0; i < 8; i++) {
          Random one(1, Purpose::Test, 0, i), two(1, Purpose::Test, 0, i);
          difference = std::max(difference, mean_difference(draw_picture(World::Hard, none, camera, one),
                                                            draw_picture(World::Hard, marked, camera, two)));
        }
        CAPTURE(spot);
        CAPTURE(static_cast<int>(mark));
        CAPTURE(camera);
        CHECK(difference > 0.02);
      }
    }
}

TEST_CASE("the sheet is the world's, and the same every time") {
  SynthConfig config;
  config.ids = 4, config.test_ids = 4, config.images = 2;
  const auto plain = draw_synth_sheet(config, 2).pixels;
  config.world = World::Hard;
  const auto hard = draw_synth_sheet(config, 2).pixels;
  CHECK(hard == draw_synth_sheet(config, 2).pixels);
  CHECK(hard != plain);
}
