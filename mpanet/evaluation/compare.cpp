#include "mpanet/evaluation/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/quote.h"
#include "core/base/random.h"

namespace mpanet {
namespace {

using nlohmann::ordered_json;

// One setting of a file.
struct Entry {
  std::string direction, mode, shots;
  std::map<std::string, double> means;
  std::vector<std::string> metrics;                   // names, in the file's order
  std::vector<std::string> queries;                   // paths
  std::vector<double> trials;                         // per query
  std::map<std::string, std::vector<double>> values;  // per metric and query

  std::string name() const { return fmt::format("{} {}: {}", mode, shots, direction); }
};

struct ResultFile {
  std::string path, protocol, distance, feature, rerank;
  bool flip = false;
  std::vector<Entry> entries;
};

double number_of(const ordered_json& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
}

std::vector<double> numbers_of(const ordered_json& json) {
  std::vector<double> numbers;
  for (const auto& value : json) numbers.push_back(number_of(value));
  return numbers;
}

Entry read_entry(const ordered_json& json, const ordered_json& file) {
  Entry entry{json.at("direction"), json.at("mode"), json.at("shots"), {}, {}, {}, {}, {}};
  entry.queries = file.at("queries").at(entry.direction).get<std::vector<std::string>>();
  const ordered_json& per_query = json.at("per_query");
  for (const auto& [key, values] : per_query.items()) {
    std::vector<double> numbers = numbers_of(values);
    if (numbers.size() != entry.queries.size())
      throw std::invalid_argument(
          fmt::format("{} values of {} for {} queries", numbers.size(), key, entry.queries.size()));
    if (key == "trials") {
      entry.trials = std::move(numbers);
    } else {
      entry.metrics.push_back(key);
      entry.means[key] = number_of(json.at(key));
      entry.values[key] = std::move(numbers);
    }
  }
  if (entry.trials.empty() && !entry.queries.empty()) throw std::invalid_argument("per_query has no trials");
  return entry;
}

ResultFile read_file(const std::string& path) {
  const ordered_json json = parse_ordered_json(read_text(path), path);
  try {
    ResultFile file{
        path, json.at("protocol"), json.at("distance"), json.at("feature"), json.at("rerank"), json.at("flip"), {}};
    for (const auto& entry : json.at("results")) file.entries.push_back(read_entry(entry, json));
    if (file.entries.empty()) throw std::invalid_argument("no results");
    return file;
  } catch (const UserError&) {
    throw;
  } catch (const std::exception& error) {
    fail("{}: expected a result file of mpanet-eval --json with per_query values: {}", path, error.what());
  }
}

// `other` with its queries in the order of `first`. UserError if the queries differ.
Entry aligned(const ResultFile& first_file, const Entry& first, const ResultFile& other_file) {
  if (first_file.protocol != other_file.protocol)
    fail("{}: protocol {}, but {} has {}: nothing to compare", other_file.path, other_file.protocol, first_file.path,
         first_file.protocol);
  const auto found = std::find_if(other_file.entries.begin(), other_file.entries.end(),
                                  [&](const Entry& entry) { return entry.name() == first.name(); });
  if (found == other_file.entries.end())
    fail("{}: no result of '{}', which {} has", other_file.path, first.name(), first_file.path);
  std::map<std::string_view, size_t> indices;
  for (size_t q = 0; q < found->queries.size(); q++) indices.emplace(found->queries[q], q);
  if (indices.size() != first.queries.size())
    fail("{}: {} queries in '{}', but {} has {}", other_file.path, indices.size(), first.name(), first_file.path,
         first.queries.size());
  std::vector<size_t> order;
  for (const std::string& path : first.queries) {
    const auto index = indices.find(path);
    if (index == indices.end()) fail("{}: no query {}, which {} has", other_file.path, quote(path), first_file.path);
    order.push_back(index->second);
  }
  Entry entry = *found;
  for (size_t q = 0; q < order.size(); q++) {
    entry.queries[q] = found->queries[order[q]];
    entry.trials[q] = found->trials[order[q]];
    for (auto& [key, values] : entry.values) values[q] = found->values.at(key)[order[q]];
  }
  return entry;
}

struct Interval {
  double low = 0, high = 0;
};

// Weighted means of one resample.
class Means {
 public:
  explicit Means(const Entry& entry, const std::vector<std::string>& metrics) : entry_(entry), metrics_(metrics) {
    for (const std::string& metric : metrics) {
      std::vector<double> weighted = entry.values.at(metric);
      for (size_t q = 0; q < weighted.size(); q++)
        weighted[q] = entry.trials[q] > 0 ? weighted[q] * entry.trials[q] : 0;
      weighted_.push_back(std::move(weighted));
    }
  }
  std::vector<double> of(const std::vector<uint32_t>& queries) const {
    double weight = 0;
    for (const uint32_t q : queries) weight += entry_.trials[q];
    std::vector<double> means;
    for (size_t m = 0; m < metrics_.size(); m++) {
      double sum = 0;
      for (const uint32_t q : queries) sum += weighted_[m][q];
      means.push_back(sum / weight);
    }
    return means;
  }

