// Sections that show pictures of persons, and the map of their embeddings.
#include <fmt/format.h>

#include <algorithm>

#include "core/base/text.h"
#include "mpanet/report/charts.h"
#include "mpanet/report/html.h"
#include "mpanet/report/sections.h"

namespace mpanet {
namespace {

std::string path_of(const RunResults& run, const ImageRecord& image) { return run.data_root + "/" + image.path; }

std::string thumbnail(const ReportPage& page, const RunResults& run, const ImageRecord& image,
                      const std::string& alternative) {
  if (page.thumbnails == nullptr) return "";
  return Thumbnails::shown(page.thumbnails->add(path_of(run, image)), alternative);
}

std::string ranked_item(const ReportPage& page, const RunResults& run, const RankedImage& ranked, bool gap) {
  const std::string kind =
      fmt::format("{}{}{}", ranked.right ? "right" : "wrong", ranked.after ? " after" : "", gap ? " gap" : "");
  const std::string words = fmt::format("rank {}: {}, {}", ranked.rank,
                                        ranked.right ? "the same person" : "another person", words_of(ranked.image));
  return fmt::format(
      "<li class=\"{}\">{}<span class=\"rank\">{}{}</span><span>id {}</span><span>{}</span><span>{:.3f}</span></li>",
      kind, thumbnail(page, run, ranked.image, words), ranked.rank,
      ranked.right ? " <span aria-label=\"right\">✓</span>" : "", ranked.image.identity,
      camera_name(ranked.image.camera), ranked.distance);
}

std::string ranked_query(const ReportPage& page, const RunResults& run, const RankedQuery& query, size_t number) {
  std::string list;
  for (size_t i = 0; i < query.list.size(); i++) {
    const bool gap = i > 0 && query.list[i].rank > query.list[i - 1].rank + 1;
    list += ranked_item(page, run, query.list[i], gap);
  }
  return fmt::format(
      "<article class=\"query\"><div class=\"asked\">{}<p><b>{}.</b> id {}, {}<br>AP {:.1f} %<br>first right: rank {} "
      "of "
      "{}<br>last right: rank {}</p><p class=\"path\">{}</p></div><ol class=\"ranked\">{}</ol></article>\n",
      thumbnail(page, run, query.query, "query: " + words_of(query.query)), number, query.query.identity,
      camera_name(query.query.camera), query.average_precision, query.first_right, query.gallery, query.last_right,
      escape(query.query.path), list);
}

std::string map_figure(const RunResults& run) {
  std::vector<ScatterPoint> points;
  size_t infrared = 0;
  for (const MapPoint& point : run.map) {
    const auto found = std::find(run.coloured.begin(), run.coloured.end(), point.image.identity);
    infrared += point.image.infrared;
    points.push_back({point.x, point.y,
                      found == run.coloured.end() ? -1 : static_cast<int>(found - run.coloured.begin()),
                      point.image.infrared, words_of(point.image)});
  }
  return scatter_chart(fmt::format("{}, {} of them infrared", counted(points.size(), "picture"), infrared),
                       fmt::format("A map of the embeddings of {}, {} of them infrared. Near points are similar.",
                                   counted(points.size(), "picture"), infrared),
                       points);
}

std::string map_legend(const std::vector<int>& identities) {
  std::string made = "<ul class=\"legend\">";
  const auto entry = [&](const std::string& shape, const std::string& words) {
    made += fmt::format(
        "<li><svg viewBox=\"0 0 12 12\" width=\"12\" height=\"12\" aria-hidden=\"true\">{}</svg>{}</li>", shape, words);
  };
  for (size_t i = 0; i < identities.size(); i++)
    entry(fmt::format("<circle class=\"p c{}\" cx=\"6\" cy=\"6\" r=\"4.2\"/>", i), fmt::format("id {}", identities[i]));
  entry("<circle class=\"p other\" cx=\"6\" cy=\"6\" r=\"4\"/>", "another identity");
  entry("<circle class=\"plain\" cx=\"6\" cy=\"6\" r=\"4\"/>", "visible");
  entry("<path class=\"plain\" d=\"M6 1l5 9h-10z\"/>", "infrared");
  return made + "</ul>\n";
}

std::string person_table(const MappedPerson& person) {
  const int identity = person.images[0].identity;
  const auto& ranges = person.maps.ranges;
  std::vector<std::string> head = {fmt::format("id {}", identity), "picture"};
  for (size_t p = 0; p < ranges.size(); p++)
    head.push_back(fmt::format("pattern {}<br><span class=\"range\">{:.2f}–{:.2f}</span>", p + 1, ranges[p].first,
                               ranges[p].second));
  std::vector<TableRow> rows;
  for (size_t i = 0; i < 2; i++) {
    const ImageRecord& image = person.images[i];
    const char* const modality = image.infrared ? "infrared" : "visible";
    TableRow row{{fmt::format("{}<br>{}", modality, camera_name(image.camera))}, ""};
    row.cells.push_back(fmt::format("<img src=\"{}\" alt=\"{}\">", picture_uri(person.pictures[i]), words_of(image)));
    for (size_t p = 0; p < ranges.size(); p++)
      row.cells.push_back(fmt::format("<img src=\"{}\" alt=\"pattern {} of the {} picture of id {}\">",
                                      picture_uri(person.maps.overlays[i][p]), p + 1, modality, identity));
    rows.push_back(row);
  }
  return table(fmt::format("pattern maps of id {}", identity), head, rows, false);
}

}  // namespace

std::string words_of(const ImageRecord& image) {
  return fmt::format("id {}, {}, {}", image.identity, camera_name(image.camera),
                     image.infrared ? "infrared" : "visible");
}

std::string camera_name(int camera) { return camera == 0 ? "camera ?" : fmt::format("camera {}", camera); }

std::string map_section(const ReportPage& page) {
  return section(
      "map", "Map of the embeddings",
      "<p>t-SNE of the distances: near points are similar, distances between far ones mean nothing. The colour "
      "is the identity, of up to eight; the shape is the modality. If the modality did not matter, dots and "
      "triangles of a colour would lie together.</p>\n" +
          map_legend(page.runs.front().coloured) + side_by_side(page, map_figure));
}

std::string patterns_section(const ReportPage& page) {
  if (!page.why_no_maps.empty())
    return section("patterns", "Pattern maps", fmt::format("<p>{}</p>", escape(page.why_no_maps)));
  std::string content =
      "<p>Where each pattern of the network looks (paper, section 3.3), in a visible and an infrared picture of a "
      "person. "
      "A pattern that is a nuance of the person looks at the same place in both. Yellow is the largest value of the "
      "pattern over both pictures, dark blue the smallest; both are below its number.</p>\n";
  for (const RunResults& run : page.runs) {
    if (page.runs.size() > 1) content += fmt::format("<h3>{}</h3>\n", escape(run.record.name));
    if (run.persons.empty()) content += "<p>No pattern maps.</p>\n";
    content += "<div class=\"maps\">";
    for (const MappedPerson& person : run.persons) content += person_table(person);
    content += "</div>\n";
  }
  return section("patterns", "Pattern maps", content);
}

std::string worst_section(const ReportPage& page) {
  const RunResults& first = page.runs.front();
  std::string content = fmt::format(
      "<p>The queries with the lowest average precision in the first trial of “{}”, each with its first {} gallery "
      "pictures and, if it is not among them, the first right one. A thick frame and ✓: the same person. Dimmed: "
      "ranked "
      "after the last right picture, so that none could be right any more. Below each: rank, identity, camera, "
      "distance.</p>\n",
      setting_name(first.directions.front().settings.front().setting), kShownMatches);
  for (size_t i = 0; i < page.runs.size(); i++) {
    const RunResults& run = page.runs[i];
    const std::string label =
        page.runs.size() > 1 ? fmt::format("{}: {}", run.record.name, counted(run.worst.size(), "query", "queries"))
                             : counted(run.worst.size(), "query", "queries");
    content += fmt::format("<details{}><summary>{}</summary>\n", i == 0 ? " open" : "", escape(label));
    for (size_t q = 0; q < run.worst.size(); q++) content += ranked_query(page, run, run.worst[q], q + 1);
    content += "</details>\n";
  }
  return section("worst", "Worst queries", content);
}

}  // namespace mpanet
