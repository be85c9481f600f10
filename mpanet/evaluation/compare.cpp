#include "mpanet/evaluation/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/base/random.h"
#include "mpanet/evaluation/parallel.h"
#include "mpanet/evaluation/result_file.h"

namespace mpanet {
namespace {

using Entry = ResultEntry;

// UserError if the two do not count the same: protocol, split, CMC's unit, a manifest's gallery. A file of an older
// program may not say how it counted.
void check_comparable(const ResultFile& first, const ResultFile& other) {
  if (first.protocol != other.protocol)
    fail("{}: protocol {}, but {} has {}: nothing to compare", other.path, other.protocol, first.path, first.protocol);
  if (first.split != other.split)
    fail("{}: split {} of RegDB, but {} has {}: nothing to compare", other.path, other.split, first.path, first.split);
  if (!first.cmc.empty() && !other.cmc.empty() && first.cmc != other.cmc)
    fail("{}: CMC {}, but in {} it {}: nothing to compare", other.path, other.cmc, first.path, first.cmc);
  for (const auto& [name, value] :
       {std::pair("--camera-filter", &ResultFile::camera_filter), std::pair("--single-shot", &ResultFile::single_shot)})
    if (first.*value && other.*value && *(first.*value) != *(other.*value))
      fail("{}: {} {}, but {} {} it: nothing to compare", other.path, *(other.*value) ? "with" : "without", name,
           first.path, *(first.*value) ? "has" : "lacks");
}

// `other` with its queries in the order of `first`. UserError if the queries differ.
Entry aligned(const ResultFile& first_file, const Entry& first, const ResultFile& other_file) {
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
  for_each_item(kResamples, [&](size_t resample) {
    Random random(1, Purpose::Chance, 1, static_cast<uint32_t>(resample));  // chance embeddings are of epoch 0
    std::vector<uint32_t> drawn(queries);
    for (uint32_t& query : drawn) query = random.below(queries);
    const std::vector<double> a = ours.of(drawn), b = theirs.of(drawn);
    for (size_t m = 0; m < metrics.size(); m++) differences[m][resample] = b[m] - a[m];
  });
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

// "-" for NaN: no query has a match.
std::string percent(double value) { return std::isnan(value) ? "-" : fmt::format("{:.2f}", value); }

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
    table += fmt::format("{:<8}", printable(metrics[m]));
    for (const Entry& entry : entries) table += fmt::format(" {:>7}", percent(entry.means.at(metrics[m])));
    for (size_t f = 1; f < files.size(); f++) {
      const Interval& interval = all[f - 1][m];
      const double difference = entries[f].means.at(metrics[m]) - first.means.at(metrics[m]);
      const std::string cell = std::isnan(difference)
                                   ? "-"
                                   : fmt::format("{:+.2f} [{:+.2f}, {:+.2f}]", difference, interval.low, interval.high);
      table += f + 1 < files.size() ? fmt::format("   {:<26}", cell) : "   " + cell;
    }
    table += "\n";
  }
  return table;
}

// A line for each result that the first file lacks.
std::string not_compared(const std::vector<ResultFile>& files) {
  std::string text;
  for (size_t f = 1; f < files.size(); f++)
    for (const Entry& entry : files[f].entries)
      if (std::none_of(files[0].entries.begin(), files[0].entries.end(),
                       [&](const Entry& first) { return first.name() == entry.name(); }))
        text += fmt::format("\nnot compared, as A lacks it: {} has '{}'\n", letter(f), printable(entry.name()));
  return text;
}

std::string counting_words(const ResultFile& file) {
  std::string words = file.cmc.empty() ? "" : "; CMC " + printable(file.cmc);
  if (file.camera_filter) words += fmt::format("; camera filter {}", *file.camera_filter ? "on" : "off");
  if (file.single_shot) words += fmt::format("; gallery {}", *file.single_shot ? "single shot" : "whole");
  return words;
}

}  // namespace

std::string compare_results(const std::vector<std::string>& paths) {
  if (paths.size() < 2) fail("--compare: expected at least two result files, got {}", paths.size());
  std::vector<ResultFile> files;
  for (const std::string& path : paths) files.push_back(read_result_file(path));
  for (const ResultFile& other : files) check_comparable(files[0], other);
  std::string text = fmt::format("protocol {}; percent; intervals of a paired bootstrap over queries, {} resamples\n",
                                 printable(files[0].protocol), kResamples);
  for (size_t f = 0; f < files.size(); f++)
    text += fmt::format("{}: {}: {}; {}; flip averaging {}; re-ranking {}{}\n", letter(f), printable(files[f].path),
                        printable(files[f].feature), printable(files[f].distance), files[f].flip ? "on" : "off",
                        printable(files[f].rerank), counting_words(files[f]));
  for (const Entry& entry : files[0].entries) text += setting_table(files, entry);
  return text + not_compared(files);
}

}  // namespace mpanet
