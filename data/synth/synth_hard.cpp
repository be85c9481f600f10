#include "data/synth/synth_hard.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace mpanet::synth {
namespace {

// Epochs of the streams of Random, beside those in synth_layouts.cpp.
constexpr uint32_t kMarksEpoch = 3, kDressEpoch = 4;

float uniform(Random& random, double low, double high) { return static_cast<float>(random.uniform(low, high)); }

// Spots that a picture shows from before and from behind.
constexpr std::array kBothSides{kUpperArm, kForearm, kHem, kThigh, kCalf};

// Garments on which all marks are seen: no coat, no skirt, no pattern that drowns them.
Person simplify(Person person, Random& random) {
  if (person.top == Top::Thigh || person.top == Top::Knee) person.top = Top::Hip;
  if (person.lower == Lower::Skirt || person.lower == Lower::LongSkirt) person.lower = Lower::Trousers;
  if (person.sleeves == Sleeves::None) person.sleeves = Sleeves::Short;
  if (person.pattern != Pattern::Yoke && person.pattern != Pattern::Panel) person.pattern = Pattern::Plain;
  person.lower_pattern = Pattern::Plain;
  if (person.bag == Bag::Backpack) person.bag = Bag::None;  // it would hide the back
  person.scarf = person.belt = false;
  person.build = 1.0f + 0.08f * static_cast<float>(random.below(3));
  return person;
}

Mark draw_mark(Random& random) { return static_cast<Mark>(random.below(4)); }

// Another kind of mark at one spot.
void change(Person& person, Spot spot, Random& random) {
  const auto now = static_cast<uint32_t>(person.marks[spot]);
  person.marks[spot] = static_cast<Mark>((now + 1 + random.below(3)) % 4);
}

// +1: the camera shows the material's contrast as a visible one does. -1: inverted.
float response(int camera, Material material) {
  //                                Cotton Wool Synthetic Leather Denim
  constexpr float kThird[5] = {+1, -1, -1, +1, -1}, kSixth[5] = {-1, -1, +1, -1, +1};
  return (camera == 3 ? kThird : kSixth)[static_cast<size_t>(material)];
}

}  // namespace

std::vector<Person> draw_hard_people(uint64_t seed, int count) {
  const int families = (count + kFamily - 1) / kFamily;
  std::vector<Person> people;
  for (const Person& large : draw_people(seed, families)) {
    Random random(seed, Purpose::Synth, kMarksEpoch, static_cast<uint32_t>(people.size()));
    Person first = simplify(large, random);
    for (Mark& mark : first.marks) mark = draw_mark(random);
    Person third = first;
    // The two pairs differ at chest and back and at two of the spots that are always seen.
    for (const Spot spot : {kChest, kBack}) change(third, spot, random);
    const uint32_t from = random.below(5);
    for (uint32_t i = 0; i < 2; i++) change(third, kBothSides[(from + i) % 5], random);
    Person second = first, fourth = third;
    change(second, kBothSides[random.below(5)], random);
    change(fourth, kBothSides[random.below(5)], random);
    for (Person* member : {&first, &second, &third, &fourth}) {
      member->color_seed = (uint64_t{random.bits()} << 32) | random.bits();
      member->top_material = static_cast<Material>(random.below(5));
      member->lower_material = static_cast<Material>(random.below(5));
      if (people.size() < static_cast<size_t>(count)) people.push_back(*member);
    }
  }
  return people;
}

Tones hard_visible_tones(const Person& person) {
  Tones tones = visible_tones(person);
  Random random(person.color_seed, Purpose::Synth, kDressEpoch, 0);
  // A mark is lighter or darker than its garment, whichever leaves more room.
  const auto mark = [&](Color garment) {
    const Color hue{uniform(random, 0.7, 1), uniform(random, 0.7, 1), uniform(random, 0.7, 1)};
    return luma(garment) < 0.45f ? hue * uniform(random, 0.8, 1) : garment * uniform(random, 0.15, 0.35);
  };
  tones.top_mark = mark(tones.top);
  tones.lower_mark = mark(tones.lower);
  return tones;
}

