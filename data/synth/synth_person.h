// The drawn people of the synthetic data set. Who somebody is lies in what both modalities show: lengths of clothes,
// patterns, bags, hats, hair, shoes, build. Colours belong to a person too, but only the visible cameras see them.
#pragma once
#include <cstdint>
#include <vector>

#include "core/base/random.h"
#include "data/synth/synth_canvas.h"

namespace mpanet::synth {

enum class Sleeves { None, Short, Long, Contrast };  // Contrast: long, in the second tone
enum class Top { Waist, Hip, Thigh, Knee };          // where it ends
enum class Lower { Trousers, Flared, Shorts, Skirt, LongSkirt };
enum class Pattern { Plain, WideBars, NarrowBars, Stripes, Diagonal, Checks, Dots, Yoke, Panel };
enum class Bag { None, Backpack, Shoulder, Handbag, Suitcase };
enum class Hat { None, Cap, Beanie, Brim };
enum class Hair { Short, Long, Bun, Bald };
enum class Shoes { Low, Boots, Light };

struct Person {
  Sleeves sleeves;
  Top top;
  Lower lower;
  Pattern pattern;        // of the top
  Pattern lower_pattern;  // Plain, Stripes (at the seam), Checks or WideBars
  Bag bag;
  Hat hat;
  Hair hair;
  Shoes shoes;
  bool glasses, scarf, belt;
  float build;  // width of the body, 0.8 slim to 1.35
  float legs;   // share of the height from the hip downwards
  uint64_t color_seed;
};

// `count` people who differ from each other in several nuances. Person i depends on the seed and on people 0..i-1.
std::vector<Person> draw_people(uint64_t seed, int count);

// What a person and what they wear reflect, in one modality.
struct Tones {
  Color skin, hair, top, top2, lower, lower2, shoes, bag, hat, scarf, glasses;
};
// The same for every visible picture of the person.
Tones visible_tones(const Person& person);
// Gray, drawn from `random` without a look at the visible colours; only which of two tones is clearly apart holds.
Tones infrared_tones(Random& random);

struct Pose {
  bool back = false;    // seen from behind
  float turn = 0;       // of the head and body, -1..1
  float lean = 0;       // of the spine, sideways at the head, in heights
  float stride[2];      // angle of each leg, radians, outwards
  float knee[2];        // bend
  float arm[2];         // angle of each arm outwards
  float elbow[2];       // bend, inwards positive
  bool mirror = false;  // which hand carries the bag
};
Pose draw_pose(Random& random);

// Draws the person with the top of the head at `head` and the given height, both in pixels.
void draw_person(Canvas& canvas, const Person& person, const Tones& tones, const Pose& pose, Point head, float height);

}  // namespace mpanet::synth
