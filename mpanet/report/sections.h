// The sections of the page, each a heading with its content. page.cpp puts them together.
#pragma once
#include <string>

#include "mpanet/report/page.h"

namespace mpanet {

// <section id="ID"><h2>TITLE</h2>CONTENT</section>
std::string section(const std::string& id, const std::string& title, const std::string& content);
// Parts of several runs beside each other, under the runs' names; of one run without its name. `part` gives HTML.
template <class Part>
std::string side_by_side(const ReportPage& page, const Part& part);

// "all search, single shot"; "whole gallery".
std::string setting_name(const Setting& setting);
// "id 3, camera 2, infrared"
std::string words_of(const ImageRecord& image);
std::string camera_name(int camera);

std::string results_section(const ReportPage& page);
std::string cmc_section(const ReportPage& page);
std::string curves_section(const ReportPage& page);
std::string pairs_section(const ReportPage& page);
std::string cameras_section(const ReportPage& page);
std::string map_section(const ReportPage& page);
std::string patterns_section(const ReportPage& page);
std::string worst_section(const ReportPage& page);
std::string configuration_section(const ReportPage& page);
std::string provenance_section(const ReportPage& page);
std::string commands_section(const ReportPage& page);

std::string join_parts(const ReportPage& page, const std::vector<std::string>& parts);

template <class Part>
std::string side_by_side(const ReportPage& page, const Part& part) {
  std::vector<std::string> parts;
  for (const RunResults& run : page.runs) parts.push_back(part(run));
  return join_parts(page, parts);
}

}  // namespace mpanet
