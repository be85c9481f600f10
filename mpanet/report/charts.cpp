#include "mpanet/report/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "mpanet/report/html.h"

namespace mpanet {
namespace {

// Of a chart, in the SVG's units: about pixels.
constexpr double kWidth = 380, kHeight = 240, kLeft = 46, kRight = 14, kTop = 12, kBottom = 38;

std::string class_of(int style) { return fmt::format("c{}", style % kStyles); }

struct Range {
  double low = INFINITY, high = -INFINITY;
  void add(double value) {
    if (std::isfinite(value)) low = std::min(low, value), high = std::max(high, value);
  }
  // Never empty.
  Range widened() const {
    if (low > high) return {0, 1};
    if (low == high) return {low - (low == 0 ? 1 : std::abs(low) / 2), high + (high == 0 ? 1 : std::abs(high) / 2)};
    return *this;
  }
};

// From values to positions in the SVG.
class Axes {
 public:
  Axes(Range x, Range y, bool log_y) : x_(x), y_(y), log_(log_y) {
    if (log_) y_ = {std::log10(y.low), std::log10(y.high)};
    y_ = y_.widened();
  }
  double x(double value) const { return kLeft + (value - x_.low) / (x_.high - x_.low) * (kWidth - kLeft - kRight); }
  double y(double value) const {
    const double at = log_ ? std::log10(value) : value;
    return kHeight - kBottom - (at - y_.low) / (y_.high - y_.low) * (kHeight - kTop - kBottom);
  }

  // Grid lines and numbers.
  std::string grid(const std::string& x_label) const {
    std::string made = "<g class=\"ticks\">";
    for (const double tick : y_ticks())
      made += fmt::format(
          "<path d=\"M{:.1f} {:.1f}H{:.1f}\"/><text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", kLeft,
          y(tick), kWidth - kRight, kLeft - 6, y(tick) + 4, tick_text(tick));
    for (const double tick : round_ticks(x_.low, x_.high, 6))
      made +=
          fmt::format("<path d=\"M{:.1f} {:.1f}v4\"/><text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>",
                      x(tick), kHeight - kBottom, x(tick), kHeight - kBottom + 17, tick_text(tick));
    made +=
        fmt::format("<path class=\"axis\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>", kLeft, kHeight - kBottom, kWidth - kRight);
    return made + fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text></g>\n", kWidth - kRight,
                              kHeight - 4, escape(x_label));
  }

 private:
  static std::string tick_text(double value) {
    if (std::abs(value) < 1e-12) return "0";
    return std::abs(value) < 1e-4 ? fmt::format("{:.0e}", value) : fmt::format("{:g}", value);
  }
  std::vector<double> y_ticks() const {
    if (!log_) return round_ticks(y_.low, y_.high, 5);
    std::vector<double> ticks;
    const bool few = y_.high - y_.low < 1.5;  // of powers of ten alone
    for (double power = std::floor(y_.low); power <= y_.high + 1e-9; power++)
      for (const double factor : {1.0, 2.0, 5.0}) {
        const double tick = factor * std::pow(10, power), at = std::log10(tick);
        if ((factor == 1 || few) && at >= y_.low - 1e-9 && at <= y_.high + 1e-9) ticks.push_back(tick);
      }
    return ticks;
  }

