// Draws a person, from the farthest part to the nearest. The unit of length is the body's height: the top of the head
// is at y = 0, the soles at y = 1, the spine at x = 0.
#include "data/synth/synth_person.h"

namespace mpanet::synth {
namespace {

constexpr float kShoulder = 0.185f, kSole = 0.985f, kNeck = 0.15f;
constexpr float kBand = 0.022f;  // width of a narrow band

// Weight of the second tone, 0..1, at (u, v) of a cloth. `sharp`: pixels per body height.
float pattern_share(Pattern pattern, float u, float v, float sharp) {
  // A square wave of the given period whose edges are one pixel wide.
  const auto wave = [&](float x, float period) {
    const float phase = x / period - std::floor(x / period);
    return clamp01(0.5f + (0.25f - std::abs(phase - 0.5f)) * period * sharp);
  };
  switch (pattern) {
    case Pattern::Plain:
      return 0;
    case Pattern::WideBars:
      return wave(v, 0.115f);
    case Pattern::NarrowBars:
      return wave(v, 0.05f);
    case Pattern::Stripes:
      return wave(u + 0.015f, 0.06f);
    case Pattern::Diagonal:
      return wave((u + v) * 0.7071f, 0.08f);
    case Pattern::Checks: {
      const float a = wave(u, 0.1f), b = wave(v, 0.1f);
      return a * b + (1 - a) * (1 - b);
    }
    case Pattern::Dots: {
      constexpr float kPeriod = 0.075f;
      const float row = std::floor(v / kPeriod), shift = static_cast<int>(row) % 2 != 0 ? 0.5f : 0.0f;
      const float x = u / kPeriod + shift - std::floor(u / kPeriod + shift) - 0.5f, y = v / kPeriod - row - 0.5f;
      return clamp01(0.5f + (0.3f - length({x, y})) * kPeriod * sharp);
    }
    case Pattern::Yoke:
      return clamp01(0.5f + (0.3f - v) * sharp);  // the part above the chest
    case Pattern::Panel:
      return clamp01(0.5f + (0.035f - std::abs(u)) * sharp);  // a vertical stripe in the middle
  }
  return 0;
}

// A mark in the form of bands across a garment; `start` is its upper end.
struct Bands {
  Mark mark = Mark::None;
  float start = 0;
  Color color;
  float share(float v, float sharp) const {
    const auto band = [&](float from, float to) {
      return clamp01(0.5f + (v - from) * sharp) * clamp01(0.5f + (to - v) * sharp);
    };
    if (mark == Mark::Narrow) return band(start, start + kBand);
    if (mark == Mark::Wide) return band(start, start + 2.6f * kBand);
    if (mark == Mark::Double) return band(start, start + kBand) + band(start + 1.9f * kBand, start + 2.9f * kBand);
    return 0;
  }
};

struct Cloth {
  Color base, second;
  Pattern pattern = Pattern::Plain;
  Bands bands{};
  Color at(float u, float v, float sharp) const {
    return mix(mix(base, second, pattern_share(pattern, u, v, sharp)), bands.color, bands.share(v, sharp));
  }
  Cloth with(Bands of) const {
    Cloth cloth = *this;
    cloth.bands = of;
    return cloth;
  }
};

class Figure {
 public:
  Figure(Canvas& canvas, const Person& person, const Tones& tones, const Pose& pose, Point head, float height)
      : canvas_(canvas), person_(person), t_(tones), pose_(pose), head_(head), s_(height) {
    const float narrow = 1 - 0.25f * std::abs(pose.turn);
    hip_y_ = 0.97f - person.legs;
    shoulder_x_ = 0.108f * person.build * narrow;
    hip_x_ = 0.082f * person.build * (0.3f + 0.7f * narrow);
    for (int side = 0; side < 2; side++) {
      const float sign = side == 0 ? -1.0f : 1.0f;
      const float bone = (0.96f - hip_y_) / 2;
      hip_[side] = {sign * hip_x_ * 0.52f, hip_y_};
      knee_[side] = hip_[side] + direction(sign * pose.stride[side]) * bone;
      ankle_[side] = knee_[side] + direction(sign * (pose.stride[side] - pose.knee[side])) * bone;
      shoulder_[side] = {sign * shoulder_x_ * 0.9f, kShoulder + 0.015f};
      elbow_[side] = shoulder_[side] + direction(sign * pose.arm[side]) * 0.155f;
      hand_[side] = elbow_[side] + direction(sign * (pose.arm[side] - pose.elbow[side])) * 0.15f;
    }
    top_ = {t_.top, t_.top2, person.pattern};
    lower_ = {t_.lower, t_.lower2, person.lower_pattern};
  }

