#include "data/synth/synth_scene.h"

#include <array>

#include "data/synth/synth_hard.h"

namespace mpanet::synth {
namespace {

enum class Place { Room, Corridor, Gate, Garden };

struct Camera {
  Place place;
  bool infrared;
  int low, high;              // range of the crops' height, pixels
  Color wall, floor, tint;    // tint: of the light
  float gain_low, gain_high;  // range of the exposure's gain
  int blur;                   // radius of a box filter, pixels
  float noise;                // standard deviation; white is 1
};

// clang-format off
constexpr std::array<Camera, 6> kCameras{{
    //                IR     height    wall                   floor                  tint                   gain          blur noise
    {Place::Room,     false, 150, 210, {0.75f, 0.71f, 0.62f}, {0.50f, 0.42f, 0.33f}, {1.06f, 1.00f, 0.88f}, 0.80f, 1.10f, 0,   0.020f},
    {Place::Corridor, false, 140, 200, {0.55f, 0.60f, 0.58f}, {0.36f, 0.40f, 0.40f}, {0.93f, 1.03f, 0.97f}, 0.75f, 1.05f, 1,   0.020f},
    {Place::Room,     true,  140, 200, {0.30f, 0.30f, 0.30f}, {0.22f, 0.22f, 0.22f}, {1.00f, 1.00f, 1.00f}, 0.90f, 1.25f, 1,   0.025f},
    {Place::Gate,     false, 130, 190, {0.62f, 0.60f, 0.60f}, {0.52f, 0.52f, 0.54f}, {0.95f, 1.00f, 1.08f}, 0.85f, 1.25f, 0,   0.015f},
    {Place::Garden,   false, 130, 180, {0.28f, 0.40f, 0.22f}, {0.47f, 0.46f, 0.40f}, {1.00f, 1.02f, 0.95f}, 0.80f, 1.20f, 1,   0.020f},
    {Place::Gate,     true,  130, 190, {0.16f, 0.16f, 0.16f}, {0.30f, 0.30f, 0.30f}, {1.00f, 1.00f, 1.00f}, 0.85f, 1.25f, 0,   0.035f},
}};
// clang-format on

float uniform(Random& random, double low, double high) { return static_cast<float>(random.uniform(low, high)); }

// A pseudo-random number in [0, 1) for a lattice point; noise_at() interpolates between lattice points.
float lattice(uint32_t seed, int x, int y) {
  uint32_t h = seed ^ (static_cast<uint32_t>(x) * 0x9E3779B1u) ^ (static_cast<uint32_t>(y) * 0x85EBCA77u);
  h = (h ^ (h >> 15)) * 0x2C1B3C6Du;
  h = (h ^ (h >> 12)) * 0x297A2D39u;
  return static_cast<float>((h ^ (h >> 15)) >> 8) * 0x1p-24f;
}
float noise_at(uint32_t seed, float x, float y) {
  const float fx = std::floor(x), fy = std::floor(y);
  const int ix = static_cast<int>(fx), iy = static_cast<int>(fy);
  const float u = (x - fx) * (x - fx) * (3 - 2 * (x - fx)), v = (y - fy) * (y - fy) * (3 - 2 * (y - fy));
  const float top = lattice(seed, ix, iy) + (lattice(seed, ix + 1, iy) - lattice(seed, ix, iy)) * u;
  const float bottom = lattice(seed, ix, iy + 1) + (lattice(seed, ix + 1, iy + 1) - lattice(seed, ix, iy + 1)) * u;
  return top + (bottom - top) * v;
}

// A random colour of an object: RGB for a visible camera, gray for an infrared one.
Color thing(Random& random, bool infrared) {
  const float a = uniform(random, 0.1, 0.8), b = uniform(random, 0.1, 0.8), c = uniform(random, 0.1, 0.8);
  return infrared ? gray(a * 0.7f) : mix({a, b, c}, gray(a), 0.5f);
}

void rectangle(Canvas& canvas, float x0, float y0, float x1, float y1, Color color) {
  paint(canvas, Convex{{{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}}, 1}, [&](Point) { return color; });
}

// Draws wall and floor with the scene's texture. The horizon is the line between them.
void ground(Canvas& canvas, const Camera& camera, Random& random, float horizon) {
  const uint32_t seed = random.bits();
  const float height = static_cast<float>(canvas.height);
  const float leaf = camera.place == Place::Garden ? 0.9f : camera.place == Place::Gate ? 0.35f : 0.15f;
  const float grain = 26.0f / height, shift = uniform(random, 0, 40);
  const float side = uniform(random, -0.25, 0.25) / static_cast<float>(canvas.width);
  for (int y = 0; y < canvas.height; y++)
    for (int x = 0; x < canvas.width; x++) {
      const float fx = static_cast<float>(x), fy = static_cast<float>(y);
      const float edge = clamp01((fy - horizon) * 0.5f + 0.5f);
      const float texture = noise_at(seed, fx * grain + shift, fy * grain) * 0.65f +
                            noise_at(seed + 1, fx * grain * 3, fy * grain * 3) * 0.35f - 0.5f;
      const float light =
          1 + side * (fx - static_cast<float>(canvas.width) / 2) + texture * (leaf * (1 - edge) + 0.12f);
      canvas.at(x, y) = mix(camera.wall, camera.floor, edge) * light;
    }
}

// Draws doors, skirting, pillars, trunks and other objects of the background.
void furnish(Canvas& canvas, const Camera& camera, Random& random, float horizon) {
  const float w = static_cast<float>(canvas.width), h = static_cast<float>(canvas.height);
  const auto shade = [&](Color c) { return camera.infrared ? gray(c.r) : c; };
  if (camera.place == Place::Room && random.uniform() < 0.7) {
    const float x = uniform(random, -0.3, 0.9) * w;
    rectangle(canvas, x, h * 0.08f, x + w * 0.42f, horizon, shade({0.42f, 0.3f, 0.2f}));
  }
  if (camera.place == Place::Corridor) {
    const float x = uniform(random, -0.2, 0.3) * w;
    for (int i = 0; i < 3; i++)
      rectangle(canvas, x + w * 0.4f * static_cast<float>(i), 0, x + w * (0.4f * static_cast<float>(i) + 0.08f),
                horizon, shade({0.42f, 0.47f, 0.46f}));
    rectangle(canvas, 0, horizon - h * 0.03f, w, horizon, shade({0.25f, 0.28f, 0.28f}));
  }
  if (camera.place == Place::Gate) {
    const float step = uniform(random, 0.14, 0.2) * w, x = uniform(random, 0, 0.2) * w;
    const Color bar = thing(random, camera.infrared);
    for (float at = x; at < w; at += step) rectangle(canvas, at, h * 0.2f, at + w * 0.025f, horizon, bar);
    rectangle(canvas, 0, h * 0.24f, w, h * 0.255f, bar);
  }
  if (camera.place == Place::Garden)
    for (int i = 0; i < 2; i++) {
      const float x = uniform(random, -0.1, 1.1) * w;
      rectangle(canvas, x, 0, x + w * uniform(random, 0.06, 0.14), horizon + 2, shade({0.25f, 0.18f, 0.12f}));
    }
  const uint32_t things = random.below(4);
  for (uint32_t i = 0; i < things; i++) {
    const float x = uniform(random, -0.1, 1.0) * w, bottom = uniform(random, 0.6, 1.0) * h;
    const float width = uniform(random, 0.1, 0.3) * w, height = uniform(random, 0.08, 0.35) * h;
    rectangle(canvas, x, bottom - height, x + width, bottom, thing(random, camera.infrared));
  }
}

// Averages over (2 radius + 1)^2 pixels. Edge pixels are repeated beyond the edge.
void blur(Canvas& canvas, int radius) {
  const auto pass = [&](int count, int lines, auto at) {
    std::vector<Color> row(count);
    for (int line = 0; line < lines; line++) {
      for (int i = 0; i < count; i++) row[i] = at(i, line);
      for (int i = 0; i < count; i++) {
        Color sum;
        for (int j = i - radius; j <= i + radius; j++) {
          const Color c = row[std::clamp(j, 0, count - 1)];
          sum = {sum.r + c.r, sum.g + c.g, sum.b + c.b};
        }
        at(i, line) = sum * (1.0f / static_cast<float>(2 * radius + 1));
      }
    }
  };
  pass(canvas.width, canvas.height, [&](int i, int line) -> Color& { return canvas.at(i, line); });
  pass(canvas.height, canvas.width, [&](int i, int line) -> Color& { return canvas.at(line, i); });
}

// Applies illumination, gamma and the sensor's noise, and rounds to 8 bits.
Image expose(Canvas& canvas, const Camera& camera, float noise, Random& random) {
  const float gain = uniform(random, camera.gain_low, camera.gain_high), gamma = uniform(random, 0.75, 1.15);
  const float fall = camera.infrared ? uniform(random, 0.2, 0.6) : uniform(random, 0, 0.2);  // towards the corners
  const float spot_x = uniform(random, 0.35, 0.65), spot_y = uniform(random, 0.25, 0.6);
  Image image{canvas.height, canvas.width, std::vector<uint8_t>(canvas.pixels.size() * 3)};
  uint8_t* out = image.pixels.data();
  // Approximately normal with standard deviation 1: the scaled sum of four random bytes.
  const auto normal = [&] {
    const uint32_t w = random.bits();
    const int sum = static_cast<int>((w & 255) + (w >> 8 & 255) + (w >> 16 & 255) + (w >> 24));
    return static_cast<float>(sum - 510) * (1 / 147.8f);
  };
  std::array<float, 257> curve;
  for (size_t i = 0; i < curve.size(); i++) curve[i] = 255 * std::pow(static_cast<float>(i) / 256, gamma);
  const auto quantise = [&](float v, float n) {
    const float at = clamp01(v) * 255.99f;
    const size_t i = static_cast<size_t>(at);
    const float value = curve[i] + (curve[i + 1] - curve[i]) * (at - static_cast<float>(i)) + n * noise * 255;
    return static_cast<uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f));
  };
  for (int y = 0; y < canvas.height; y++)
    for (int x = 0; x < canvas.width; x++) {
      const float dx = static_cast<float>(x) / static_cast<float>(canvas.width) - spot_x;
      const float dy = static_cast<float>(y) / static_cast<float>(canvas.height) - spot_y;
      const Color c = canvas.at(x, y) * (gain * (1 - fall * (dx * dx + dy * dy)));
      if (camera.infrared) {
        const uint8_t v = quantise(c.r, normal());
        *out++ = v, *out++ = v, *out++ = v;
      } else {
        const float n = normal();
        *out++ = quantise(c.r * camera.tint.r, n);
        *out++ = quantise(c.g * camera.tint.g, n);
        *out++ = quantise(c.b * camera.tint.b, n);
      }
    }
  return image;
}

