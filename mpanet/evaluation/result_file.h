// Reads the result files of mpanet-eval --json (results.h) with their values per query.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mpanet {

// One setting and direction of a result file. Values are in percent, 0..100; NaN where no trial counts the query, or
// no query has a match.
struct ResultEntry {
  std::string direction, mode, shots;
  std::vector<std::string> metrics;  // names, in the file's order
  std::map<std::string, double> means;
  std::vector<std::string> queries;                   // paths, each once
  std::vector<double> trials;                         // per query: the number of trials that count it
  std::map<std::string, std::vector<double>> values;  // per metric and query

  std::string name() const;  // "all single: infrared queries, visible gallery"
};

struct ResultFile {
  std::string path, protocol, distance, feature, rerank;
  int split = 0;  // of RegDB; 0 for other data sets
  bool flip = false;
  std::string cmc;                                 // in words; empty if the file does not say
  std::optional<bool> camera_filter, single_shot;  // of a manifest; none for other protocols or if the file lacks it
  std::vector<ResultEntry> entries;                // at least one; no two of one name
};

// UserError, one line with file and key, for a file that is no such result: another type, a value out of range, a value
// that is absent although trials count it, a query or a result listed twice, lists of different lengths.
ResultFile read_result_file(const std::string& path);

}  // namespace mpanet