  void draw() {
    shadow();
    if (person_.bag == Bag::Suitcase) suitcase();
    if (person_.bag == Bag::Backpack && !pose_.back) backpack_edges();
    if (person_.hair == Hair::Long && !pose_.back) long_hair();
    for (int side = 0; side < 2; side++) leg(side);
    lower();
    torso();
    if (person_.bag == Bag::Backpack && !pose_.back) straps();
    for (int side = 0; side < 2; side++) arm(side);
    if (person_.bag == Bag::Backpack && pose_.back) backpack();
    if (person_.bag == Bag::Shoulder) shoulder_bag();
    if (person_.bag == Bag::Handbag) handbag();
    head();
  }

 private:
  static Point direction(float angle) { return {std::sin(angle), std::cos(angle)}; }
  // Body coordinates to pixels. The spine leans, so x is shifted in proportion to 1 - y.
  Point px(Point p) const { return {head_.x + (p.x + pose_.lean * (1 - p.y)) * s_, head_.y + p.y * s_}; }
  Point body(Point p) const {
    const float y = (p.y - head_.y) / s_;
    return {(p.x - head_.x) / s_ - pose_.lean * (1 - y), y};
  }
  // Shading of a round limb: brighter in the middle, darker at the sides. across: -1..1.
  static float volume(float across) { return 1.04f - 0.28f * across * across + 0.06f * across; }

  void limb(Point a, Point b, float ra, float rb, const Cloth& cloth) {
    const Capsule c{px(a), px(b), ra * s_, rb * s_};
    const float bone = length(b - a);
    paint(canvas_, c, [&](Point p) {
      const Point q = c.along_across(p);
      const float r = c.radius(q.x);
      return cloth.at(q.y / s_, q.x * bone + a.y, s_) * volume(std::clamp(q.y / r, -1.0f, 1.0f));
    });
  }
  void panel(std::vector<Point> corners, float round, const Cloth& cloth, float half_width) {
    for (Point& c : corners) c = px(c);
    paint(canvas_, Convex{std::move(corners), round * s_}, [&](Point p) {
      const Point q = body(p);
      return cloth.at(q.x, q.y, s_) * volume(std::clamp(q.x / half_width, -1.0f, 1.0f));
    });
  }
  void oval(Point center, float rx, float ry, Color color) {
    const Ellipse e{px(center), rx * s_, ry * s_};
    paint(canvas_, e, [&](Point p) { return color * volume(std::clamp((p.x - e.center.x) / e.rx, -1.0f, 1.0f)); });
  }
  void box(Point low, Point high, float round, Color color) {
    panel({{low.x, low.y}, {high.x, low.y}, {high.x, high.y}, {low.x, high.y}}, round, {color, color}, 10);
  }
  void line(Point a, Point b, float radius, Color color) { limb(a, b, radius, radius, {color, color}); }

  void shadow() {
    const Ellipse e{px({0, kSole}), 0.16f * s_, 0.022f * s_};
    canvas_.fill(
        e.low(), e.high(), [&](Point p) { return e.distance(p); },
        [&](Point p) {
          const int x = static_cast<int>(p.x), y = static_cast<int>(p.y);
          return canvas_.at(x, y) * 0.75f;
        });
  }

