// An anti-aliased rasteriser for the synthetic data set. Shapes are signed distance functions in pixels, negative
// inside. A pixel's coverage is 0.5 minus its distance, clipped to 0..1.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace mpanet::synth {

struct Point {
  float x = 0, y = 0;
};
inline Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
inline Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
inline Point operator*(Point a, float s) { return {a.x * s, a.y * s}; }
inline float dot(Point a, Point b) { return a.x * b.x + a.y * b.y; }
inline float length(Point a) { return std::sqrt(dot(a, a)); }

// Linear intensity, about 0..1.
struct Color {
  float r = 0, g = 0, b = 0;
};
inline Color operator*(Color c, float s) { return {c.r * s, c.g * s, c.b * s}; }
inline Color mix(Color a, Color b, float t) {
  return {a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t};
}
inline Color gray(float v) { return {v, v, v}; }
inline float clamp01(float v) { return std::clamp(v, 0.0f, 1.0f); }

// Pixel centres lie at (x + 0.5, y + 0.5).
class Canvas {
 public:
  Canvas(int width, int height) : width(width), height(height), pixels(static_cast<size_t>(width) * height) {}
  Color& at(int x, int y) { return pixels[static_cast<size_t>(y) * width + x]; }

  // Paints shade(p) at every pixel p of the shape distance(p) < 0. (low, high) is a bounding box of the shape.
  template <class Distance, class Shade>
  void fill(Point low, Point high, Distance distance, Shade shade) {
    const int x0 = std::max(0, static_cast<int>(std::floor(low.x)) - 1);
    const int y0 = std::max(0, static_cast<int>(std::floor(low.y)) - 1);
    const int x1 = std::min(width, static_cast<int>(std::ceil(high.x)) + 1);
    const int y1 = std::min(height, static_cast<int>(std::ceil(high.y)) + 1);
    for (int y = y0; y < y1; y++)
      for (int x = x0; x < x1; x++) {
        const Point p{static_cast<float>(x) + 0.5f, static_cast<float>(y) + 0.5f};
        const float d = distance(p);
        if (d >= 0.5f) continue;
        // A darker rim separates adjacent shapes of the same tone.
        const float rim = d > -1.5f ? 0.72f : 1.0f;
        at(x, y) = mix(at(x, y), shade(p) * rim, clamp01(0.5f - d));
      }
  }

  const int width, height;
  std::vector<Color> pixels;  // (height, width)
};

// A limb: a line segment from a to b whose radius changes linearly from ra to rb.
struct Capsule {
  Point a, b;
  float ra, rb;
  // x: position along the segment, 0..1. y: signed distance from its line.
  Point along_across(Point p) const {
    const Point d = b - a;
    const float squared = std::max(dot(d, d), 1e-6f);
    const float t = clamp01(dot(p - a, d) / squared);
    return {t, ((p.x - a.x) * d.y - (p.y - a.y) * d.x) / std::sqrt(squared)};
  }
  float radius(float t) const { return ra + (rb - ra) * t; }
  float distance(Point p) const {
    const float t = along_across(p).x;
    return length(p - (a + (b - a) * t)) - radius(t);
  }
  Point low() const { return {std::min(a.x - ra, b.x - rb), std::min(a.y - ra, b.y - rb)}; }
  Point high() const { return {std::max(a.x + ra, b.x + rb), std::max(a.y + ra, b.y + rb)}; }
};

struct Ellipse {
  Point center;
  float rx, ry;
  float distance(Point p) const {
    const float k = length({(p.x - center.x) / rx, (p.y - center.y) / ry});
    return (k - 1) * std::min(rx, ry);
  }
  Point low() const { return {center.x - rx, center.y - ry}; }
  Point high() const { return {center.x + rx, center.y + ry}; }
};

// Corners in clockwise order on the screen (y downwards); edges are rounded off by `round` pixels outwards.
struct Convex {
  std::vector<Point> corners;
  float round = 0;
  float distance(Point p) const {
    float d = -1e9f;
    for (size_t i = 0; i < corners.size(); i++) {
      const Point a = corners[i], edge = corners[(i + 1) % corners.size()] - a;
      const float norm = std::max(length(edge), 1e-6f);
      d = std::max(d, ((p.x - a.x) * edge.y - (p.y - a.y) * edge.x) / norm);
    }
    return d - round;
  }
  Point low() const {
    Point m = corners[0];
    for (Point c : corners) m = {std::min(m.x, c.x), std::min(m.y, c.y)};
    return {m.x - round, m.y - round};
  }
  Point high() const {
    Point m = corners[0];
    for (Point c : corners) m = {std::max(m.x, c.x), std::max(m.y, c.y)};
    return {m.x + round, m.y + round};
  }
};

template <class Shape, class Shade>
void paint(Canvas& canvas, const Shape& shape, Shade shade) {
  canvas.fill(
      shape.low(), shape.high(), [&](Point p) { return shape.distance(p); }, shade);
}

}  // namespace mpanet::synth