  Range x_, y_;
  bool log_;
};

std::string svg(double width, double height, const std::string& title, const std::string& content, const char* kind) {
  return fmt::format("<svg class=\"{}\" viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-label=\"{}\">\n{}</svg>\n", kind,
                     width, height, escape(title), content);
}

bool is_shown(double y, bool log_y) { return std::isfinite(y) && (!log_y || y > 0); }

std::string path_of(const Series& series, const Axes& axes, bool log_y) {
  std::string d;
  bool open = false;
  for (const auto& [x, y] : series.points) {
    if (!is_shown(y, log_y)) {
      open = false;
      continue;
    }
    d += fmt::format("{}{:.1f} {:.1f}", open ? 'L' : 'M', axes.x(x), axes.y(y));
    open = true;
  }
  return d;
}

std::string line_of(const Series& series, const Axes& axes, bool log_y) {
  const std::string style = class_of(series.style);
  std::string made = fmt::format("<path class=\"{} {}\" d=\"{}\"/>", series.faint ? "faint" : "line", style,
                                 path_of(series, axes, log_y));
  for (size_t i = 0; i < series.points.size(); i++) {
    const auto [x, y] = series.points[i];
    if (!is_shown(y, log_y)) continue;
    const bool marked = std::find(series.marked.begin(), series.marked.end(), i) != series.marked.end();
    if (series.dots || marked)
      made += fmt::format(
          "<circle class=\"{} {}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"><title>{}: {:g}, {:.4g}</title></circle>",
          marked ? "ring" : "dot", style, axes.x(x), axes.y(y), marked ? "5" : "2.6", escape(series.name), x, y);
  }
  return made + "\n";
}

std::string words_of(const LineChart& chart) {
  std::string words = chart.title + ".";
  for (const Series& series : chart.series) {
    const auto shown = [&](const auto& point) { return is_shown(point.second, chart.log_y); };
    const auto first = std::find_if(series.points.begin(), series.points.end(), shown);
    const auto last = std::find_if(series.points.rbegin(), series.points.rend(), shown);
    if (series.faint || first == series.points.end()) continue;
    words += fmt::format(" {}: {:.4g} at {} {:g}, {:.4g} at {:g}.", series.name, first->second, chart.x_label,
                         first->first, last->second, last->first);
  }
  return words;
}

// A little more, so that no point lies on the edge; not below 0 for values of at least 0.
Range padded(Range range) {
  const double more = 0.06 * (range.high - range.low);
  return {range.low >= 0 ? std::max(0.0, range.low - more) : range.low - more, range.high + more};
}

std::string figure(const std::string& title, const std::string& content) {
  return fmt::format("<figure><figcaption>{}</figcaption>\n{}</figure>\n", escape(title), content);
}

}  // namespace

std::vector<double> round_ticks(double low, double high, int count) {
  const double power = std::pow(10, std::floor(std::log10((high - low) / count)));
  double step = power;
  for (const double factor : {2.0, 5.0, 10.0})
    if ((high - low) / step > count + 1) step = factor * power;
  std::vector<double> ticks;
  for (double k = std::ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) ticks.push_back(k * step);
  return ticks;
}

std::string line_chart(const LineChart& chart) {
  Range x, y;
  for (const Series& series : chart.series)
    for (const auto& [at, value] : series.points)
      if (is_shown(value, chart.log_y)) x.add(at), y.add(value);
  if (chart.log_y && y.low <= y.high) y = {y.low / 1.5, y.high * 1.5};
  if (!chart.log_y) y = padded(y.widened());
  const Axes axes(x.widened(), y.low > y.high ? Range{1, 10} : y, chart.log_y);
  std::string content = axes.grid(chart.x_label);
  for (const bool faint : {true, false})
    for (const Series& series : chart.series)
      if (series.faint == faint) content += line_of(series, axes, chart.log_y);
  return figure(chart.title, svg(kWidth, kHeight, words_of(chart), content, "chart"));
}

std::string legend(const std::vector<Series>& series) {
  std::string made = "<ul class=\"legend\">";
  for (const Series& one : series)
    if (!one.faint)
      made += fmt::format(
          "<li><svg viewBox=\"0 0 34 10\" width=\"34\" height=\"10\" aria-hidden=\"true\"><path class=\"line {}\" "
          "d=\"M1 5H33\"/></svg>{}</li>",
          class_of(one.style), escape(one.name));
  return made + "</ul>\n";
}

namespace {

// A vertical line at a distance, with a note beside it in one of two rows.
std::string distance_mark(const Axes& axes, double distance, const char* style, int row, const std::string& text) {
  const double at = axes.x(distance);
  const bool left = at > kWidth * 0.6;
  return fmt::format(
      "<path class=\"{}\" d=\"M{:.1f} {:.1f}V{:.1f}\"/><text class=\"note\" x=\"{:.1f}\" y=\"{:.1f}\" "
      "text-anchor=\"{}\">{}</text>\n",
      style, at, kTop, kHeight - kBottom, at + (left ? -5 : 5), kTop + 9 + 13 * row, left ? "end" : "start", text);
}

}  // namespace