  void leg(int side) {
    const float thigh = 0.052f * person_.build, calf = 0.036f * person_.build, foot = 0.024f;
    const Cloth skin{t_.skin, t_.skin};
    const bool bare = person_.lower == Lower::Shorts || person_.lower == Lower::Skirt;
    const Cloth& cloth = bare || person_.lower == Lower::LongSkirt ? skin : lower_;
    const float hem = person_.lower == Lower::Flared ? 0.062f * person_.build : 0.028f * person_.build;
    const float sign = side == 0 ? -1.0f : 1.0f;
    const Point toe = ankle_[side] + Point{sign * 0.014f + pose_.turn * 0.04f, 0.016f};
    limb(ankle_[side], toe, foot, 0.02f, {t_.shoes, t_.shoes});
    limb(knee_[side], ankle_[side], calf, hem, cloth.with(bands(kCalf, knee_[side].y + 0.02f)));
    limb(hip_[side], knee_[side], thigh, calf, cloth.with(bands(kThigh, hip_[side].y + 0.11f)));
    if (person_.shoes == Shoes::Boots) {
      limb(knee_[side] + (ankle_[side] - knee_[side]) * 0.25f, ankle_[side], calf * 1.12f, 0.033f,
           {t_.shoes, t_.shoes});
      limb(ankle_[side], toe, foot * 1.15f, 0.024f, {t_.shoes, t_.shoes});
    }
    if (person_.shoes == Shoes::Light) {
      limb(ankle_[side] + Point{0, 0.008f}, toe, foot * 1.2f, 0.026f, {gray(0.95f), gray(0.95f)});
    }
  }

  void lower() {
    const float y = hip_y_ - 0.02f;
    if (person_.lower == Lower::Shorts) {
      for (int side = 0; side < 2; side++)
        limb(hip_[side], hip_[side] + (knee_[side] - hip_[side]) * 0.62f, 0.056f * person_.build,
             0.058f * person_.build, lower_.with(bands(kThigh, hip_[side].y + 0.06f)));
    } else if (person_.lower == Lower::Skirt) {
      const float hem = hip_x_ * 1.5f, end = knee_[0].y - 0.02f;
      panel({{-hip_x_, y}, {hip_x_, y}, {hem, end}, {-hem, end}}, 0, lower_, hem);
    } else if (person_.lower == Lower::LongSkirt) {
      const float hem = hip_x_ * 1.75f, end = 0.92f;
      panel({{-hip_x_, y}, {hip_x_, y}, {hem, end}, {-hem, end}}, 0, lower_, hem);
    }
    if (person_.lower != Lower::Skirt && person_.lower != Lower::LongSkirt)
      panel({{-hip_x_, y - 0.01f}, {hip_x_, y - 0.01f}, {hip_x_, hip_y_ + 0.03f}, {-hip_x_, hip_y_ + 0.03f}}, 0, lower_,
            hip_x_);
  }

  void torso() {
    const float w = shoulder_x_, h = hip_x_ * 1.06f;
    limb({0, 0.11f}, {0, kNeck + 0.02f}, 0.032f, 0.035f, {t_.skin, t_.skin});
    float end = hip_y_ - 0.025f, flare = h;
    if (person_.top == Top::Hip) end = hip_y_ + 0.045f, flare = h * 1.08f;
    if (person_.top == Top::Thigh) end = hip_y_ + 0.14f, flare = h * 1.22f;
    if (person_.top == Top::Knee) end = hip_y_ + 0.25f, flare = h * 1.38f;
    const Cloth top = top_.with(bands(kHem, end - 0.075f));
    if (end > hip_y_) panel({{-h, hip_y_ - 0.04f}, {h, hip_y_ - 0.04f}, {flare, end}, {-flare, end}}, 0, top, flare);
    const float waist = std::min(end, hip_y_);
    panel({{-0.03f, kNeck + 0.005f},
           {0.03f, kNeck + 0.005f},
           {w, kShoulder},
           {w, kShoulder + 0.03f},
           {h, waist},
           {-h, waist},
           {-w, kShoulder + 0.03f},
           {-w, kShoulder}},
          0.006f, top, w);
    patches();
    if (person_.belt) box({-h, hip_y_ - 0.045f}, {h, hip_y_ - 0.022f}, 0, mix(t_.lower2, gray(0.05f), 0.3f));
    // A coat's opening.
    if (person_.top == Top::Knee && !pose_.back)
      line({0.01f, kShoulder + 0.02f}, {0.01f, end - 0.005f}, 0.006f, t_.top * 0.35f);
  }