Tones hard_infrared_tones(const Person& person, int camera, Random& random) {
  Tones tones = infrared_tones(random);
  const Tones seen = hard_visible_tones(person);
  const auto other = [&](Color garment, Color visible, Color visible_garment, Material material) {
    const float sign = luma(visible) < luma(visible_garment) ? -1.0f : 1.0f;
    return gray(clamp01(garment.r + sign * response(camera, material) * uniform(random, 0.26, 0.38)));
  };
  tones.top = gray(uniform(random, 0.4, 0.6));
  tones.lower = gray(uniform(random, 0.4, 0.6));
  tones.top2 = other(tones.top, seen.top2, seen.top, person.top_material);
  tones.top_mark = other(tones.top, seen.top_mark, seen.top, person.top_material);
  tones.lower_mark = other(tones.lower, seen.lower_mark, seen.lower, person.lower_material);
  return tones;
}

void occlude(Canvas& canvas, bool infrared, Random& random) {
  const float w = static_cast<float>(canvas.width), h = static_cast<float>(canvas.height);
  const float kind = uniform(random, 0, 1), size = uniform(random, 0, 1), place = uniform(random, 0, 1);
  const float shade = uniform(random, 0.1, 0.7), warm = infrared ? 0.0f : uniform(random, -0.08, 0.08);
  const Color color{clamp01(shade + warm), shade, clamp01(shade - warm)};
  if (kind > 0.35f) return;
  Point low, high;
  if (kind < 0.18f) {  // a wall, a bench or a cart before the legs
    low = {-2, h * (0.86f - 0.22f * size)}, high = {w + 2, h + 2};
  } else {  // a pillar or another person's side
    const float width = w * (0.16f + 0.16f * size), x = place < 0.5f ? w * 0.1f * place : w - width - w * 0.1f * place;
    low = {x, -2}, high = {x + width, h + 2};
  }
  const Convex shape{{low, {high.x, low.y}, high, {low.x, high.y}}, 1};
  paint(canvas, shape, [&](Point p) { return color * (0.94f + 0.06f * std::sin(p.x * 0.7f + p.y * 0.31f)); });
}

int spoil(Canvas& canvas, bool infrared, Random& random) {
  if (!infrared) {
    const Color light{uniform(random, 0.82, 1.15), uniform(random, 0.9, 1.08), uniform(random, 0.78, 1.15)};
    for (Color& c : canvas.pixels) c = {c.r * light.r, c.g * light.g, c.b * light.b};
    return random.uniform() < 0.25 ? 1 : 0;
  }
  const float w = static_cast<float>(canvas.width), h = static_cast<float>(canvas.height);
  for (uint32_t spots = random.below(3); spots > 0; spots--) {
    const Point center{uniform(random, 0, w), uniform(random, 0, h)};
    const float radius = uniform(random, 0.03, 0.09) * h, bright = uniform(random, 0.3, 0.8);
    for (int y = 0; y < canvas.height; y++)
      for (int x = 0; x < canvas.width; x++) {
        const Point d = Point{static_cast<float>(x), static_cast<float>(y)} - center;
        const float glow = bright * std::exp(-dot(d, d) / (radius * radius));
        canvas.at(x, y) = mix(canvas.at(x, y), gray(1), glow);
      }
  }
  for (uint32_t lines = random.below(4); lines > 0; lines--) {
    const int y = static_cast<int>(random.below(static_cast<uint32_t>(canvas.height)));
    const int thick = 1 + static_cast<int>(random.below(3));
    const Color lost = gray(uniform(random, 0, 0.5));
    for (int row = y; row < std::min(y + thick, canvas.height); row++)
      for (int x = 0; x < canvas.width; x++) canvas.at(x, row) = lost;
  }
  return random.uniform() < 0.4 ? 1 : 0;
}

}  // namespace mpanet::synth
