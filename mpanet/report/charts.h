// Charts as inline SVG. Colours are CSS classes (style.h): .c0 to .c7, the Okabe-Ito palette, which colour-blind people
// tell apart; lines of different styles also differ in their dashes.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "mpanet/report/pair_histogram.h"

namespace mpanet {

constexpr int kStyles = 8;

struct Series {
  std::string name;
  int style = 0;                                  // 0..kStyles - 1; larger ones begin again
  std::vector<std::pair<double, double>> points;  // by ascending x; a y that is NaN interrupts the line
  std::vector<size_t> marked;                     // points with a ring
  bool dots = false;                              // a dot at every point
  bool faint = false;                             // a thin line behind the others
};

struct LineChart {
  std::string title, x_label;
  std::vector<Series> series;
  bool log_y = false;  // points with y <= 0 are left out
};
// A figure with the chart; its text alternative has the first and last value of each line that is not faint.
std::string line_chart(const LineChart& chart);

// One entry per series: its line and its name.
std::string legend(const std::vector<Series>& series);

// Both kinds of pairs, with the distance of equal errors, and that of a calibrated probability of 0.5; NaN: none.
std::string histogram_chart(const std::string& title, const Histogram& histogram, double calibrated);

struct ScatterPoint {
  double x = 0, y = 0;
  int style = -1;         // 0..kStyles - 1; -1: grey, behind the others
  bool triangle = false;  // else a dot
  std::string label;      // shown when the mouse is over it
};
std::string scatter_chart(const std::string& title, const std::string& alternative,
                          const std::vector<ScatterPoint>& points);

// About `count` round numbers in low..high, by ascending value: 0, 20, 40.
std::vector<double> round_ticks(double low, double high, int count);

}  // namespace mpanet