  void arm(int side) {
    const float upper = 0.037f * (0.5f + 0.5f * person_.build), fore = upper * 0.8f;
    const Cloth skin{t_.skin, t_.skin};
    const Cloth sleeve = person_.sleeves == Sleeves::Contrast ? Cloth{t_.top2, t_.top2} : top_;
    const bool is_long = person_.sleeves == Sleeves::Long || person_.sleeves == Sleeves::Contrast;
    oval(hand_[side], 0.024f, 0.026f, t_.skin);
    limb(elbow_[side], hand_[side], fore, fore * 0.8f,
         (is_long ? sleeve : skin).with(bands(kForearm, elbow_[side].y + 0.06f)));
    limb(shoulder_[side], elbow_[side], upper, fore,
         (person_.sleeves == Sleeves::None ? skin : sleeve).with(bands(kUpperArm, shoulder_[side].y + 0.04f)));
    if (person_.sleeves == Sleeves::Short) limb(elbow_[side], elbow_[side], fore * 1.02f, fore * 1.02f, skin);
  }

  Bands bands(Spot spot, float start) const {
    return {person_.marks[spot], start, spot == kThigh || spot == kCalf ? t_.lower_mark : t_.top_mark};
  }
  void patches() {
    const Mark collar = person_.marks[kCollar], patch = person_.marks[pose_.back ? kBack : kChest];
    if (collar != Mark::None) {
      const float end = kNeck + (collar == Mark::Wide ? 0.05f : 0.024f);
      for (const float sign : {-1.0f, 1.0f})
        line({sign * 0.036f, kNeck + 0.012f}, {collar == Mark::Double ? sign * 0.012f : 0, end + 0.02f}, 0.009f,
             t_.top_mark);
    }
    // On the chest at one side, on the back in the middle.
    const float x = pose_.back ? 0 : 0.4f * shoulder_x_, y = kShoulder + 0.085f, size = pose_.back ? 0.034f : 0.026f;
    if (patch == Mark::Narrow) oval({x, y}, size, size, t_.top_mark);
    if (patch == Mark::Wide) box({x - size, y - size}, {x + size, y + size}, 0, t_.top_mark);
    if (patch == Mark::Double)
      for (const float sign : {-1.0f, 1.0f})
        box({x + sign * 0.7f * size - 0.009f, y - size}, {x + sign * 0.7f * size + 0.009f, y + size}, 0, t_.top_mark);
  }

  int bag_side() const { return pose_.mirror ? 1 : 0; }
  float bag_sign() const { return pose_.mirror ? 1.0f : -1.0f; }

  void backpack() {
    const float w = shoulder_x_ * 0.82f;
    box({-w, kShoulder + 0.02f}, {w, hip_y_ - 0.05f}, 0.02f, t_.bag);
    box({-w * 0.7f, hip_y_ - 0.15f}, {w * 0.7f, hip_y_ - 0.06f}, 0.008f, t_.bag * 0.8f);
  }
  void backpack_edges() {
    const float w = shoulder_x_ * 1.12f;
    box({-w, kShoulder - 0.01f}, {w, hip_y_ - 0.08f}, 0.02f, t_.bag);
  }
  void straps() {
    for (float sign : {-1.0f, 1.0f})
      line({sign * shoulder_x_ * 0.55f, kShoulder - 0.01f}, {sign * shoulder_x_ * 0.72f, hip_y_ - 0.09f}, 0.016f,
           t_.bag);
  }
  void shoulder_bag() {
    const float x = bag_sign() * (hip_x_ + 0.025f), y = hip_y_ - 0.02f;
    line({-bag_sign() * shoulder_x_ * 0.6f, kShoulder - 0.005f}, {x, y}, 0.011f, t_.bag);
    box({x - 0.05f, y}, {x + 0.05f, y + 0.11f}, 0.012f, t_.bag);
  }
  void handbag() {
    const Point hand = hand_[bag_side()];
    line(hand, hand + Point{-0.035f, 0.06f}, 0.006f, t_.bag * 0.7f);
    line(hand, hand + Point{0.035f, 0.06f}, 0.006f, t_.bag * 0.7f);
    box({hand.x - 0.055f, hand.y + 0.055f}, {hand.x + 0.055f, hand.y + 0.155f}, 0.01f, t_.bag);
  }
  void suitcase() {
    const float x = bag_sign() * (hip_x_ + 0.115f);
    line({x - 0.03f, 0.6f}, {x - 0.03f, 0.72f}, 0.006f, gray(0.2f));
    line({x + 0.03f, 0.6f}, {x + 0.03f, 0.72f}, 0.006f, gray(0.2f));
    line({x - 0.03f, 0.6f}, {x + 0.03f, 0.6f}, 0.008f, gray(0.2f));
    box({x - 0.065f, 0.72f}, {x + 0.065f, 0.95f}, 0.012f, t_.bag);
    line({x - 0.05f, 0.8f}, {x + 0.05f, 0.8f}, 0.004f, t_.bag * 0.6f);
    oval({x - 0.045f, 0.97f}, 0.013f, 0.013f, gray(0.1f));
    oval({x + 0.045f, 0.97f}, 0.013f, 0.013f, gray(0.1f));
  }