std::string histogram_chart(const std::string& title, const Histogram& histogram, double calibrated) {
  const size_t bins = histogram.same.size();
  Range x{histogram.low, histogram.high}, y{0, 0};
  for (const auto* kind : {&histogram.same, &histogram.different})
    for (const double share : *kind) y.add(100 * share);
  y.high *= 1.12;  // for the note
  const Axes axes(x.widened(), y.widened(), false);
  std::string content = axes.grid("distance; percent of the pairs of each kind");
  const auto edge = [&](size_t bin) {
    return axes.x(histogram.low +
                  (histogram.high - histogram.low) * static_cast<double>(bin) / static_cast<double>(bins));
  };
  for (const bool same : {false, true}) {
    std::string d = fmt::format("M{:.1f} {:.1f}", edge(0), axes.y(0));
    for (size_t bin = 0; bin < bins; bin++)
      d += fmt::format("V{:.1f}H{:.1f}", axes.y(100 * (same ? histogram.same : histogram.different)[bin]),
                       edge(bin + 1));
    d += fmt::format("V{:.1f}", axes.y(0));
    content += fmt::format("<path class=\"area {}\" d=\"{}\"/>\n", class_of(same ? 0 : 1), d);
  }
  std::string words = fmt::format("{}. {} pairs of the same person, {} of different persons.", title,
                                  histogram.same_pairs, histogram.different_pairs);
  if (std::isfinite(histogram.equal_error)) {
    content += distance_mark(axes, histogram.equal_error_distance, "mark", 0,
                             fmt::format("equal error {:.1f} %", histogram.equal_error));
    words += fmt::format(" At the distance {:.4g} both errors are {:.1f} percent.", histogram.equal_error_distance,
                         histogram.equal_error);
  }
  if (std::isfinite(calibrated)) {
    words +=
        fmt::format(" At the distance {:.4g} the calibrated probability of the same person is one half.", calibrated);
    if (calibrated >= histogram.low && calibrated <= histogram.high)
      content += distance_mark(axes, calibrated, "mark calibrated", 1, fmt::format("P = 0.5 at {:.4g}", calibrated));
  }
  return figure(title, svg(kWidth, kHeight, words, content, "chart"));
}

std::string scatter_chart(const std::string& title, const std::string& alternative,
                          const std::vector<ScatterPoint>& points) {
  constexpr double kSize = 400, kMargin = 10;
  Range x, y;
  for (const ScatterPoint& point : points) x.add(point.x), y.add(point.y);
  x = x.widened(), y = y.widened();
  const double scale = (kSize - 2 * kMargin) / std::max(x.high - x.low, y.high - y.low);
  std::string content;
  for (const bool coloured : {false, true})
    for (const ScatterPoint& point : points) {
      if (coloured != (point.style >= 0)) continue;
      const double px = kSize / 2 + (point.x - (x.low + x.high) / 2) * scale;
      const double py = kSize / 2 + (point.y - (y.low + y.high) / 2) * scale;
      const std::string style = coloured ? "p " + class_of(point.style) : "p other";
      const double r = coloured ? 4.2 : 2.6;
      const std::string shape =
          point.triangle
              ? fmt::format("path class=\"{}\" d=\"M{:.1f} {:.1f}l{:.1f} {:.1f}h{:.1f}z\"", style, px, py - r * 1.2,
                            r * 1.15, r * 2, -r * 2.3)
              : fmt::format("circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\"", style, px, py, r);
      content +=
          fmt::format("<{}><title>{}</title></{}>\n", shape, escape(point.label), point.triangle ? "path" : "circle");
    }
  return figure(title, svg(kSize, kSize, alternative, content, "chart map"));
}

}  // namespace mpanet
