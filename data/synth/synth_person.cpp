#include "data/synth/synth_person.h"

#include <array>

namespace mpanet::synth {
namespace {

template <class T>
T pick(Random& random, int count) {
  return static_cast<T>(random.below(static_cast<uint32_t>(count)));
}

bool chance(Random& random, double p) { return random.uniform() < p; }

Person draw_one(Random& random) {
  Person p{};
  p.sleeves = pick<Sleeves>(random, 4);
  p.lower = pick<Lower>(random, 5);
  p.top = pick<Top>(random, 4);
  // A long coat would hide a skirt or shorts.
  if (p.top == Top::Knee && p.lower != Lower::Trousers && p.lower != Lower::LongSkirt) p.top = Top::Waist;
  p.pattern = pick<Pattern>(random, 9);
  constexpr Pattern kLower[] = {Pattern::Plain, Pattern::Plain, Pattern::Stripes, Pattern::Checks, Pattern::WideBars};
  p.lower_pattern = kLower[random.below(5)];
  p.bag = pick<Bag>(random, 5);
  p.hat = pick<Hat>(random, 4);
  p.hair = pick<Hair>(random, 4);
  p.shoes = pick<Shoes>(random, 3);
  p.glasses = chance(random, 0.5);
  p.scarf = chance(random, 0.3);
  p.belt = chance(random, 0.4);
  constexpr float kBuild[] = {0.8f, 1.02f, 1.3f}, kLegs[] = {0.45f, 0.49f, 0.53f};
  p.build = kBuild[random.below(3)] + static_cast<float>(random.uniform(-0.04, 0.04));
  p.legs = kLegs[random.below(3)] + static_cast<float>(random.uniform(-0.008, 0.008));
  p.color_seed = (uint64_t{random.bits()} << 32) | random.bits();
  return p;
}

// The number of large nuances in which two people differ.
int differences(const Person& a, const Person& b) {
  return (a.sleeves != b.sleeves) + (a.top != b.top) + (a.lower != b.lower) + (a.pattern != b.pattern) +
         (a.lower_pattern != b.lower_pattern) + (a.bag != b.bag) + (a.hat != b.hat) + (a.hair != b.hair) +
         (std::abs(a.build - b.build) > 0.12f) + (a.shoes != b.shoes);
}

Color hue(float h, float saturation, float value) {
  const auto channel = [&](float shift) {
    const float k = std::fmod(shift + h * 6, 6.0f);
    return value - value * saturation * std::max(0.0f, std::min({k, 4 - k, 1.0f}));
  };
  return {channel(5), channel(3), channel(1)};
}

float uniform(Random& random, double low, double high) { return static_cast<float>(random.uniform(low, high)); }

// Colours of clothes: 25 % grays, 20 % dark blues, the rest of any hue.
Color cloth(Random& random) {
  const double kind = random.uniform();
  if (kind < 0.25) return gray(uniform(random, 0.08, 0.85));
  if (kind < 0.45) return hue(uniform(random, 0.58, 0.68), uniform(random, 0.3, 0.8), uniform(random, 0.15, 0.6));
  return hue(uniform(random, 0, 1), uniform(random, 0.3, 0.9), uniform(random, 0.2, 0.85));
}

// Draws a colour whose luma differs by at least `gap` from those of all others. Every failed draw shrinks the gap.
template <class Draw>
Color apart(Random& random, Draw draw, std::initializer_list<Color> others, float gap) {
  for (;; gap *= 0.97f) {
    const Color c = draw(random);
    bool far = true;
    for (Color other : others) far = far && std::abs(luma(c) - luma(other)) >= gap;
    if (far) return c;
  }
}

template <class Draw>
void dress(Random& random, Tones& t, Draw draw) {
  t.top = draw(random);
  t.top2 = apart(random, draw, {t.top}, 0.42f);
  t.lower = apart(random, draw, {t.top}, 0.28f);
  t.lower2 = apart(random, draw, {t.lower}, 0.4f);
  t.shoes = draw(random);
  t.bag = apart(random, draw, {t.top, t.lower}, 0.25f);
  t.hat = apart(random, draw, {t.hair, t.skin}, 0.2f);
  t.scarf = apart(random, draw, {t.top, t.skin}, 0.25f);
}

}  // namespace

std::vector<Person> draw_people(uint64_t seed, int count) {
  std::vector<Person> people;
  for (int i = 0; i < count; i++) {
    Random random(seed, Purpose::Synth, 0, static_cast<uint32_t>(i));
    // Of 40 draws the one whose most similar earlier person differs most, so that no two people look the same.
    Person best{};
    int best_distance = -1;
    for (int attempt = 0; attempt < 40; attempt++) {
      const Person candidate = draw_one(random);
      int nearest = 100;
      for (const auto& other : people) nearest = std::min(nearest, differences(candidate, other));
      if (nearest <= best_distance) continue;
      best_distance = nearest;
      best = candidate;
    }
    people.push_back(best);
  }
  return people;
}

Tones visible_tones(const Person& person) {
  Random random(person.color_seed, Purpose::Synth, 1, 0);
  Tones t;
  constexpr std::array<Color, 5> kSkin{Color{0.93f, 0.78f, 0.67f},
                                       {0.85f, 0.67f, 0.53f},
                                       {0.72f, 0.52f, 0.38f},
                                       {0.5f, 0.34f, 0.25f},
                                       {0.9f, 0.72f, 0.6f}};
  constexpr std::array<Color, 5> kHair{Color{0.08f, 0.06f, 0.05f},
                                       {0.16f, 0.1f, 0.06f},
                                       {0.32f, 0.2f, 0.1f},
                                       {0.62f, 0.5f, 0.28f},
                                       {0.45f, 0.44f, 0.43f}};
  t.skin = kSkin[random.below(5)];
  t.hair = kHair[random.below(5)];
  t.glasses = gray(0.05f);
  dress(random, t, cloth);
  return t;
}

Tones infrared_tones(Random& random) {
  Tones t;
  t.skin = gray(uniform(random, 0.62, 0.82));
  t.hair = gray(uniform(random, 0.12, 0.42));
  t.glasses = gray(0.08f);
  dress(random, t, [](Random& r) { return gray(uniform(r, 0.15, 0.95)); });
  return t;
}

Pose draw_pose(Random& random) {
  Pose pose;
  pose.back = chance(random, 0.35);
  pose.turn = uniform(random, -0.8, 0.8);
  pose.lean = uniform(random, -0.02, 0.02);
  for (int side = 0; side < 2; side++) {
    pose.stride[side] = uniform(random, -0.02, 0.2);
    pose.knee[side] = uniform(random, -0.05, 0.2);
    pose.arm[side] = uniform(random, 0.06, 0.45);
    pose.elbow[side] = uniform(random, -0.1, 0.45);
  }
  pose.mirror = chance(random, 0.5);
  return pose;
}

}  // namespace mpanet::synth