 private:
  const Entry& entry_;
  const std::vector<std::string>& metrics_;
  std::vector<std::vector<double>> weighted_;
};

// The intervals of other - first, one per metric.
std::vector<Interval> intervals(const Entry& first, const Entry& other, const std::vector<std::string>& metrics) {
  const Means ours(first, metrics), theirs(other, metrics);
  const auto queries = static_cast<uint32_t>(first.queries.size());
  std::vector<std::vector<double>> differences(metrics.size(), std::vector<double>(kResamples));
#pragma omp parallel for schedule(dynamic, 64)
  for (int resample = 0; resample < kResamples; resample++) {
    Random random(1, Purpose::Chance, 1, resample);  // chance embeddings are of epoch 0
    std::vector<uint32_t> drawn(queries);
    for (uint32_t& query : drawn) query = random.below(queries);
    const std::vector<double> a = ours.of(drawn), b = theirs.of(drawn);
    for (size_t m = 0; m < metrics.size(); m++) differences[m][resample] = b[m] - a[m];
  }
  std::vector<Interval> found;
  for (auto& values : differences) {
    std::erase_if(values, [](double value) { return std::isnan(value); });  // no drawn query has a match
    std::sort(values.begin(), values.end());
    const auto at = [&](double fraction) {
      return values.empty() ? std::numeric_limits<double>::quiet_NaN()
                            : values[static_cast<size_t>(fraction * static_cast<double>(values.size() - 1) + 0.5)];
    };
    found.push_back({at(0.025), at(0.975)});
  }
  return found;
}

std::string letter(size_t file) {
  return file < 26 ? std::string(1, static_cast<char>('A' + file)) : fmt::format("#{}", file + 1);
}

std::string setting_table(const std::vector<ResultFile>& files, const Entry& first) {
  std::vector<Entry> entries = {first};
  for (size_t f = 1; f < files.size(); f++) entries.push_back(aligned(files[0], first, files[f]));
  std::vector<std::string> metrics;  // those of all entries
  for (const std::string& metric : first.metrics)
    if (std::all_of(entries.begin(), entries.end(), [&](const Entry& e) { return e.values.count(metric) > 0; }))
      metrics.push_back(metric);
  std::string table = fmt::format("\n{}; {} queries\n{:<8}", printable(first.name()), first.queries.size(), "");
  for (size_t f = 0; f < files.size(); f++) table += fmt::format(" {:>7}", letter(f));
  std::vector<std::vector<Interval>> all;
  for (size_t f = 1; f < files.size(); f++) {
    table += fmt::format("   {:<26}", fmt::format("{} - A, 95 %", letter(f)));
    all.push_back(intervals(first, entries[f], metrics));
  }
  table.erase(table.find_last_not_of(' ') + 1);
  table += "\n";
  for (size_t m = 0; m < metrics.size(); m++) {
    table += fmt::format("{:<8}", metrics[m]);
    for (const Entry& entry : entries) table += fmt::format(" {:>7.2f}", entry.means.at(metrics[m]));
    for (size_t f = 1; f < files.size(); f++) {
      const Interval& interval = all[f - 1][m];
      std::string cell =
          fmt::format("{:+.2f} [{:+.2f}, {:+.2f}]", entries[f].means.at(metrics[m]) - first.means.at(metrics[m]),
                      interval.low, interval.high);
      table += f + 1 < files.size() ? fmt::format("   {:<26}", cell) : "   " + cell;
    }
    table += "\n";
  }
  return table;
}

}  // namespace

std::string compare_results(const std::vector<std::string>& paths) {
  if (paths.size() < 2) fail("--compare: expected at least two result files, got {}", paths.size());
  std::vector<ResultFile> files;
  for (const std::string& path : paths) files.push_back(read_file(path));
  std::string text = fmt::format("protocol {}; percent; intervals of a paired bootstrap over queries, {} resamples\n",
                                 printable(files[0].protocol), kResamples);
  for (size_t f = 0; f < files.size(); f++)
    text += fmt::format("{}: {}: {}; {}; flip averaging {}; re-ranking {}\n", letter(f), printable(files[f].path),
                        printable(files[f].feature), printable(files[f].distance), files[f].flip ? "on" : "off",
                        printable(files[f].rerank));
  for (const Entry& entry : files[0].entries) text += setting_table(files, entry);
  return text;
}

}  // namespace mpanet