  void long_hair() { box({-0.058f, 0.06f}, {0.058f, 0.225f}, 0.015f, t_.hair); }

  void face() {
    const float shift = pose_.turn * 0.018f;
    for (float sign : {-1.0f, 1.0f}) oval({shift + sign * 0.02f, 0.078f}, 0.007f, 0.006f, gray(0.1f));
    line({shift - 0.014f, 0.116f}, {shift + 0.014f, 0.116f}, 0.003f, t_.skin * 0.55f);
    if (!person_.glasses) return;
    for (float sign : {-1.0f, 1.0f}) oval({shift + sign * 0.023f, 0.079f}, 0.019f, 0.015f, t_.glasses);
    line({shift - 0.045f, 0.074f}, {shift + 0.045f, 0.074f}, 0.004f, t_.glasses);
  }

  void head() {
    const bool bald = person_.hair == Hair::Bald;
    if (person_.hair == Hair::Bun) oval({pose_.back ? 0 : -pose_.turn * 0.03f, -0.012f}, 0.032f, 0.028f, t_.hair);
    oval({0, 0.068f}, 0.055f, 0.067f, bald ? t_.skin : t_.hair);
    if (!pose_.back) {
      const float shift = pose_.turn * 0.014f;
      oval({shift, bald ? 0.075f : 0.084f}, 0.047f, 0.055f, t_.skin);
      face();
    } else if (person_.hair == Hair::Long) {
      long_hair();
    } else if (!bald) {
      oval({0, 0.11f}, 0.04f, 0.025f, t_.skin);
      oval({0, 0.07f}, 0.055f, 0.048f, t_.hair);
    }
    if (person_.scarf) box({-0.05f, 0.137f}, {0.05f, 0.17f}, 0.016f, t_.scarf);
    hat();
  }

  void hat() {
    const float shift = pose_.back ? 0 : pose_.turn * 0.02f;
    if (person_.hat == Hat::Cap) {
      panel({{-0.04f, -0.005f}, {0.04f, -0.005f}, {0.055f, 0.045f}, {-0.055f, 0.045f}}, 0.006f, {t_.hat, t_.hat},
            0.06f);
      if (!pose_.back) line({shift - 0.045f, 0.05f}, {shift + 0.045f, 0.05f}, 0.012f, t_.hat * 0.75f);
    } else if (person_.hat == Hat::Beanie) {
      panel({{-0.03f, -0.04f}, {0.03f, -0.04f}, {0.056f, 0.05f}, {-0.056f, 0.05f}}, 0.008f, {t_.hat, t_.hat}, 0.06f);
      oval({0, -0.055f}, 0.022f, 0.02f, t_.hat * 1.15f);
    } else if (person_.hat == Hat::Brim) {
      panel({{-0.045f, -0.03f}, {0.045f, -0.03f}, {0.05f, 0.03f}, {-0.05f, 0.03f}}, 0.006f, {t_.hat, t_.hat}, 0.06f);
      oval({0, 0.035f}, 0.105f, 0.018f, t_.hat * 0.85f);
    }
  }

  Canvas& canvas_;
  const Person& person_;
  const Tones& t_;
  const Pose& pose_;
  const Point head_;
  const float s_;  // pixels per body height
  float hip_y_, shoulder_x_, hip_x_;
  Point hip_[2], knee_[2], ankle_[2], shoulder_[2], elbow_[2], hand_[2];  // left, right on the screen
  Cloth top_, lower_;
};

}  // namespace

void draw_person(Canvas& canvas, const Person& person, const Tones& tones, const Pose& pose, Point head, float height) {
  Figure(canvas, person, tones, pose, head, height).draw();
}

}  // namespace mpanet::synth
