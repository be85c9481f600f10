// The people of the synthetic data set. Both modalities show what identifies a person: lengths of clothes, patterns,
// bags, hats, hair, shoes, build. The colours of clothes are the same in all visible pictures of a person, and random
// in infrared ones.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "core/base/random.h"
#include "data/synth/synth_canvas.h"

namespace mpanet::synth {

enum class Sleeves { None, Short, Long, Contrast };  // Contrast: long, in the second tone
enum class Top { Waist, Hip, Thigh, Knee };          // the lower end of the garment
enum class Lower { Trousers, Flared, Shorts, Skirt, LongSkirt };
enum class Pattern { Plain, WideBars, NarrowBars, Stripes, Diagonal, Checks, Dots, Yoke, Panel };
enum class Bag { None, Backpack, Shoulder, Handbag, Suitcase };
enum class Hat { None, Cap, Beanie, Brim };
enum class Hair { Short, Long, Bun, Bald };
enum class Shoes { Low, Boots, Light };

// Small marks, a kind at each spot of the body. Chest and back are patches: disc, square, two bars. The others are
// bands round a limb or a garment. Only the hard world has marks.
enum class Mark : uint8_t { None, Narrow, Wide, Double };
enum Spot { kChest, kBack, kCollar, kUpperArm, kForearm, kHem, kThigh, kCalf, kSpots };
// Decides in the hard world how a garment's contrast looks to an infrared camera.
enum class Material : uint8_t { Cotton, Wool, Synthetic, Leather, Denim };

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
  float build;  // factor of the body's width, 0.8 (slim) to 1.35
  float legs;   // length of the legs / height of the body
  uint64_t color_seed;
  std::array<Mark, kSpots> marks{};
  Material top_material{}, lower_material{};
};

// `count` people who differ from each other in several nuances. Person i depends on the seed and on people 0..i-1.
std::vector<Person> draw_people(uint64_t seed, int count);

// Intensities of a person's skin, hair and clothes in one modality.
struct Tones {
  Color skin, hair, top, top2, lower, lower2, shoes, bag, hat, scarf, glasses;
  Color top_mark, lower_mark;  // of marks on the top and on the legs
};
// Equal for all visible pictures of the person.
Tones visible_tones(const Person& person);
// Random grays, independent of the visible colours. As in those, the second tone of a garment differs clearly from the
// first.
Tones infrared_tones(Random& random);

struct Pose {
  bool back = false;    // seen from behind
  float turn = 0;       // of the head and body, -1..1
  float lean = 0;       // sideways shift of the head, in body heights
  float stride[2];      // angle of each leg outwards; all angles are in radians
  float knee[2];        // angle of each knee
  float arm[2];         // angle of each arm outwards
  float elbow[2];       // angle of each elbow, inwards positive
  bool mirror = false;  // the bag is in the other hand
};
Pose draw_pose(Random& random);

inline float luma(Color c) { return 0.3f * c.r + 0.59f * c.g + 0.11f * c.b; }

// Draws the person with the top of the head at `head` and the given height, both in pixels.
void draw_person(Canvas& canvas, const Person& person, const Tones& tones, const Pose& pose, Point head, float height);

}  // namespace mpanet::synth