Tones draw_tones(World world, const Person& person, int number, bool infrared, Random& random) {
  if (world == World::Hard) return infrared ? hard_infrared_tones(person, number, random) : hard_visible_tones(person);
  return infrared ? infrared_tones(random) : visible_tones(person);
}

}  // namespace

Image draw_picture(World world, const Person& person, int number, Random& random) {
  const Camera& camera = kCameras[number - 1];
  const int height = camera.low + static_cast<int>(random.below(static_cast<uint32_t>(camera.high - camera.low + 1)));
  const int width = static_cast<int>(static_cast<float>(height) * uniform(random, 0.38, 0.48));
  Canvas canvas(width, height);
  const float h = static_cast<float>(height), horizon = h * uniform(random, 0.55, 0.85);
  ground(canvas, camera, random, horizon);
  furnish(canvas, camera, random, horizon);
  const Tones tones = draw_tones(world, person, number, camera.infrared, random);
  const Pose pose = draw_pose(random);
  const float scale = uniform(random, 0.86, 0.94);
  const Point head{static_cast<float>(width) * uniform(random, 0.46, 0.54),
                   h * (1 - scale) * uniform(random, 0.5, 0.95)};
  draw_person(canvas, person, tones, pose, head, h * scale);
  int radius = camera.blur;
  float noise = camera.noise;
  if (world == World::Hard) {
    occlude(canvas, camera.infrared, random);
    radius += spoil(canvas, camera.infrared, random);
    noise *= 1.5f;
  }
  if (radius > 0) blur(canvas, radius);
  return expose(canvas, camera, noise, random);
}

}  // namespace mpanet::synth
