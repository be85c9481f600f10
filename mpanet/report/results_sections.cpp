// Tables and curves.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/text.h"
#include "mpanet/report/charts.h"
#include "mpanet/report/html.h"
#include "mpanet/report/published.h"
#include "mpanet/report/sections.h"

namespace mpanet {
namespace {

// "81.20", or with the deviation "81.20 ± 1.30".
std::string value_cell(double mean, double deviation) {
  if (std::isnan(mean)) return "–";
  std::string cell = fmt::format("{:.2f}", mean);
  if (!std::isnan(deviation)) cell += fmt::format("<span class=\"deviation\"> ± {:.2f}</span>", deviation);
  return cell;
}

std::string count_cell(const SettingResult& result, int TrialResult::*count) {
  const auto [least, most] = std::minmax_element(result.trials.begin(), result.trials.end(),
                                                 [&](const auto& a, const auto& b) { return a.*count < b.*count; });
  if ((*least).*count == (*most).*count) return std::to_string((*least).*count);
  return fmt::format("{}–{}", (*least).*count, (*most).*count);
}

TableRow run_row(const RunResults& run, const SettingResult& result) {
  TableRow row;
  row.cells.push_back(escape(run.record.name));
  for (const auto& metric : kMetrics)
    row.cells.push_back(value_cell(result.mean.*metric.value, result.deviation.*metric.value));
  row.cells.push_back(count_cell(result, &TrialResult::queries));
  row.cells.push_back(count_cell(result, &TrialResult::gallery));
  return row;
}

// Mean and deviation over runs that differ only in seed and split.
TableRow group_row(const std::vector<const SettingResult*>& results) {
  TableRow row{{fmt::format("mean of {} runs", results.size())}, "mean"};
  const double count = static_cast<double>(results.size());
  for (const auto& metric : kMetrics) {
    double mean = 0, squares = 0;
    for (const SettingResult* result : results) mean += result->mean.*metric.value / count;
    for (const SettingResult* result : results) squares += std::pow(result->mean.*metric.value - mean, 2);
    row.cells.push_back(value_cell(mean, std::sqrt(squares / (count - 1))));
  }
  row.cells.insert(row.cells.end(), {"", ""});
  return row;
}

const SettingResult* find_result(const RunResults& run, const std::string& direction, const Setting& setting) {
  for (const DirectionResults& one : run.directions)
    for (const SettingResult& result : one.settings)
      if (one.direction == direction && result.setting == setting) return &result;
  return nullptr;
}

// Rows of one setting and direction: the paper, every run, and the mean of every group of repetitions.
std::vector<TableRow> setting_rows(const ReportPage& page, const std::string& direction, const Setting& setting) {
  std::vector<TableRow> rows;
  const RunResults& first = page.runs.front();
  const SettingResult* const result = find_result(first, direction, setting);
  if (const auto paper = published(first.protocol, direction, setting, result->trials.front().queries)) {
    TableRow row{{"the paper"}, "published"};
    for (const auto& metric : kMetrics)
      row.cells.push_back(metric.value == &Metrics::rank1 ? fmt::format("{:.2f}", paper->rank1)
                          : metric.value == &Metrics::mAP ? fmt::format("{:.2f}", paper->mAP)
                                                          : "");
    row.cells.insert(row.cells.end(), {"", ""});
    rows.push_back(row);
  }
  for (const RunResults& run : page.runs)
    if (const SettingResult* own = find_result(run, direction, setting)) rows.push_back(run_row(run, *own));
  std::vector<bool> grouped(page.runs.size());
  for (size_t i = 0; i < page.runs.size(); i++) {
    const SettingResult* const own = find_result(page.runs[i], direction, setting);
    if (grouped[i] || own == nullptr) continue;
    std::vector<const SettingResult*> group = {own};
    for (size_t k = i + 1; k < page.runs.size(); k++) {
      const SettingResult* const other = find_result(page.runs[k], direction, setting);
      if (grouped[k] || other == nullptr || !repeats(page.runs[i].record, page.runs[k].record)) continue;
      grouped[k] = true;
      group.push_back(other);
    }
    if (group.size() > 1) rows.push_back(group_row(group));
  }
  return rows;
}

// A value per rank 1..20.
std::vector<std::pair<double, double>> cmc_points(const RunResults& run, const SettingResult& result) {
  std::vector<std::pair<double, double>> points;
  for (const auto& [name, value] : named_metrics(result.mean, run.more_ranks))
    if (name.starts_with("rank")) points.emplace_back(std::stoi(name.substr(4)), value);
  std::sort(points.begin(), points.end());
  return points;
}

// A chart per quantity, each with a line per run.
LineChart curve(const ReportPage& page, const std::string& title, const auto& choose) {
  LineChart chart{title, "epoch", {}, false};
  for (size_t i = 0; i < page.runs.size(); i++) {
    Series series{page.runs[i].record.name, static_cast<int>(i), choose(page.runs[i].record.curves), {}};
    series.dots = series.points.size() <= 30;
    chart.series.push_back(std::move(series));
  }
  return chart;
}

const CurvePoints& points_of(const std::vector<std::pair<std::string, CurvePoints>>& curves, const std::string& name) {
  static const CurvePoints none;
  for (const auto& [own, points] : curves)
    if (own == name) return points;
  return none;
}

// At most about 400 points, each the mean of its neighbours.
CurvePoints thinned(const CurvePoints& points) {
  const size_t each = points.size() / 400 + 1;
  CurvePoints made;
  for (size_t first = 0; first < points.size(); first += each) {
    const size_t count = std::min(each, points.size() - first);
    double x = 0, y = 0;
    for (size_t i = first; i < first + count; i++) x += points[i].first, y += points[i].second;
    made.emplace_back(x / static_cast<double>(count), y / static_cast<double>(count));
  }
  return made;
}

std::string loss_charts(const ReportPage& page) {
  std::vector<std::string> names;
  for (const RunResults& run : page.runs)
    for (const auto* curves : {&run.record.curves.epochs, &run.record.curves.steps})
      for (const auto& [name, points] : *curves)
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  std::string made;
  for (const std::string& name : names) {
    LineChart chart = curve(page, name == "total" ? "total loss" : fmt::format("loss term {}", name),
                            [&](const RunCurves& curves) { return points_of(curves.epochs, name); });
    for (size_t i = 0; i < page.runs.size(); i++) {
      Series steps{"", static_cast<int>(i), thinned(points_of(page.runs[i].record.curves.steps, name)), {}};
      steps.faint = true;
      chart.series.push_back(std::move(steps));
    }
    made += line_chart(chart);
  }
  return made;
}

// One table per direction. Of one run without published numbers a row per setting, else a group of rows per setting.
std::string direction_table(const ReportPage& page, const DirectionResults& direction) {
  std::vector<std::vector<TableRow>> groups;
  for (const SettingResult& result : direction.settings)
    groups.push_back(setting_rows(page, direction.direction, result.setting));
  const bool one_each = std::all_of(groups.begin(), groups.end(), [](const auto& rows) { return rows.size() == 1; });
  std::vector<TableRow> rows;
  for (size_t i = 0; i < groups.size(); i++) {
    const std::string name = setting_name(direction.settings[i].setting);
    if (one_each) {
      rows.push_back(groups[i].front());
      rows.back().cells.front() = name;
      continue;
    }
    TableRow head{{name}, "group"};
    head.cells.resize(groups[i].front().cells.size());
    rows.push_back(head);
    rows.insert(rows.end(), groups[i].begin(), groups[i].end());
  }
  std::vector<std::string> head = {""};
  for (const char* name : {"rank-1", "rank-5", "rank-10", "rank-20", "mAP", "mINP", "queries", "gallery"})
    head.emplace_back(name);
  return fmt::format("<h3>{}</h3>\n{}", escape(direction.direction),
                     table("results: " + direction.direction, head, rows, true));
}

std::string results_words(const ReportPage& page, const std::string& tables) {
  const RunResults& first = page.runs.front();
  std::string words = fmt::format(
      "Percent; protocol {}{}; {}. ", escape(first.protocol),
      first.split > 0 && page.runs.size() == 1 ? fmt::format(", split {}", first.split) : "", escape(first.distance));
  if (first.trials > 1)
    words += fmt::format("Mean ± standard deviation (n − 1) over {}. ", counted(first.trials, "trial"));
  if (tables.find("class=\"mean\"") != tables.npos)
    words += "The mean of several runs, which differ only in seed and split, has the deviation over these runs. ";
  words += "rank-k counts queries with a right picture among the first k people; mAP and mINP judge the whole list.";
  if (tables.find("class=\"published\"") != tables.npos) words += " The paper: Wu et al., CVPR 2021.";
  const bool best = std::any_of(page.runs.begin(), page.runs.end(),
                                [](const RunResults& run) { return run.facts.feature.ends_with("best.safetensors"); });
  if (best) words += " best.safetensors was chosen by its results on this test set, as the authors do.";
  return words;
}

}  // namespace

std::string results_section(const ReportPage& page) {
  std::string tables;
  for (const DirectionResults& direction : page.runs.front().directions) tables += direction_table(page, direction);
  return section("results", "Results", fmt::format("<p>{}</p>\n{}", results_words(page, tables), tables));
}

std::string cmc_section(const ReportPage& page) {
  const RunResults& first = page.runs.front();
  std::string content;
  std::vector<Series> of_run;  // of a single run: a line per setting in one chart
  const bool single = page.runs.size() == 1;
  for (const DirectionResults& direction : first.directions)
    for (const SettingResult& result : direction.settings) {
      const std::string name = first.directions.size() > 1
                                   ? fmt::format("{}: {}", direction.direction, setting_name(result.setting))
                                   : setting_name(result.setting);
      if (single) {
        of_run.push_back({name, static_cast<int>(of_run.size()), cmc_points(first, result), {}, true, false});
        continue;
      }
      LineChart chart{name, "rank", {}, false};
      for (size_t i = 0; i < page.runs.size(); i++)
        if (const SettingResult* own = find_result(page.runs[i], direction.direction, result.setting))
          chart.series.push_back(
              {page.runs[i].record.name, static_cast<int>(i), cmc_points(page.runs[i], *own), {}, true, false});
      content += line_chart(chart);
    }
  std::string key;
  if (single) {
    key = legend(of_run);
    content = line_chart({"CMC", "rank", of_run, false});
  } else {
    for (size_t i = 0; i < page.runs.size(); i++)
      of_run.push_back({page.runs[i].record.name, static_cast<int>(i), {}, {}, false, false});
    key = legend(of_run);
  }
  return section(
      "cmc", "Matching by rank",
      "<p>The cumulative matching characteristic: percent of the queries with a right picture among the first "
      "k people, for k from 1 to 20.</p>\n" +
          key + "<div class=\"grid\">" + content + "</div>");
}

std::string curves_section(const ReportPage& page) {
  std::string charts = loss_charts(page);
  if (charts.empty()) return section("training", "Training", "<p>The logs have no epochs yet.</p>");
  LineChart rate = curve(page, "learning rate", [](const RunCurves& curves) { return curves.learning_rate; });
  rate.log_y = true;
  for (Series& series : rate.series) series.dots = false;
  LineChart rank1 =
      curve(page, "rank-1 of the evaluations, percent", [](const RunCurves& curves) { return curves.rank1; });
  for (size_t i = 0; i < page.runs.size(); i++) rank1.series[i].marked = page.runs[i].record.curves.best;
  const LineChart mAP =
      curve(page, "mAP of the evaluations, percent", [](const RunCurves& curves) { return curves.mAP; });
  const bool evaluated = std::any_of(page.runs.begin(), page.runs.end(),
                                     [](const RunResults& run) { return !run.record.curves.rank1.empty(); });
  const std::string evaluations = evaluated ? line_chart(rank1) + line_chart(mAP) : "";
  std::vector<Series> keys;
  for (size_t i = 0; i < page.runs.size(); i++)
    keys.push_back({page.runs[i].record.name, static_cast<int>(i), {}, {}, false, false});
  return section("training", "Training",
                 std::string("<p>Means of each epoch; the thin lines are single steps. Terms are shown before their "
                             "weights.") +
                     (evaluated ? " A ring: the evaluation wrote best.safetensors." : "") + "</p>\n" +
                     (page.runs.size() > 1 ? legend(keys) : "") + "<div class=\"grid\">" + evaluations + charts +
                     line_chart(rate) + "</div>");
}

namespace {

std::string calibration_words(const ReportPage& page) {
  for (const RunResults& run : page.runs)
    if (std::isfinite(run.calibrated))
      return fmt::format(
          " At the dotted line the calibrated probability of the same person is one half, if both kinds "
          "are equally likely beforehand; it was fitted on the pairs of {} of this test set, which "
          "results and pairs of this page contain.",
          counted(run.calibration->identities.size(), "identity", "identities"));
  return "";
}

}  // namespace

std::string pairs_section(const ReportPage& page) {
  const std::vector<Series> keys = {{"same person", 0, {}, {}, false, false},
                                    {"different persons", 1, {}, {}, false, false}};
  const std::string charts = side_by_side(page, [](const RunResults& run) {
    return histogram_chart(fmt::format("{} pairs of the same person, {} of different persons", run.pairs.same_pairs,
                                       run.pairs.different_pairs),
                           run.pairs, run.calibrated);
  });
  return section(
      "distances", "Distances of pairs",
      fmt::format("<p>Every query with every gallery picture of the other modality that a trial of “{}” draws; "
                  "{}. At the dashed line as many pairs of the same person lie beyond it as pairs of different "
                  "persons below it, in percent of their kind.{}</p>\n",
                  setting_name(page.runs.front().directions.front().settings.front().setting),
                  escape(page.runs.front().distance), calibration_words(page)) +
          legend(keys) + charts);
}

std::string cameras_section(const ReportPage& page) {
  const std::string tables = side_by_side(page, [](const RunResults& run) {
    std::vector<std::string> head = {"query by"};
    for (const int camera : run.cameras.gallery_cameras) head.push_back(camera_name(camera));
    std::vector<TableRow> rows;
    for (size_t q = 0; q < run.cameras.query_cameras.size(); q++) {
      TableRow row{{camera_name(run.cameras.query_cameras[q])}, ""};
      for (const CameraPair& pair : run.cameras.pairs[q])
        row.cells.push_back(
            pair.searches == 0
                ? std::string("<span class=\"none\">–</span>")
                : fmt::format("<span class=\"heat\" style=\"--v:{:.3f}\"><b>{:.1f}</b> <span>{:.1f}</span></span>",
                              pair.rank1 / 100, pair.rank1, pair.mAP));
      rows.push_back(row);
    }
    return table("rank-1 and mAP by pair of cameras", head, rows, true);
  });
  return section("cameras", "Pairs of cameras",
                 fmt::format("<p>Each query searches among the gallery pictures of one camera alone, in “{}”: "
                             "<b>rank-1</b>, then mAP, percent. A dash: no query of this camera has a right picture "
                             "there, or the protocol ignores the pair.</p>\n",
                             setting_name(page.runs.front().directions.front().settings.front().setting)) +
                     tables);
}

}  // namespace mpanet
