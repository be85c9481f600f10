#include "mpanet/report/page.h"

#include <fmt/format.h>

#include "core/base/text.h"
#include "data/synth/synth.h"
#include "mpanet/report/html.h"
#include "mpanet/report/sections.h"
#include "mpanet/report/style.h"

namespace mpanet {
namespace {

struct Entry {
  const char *id, *name;
};
constexpr Entry kSections[] = {
    {"results", "Results"},       {"cmc", "Matching by rank"}, {"training", "Training"},
    {"distances", "Distances"},   {"cameras", "Cameras"},      {"map", "Map"},
    {"patterns", "Pattern maps"}, {"worst", "Worst queries"},  {"configuration", "Configuration"},
    {"provenance", "Provenance"}, {"commands", "Commands"}};

// Whose pictures the page has, and what that means.
std::string notice(const ReportPage& page, size_t pictures) {
  if (page.thumbnails == nullptr) return "This page has no pictures of people (--no-pictures).";
  const std::string count = counted(pictures, "picture");
  if (is_drawn(page.runs.front().data_root))
    return fmt::format(
        "This page has {} of the people in the data set {}. They are drawn: its file {} says that mpanet-data synth "
        "made it. No real person is shown.",
        count, page.data, kDrawnName);
  switch (page.dataset) {
    case DatasetKind::Sysu:
    case DatasetKind::RegDb:
    case DatasetKind::Llcm:
      return fmt::format(
          "This page has {} of the people in the data set {}. If that is the data set of its authors, these are real "
          "people, and the authors' agreement holds for this page as for the data set: do not publish it. "
          "--no-pictures makes a page without them.",
          count, page.data);
    case DatasetKind::Csv:
      return fmt::format(
          "This page has {} of the people in {}. Who may see it is a question to those who took the pictures and to "
          "the people in them. --no-pictures makes a page without them.",
          count, page.data);
  }
  return "";
}

std::string title_of(const ReportPage& page) {
  std::vector<std::string> names;
  for (const RunResults& run : page.runs) names.push_back(run.record.name);
  return join(names);
}

// The best of what a reader wants to know first.
std::string lead(const ReportPage& page) {
  const RunResults& run = page.runs.front();
  const SettingResult& result = run.directions.front().settings.front();
  return fmt::format("{}: rank-1 {} %, mAP {} % ({}, {})", run.record.name, shown_number(result.mean.rank1, 1),
                     shown_number(result.mean.mAP, 1), setting_name(result.setting), run.directions.front().direction);
}

std::string navigation() {
  std::string made = "<nav aria-label=\"Sections\"><ul>";
  for (const Entry& entry : kSections) made += fmt::format("<li><a href=\"#{}\">{}</a></li>", entry.id, entry.name);
  return made + "</ul></nav>\n";
}

}  // namespace

std::string section(const std::string& id, const std::string& title, const std::string& content) {
  return fmt::format("<section id=\"{}\" aria-labelledby=\"{}-title\"><h2 id=\"{}-title\">{}</h2>\n{}</section>\n", id,
                     id, id, title, content);
}

std::string setting_name(const Setting& setting) {
  const std::string mode = setting.mode == "indoor" ? "indoor search" : "all search";
  return setting.shots == "all" ? std::string("whole gallery") : fmt::format("{}, {} shot", mode, setting.shots);
}

std::string join_parts(const ReportPage& page, const std::vector<std::string>& parts) {
  std::string made = "<div class=\"grid\">";
  for (size_t i = 0; i < parts.size(); i++) {
    made += "<div>";
    if (parts.size() > 1) made += fmt::format("<h3>{}</h3>\n", escape(page.runs[i].record.name));
    made += parts[i] + "</div>\n";
  }
  return made + "</div>\n";
}

std::string page_html(ReportPage& page, int threads) {
  std::string sections;
  for (const auto& make :
       {results_section, cmc_section, curves_section, pairs_section, cameras_section, map_section, patterns_section,
        worst_section, configuration_section, provenance_section, commands_section})
    sections += make(page);
  size_t pictures = page.thumbnails == nullptr ? 0 : page.thumbnails->count();
  for (const RunResults& run : page.runs) pictures += 2 * run.persons.size();
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{0}</title>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
      "'unsafe-inline'\">\n<style>{1}</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#results\">Skip to the "
      "results</a>\n<header>\n<p class=\"brow\">MPANet report</p>\n<h1>{0}</h1>\n<p class=\"lead\">{2}</p>\n{3}<p "
      "class=\"notice\" "
      "role=\"note\">{4}</p>\n</header>\n<main>\n",
      escape(title_of(page)), kReportStyle, escape(lead(page)), navigation(), escape(notice(page, pictures)));
  if (page.thumbnails != nullptr) {
    page.thumbnails->load(threads);
    html += page.thumbnails->definitions();
  }
  return html + sections + "</main>\n</body>\n</html>\n";
}

}  // namespace mpanet
