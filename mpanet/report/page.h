// The report as one HTML file: no script, no network, no other file.
#pragma once
#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "mpanet/report/pictures.h"
#include "mpanet/report/run_results.h"

namespace mpanet {

struct ReportPage {
  std::vector<RunResults> runs;  // at least one
  DatasetKind dataset = DatasetKind::Sysu;
  std::string data;                  // the data set's path as given
  Thumbnails* thumbnails = nullptr;  // null: a page without pictures
  std::string why_no_maps;           // a sentence, if no run has pattern maps to show
  std::string command;               // that made the page
};

// Loads the thumbnails, on `threads` threads. UserError for a picture that cannot be read.
std::string page_html(ReportPage& page, int threads);

}  // namespace mpanet
