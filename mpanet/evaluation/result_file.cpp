#include "mpanet/evaluation/result_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json_fields.h"
#include "core/base/quote.h"
#include "mpanet/evaluation/plan.h"

namespace mpanet {
namespace {

using nlohmann::ordered_json;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr double kWhole = 100;  // percent

std::vector<std::string> read_queries(const JsonFields& file, const std::string& direction) {
  const JsonFields lists = file.object("queries");
  std::vector<std::string> queries;
  std::set<std::string_view> seen;
  const ordered_json& list = lists.list(direction);
  for (size_t q = 0; q < list.size(); q++) {
    const std::string name = fmt::format("{}[{}]", direction, q);
    if (!list[q].is_string()) lists.refuse(name, "a path", &list[q]);
    const auto& path = list[q].get_ref<const std::string&>();
    if (!seen.insert(path).second) fail("{}: the query {} is listed twice", lists.where(name), quote(path));
    queries.push_back(path);
  }
  return queries;
}

// A list with one value per query.
const ordered_json& list_of(const JsonFields& per_query, const std::string& key, size_t queries) {
  const ordered_json& list = per_query.list(key);
  if (list.size() != queries)
    fail("{}: expected a value for each of {} queries, got {}", per_query.where(key), queries, list.size());
  return list;
}

// The values of a metric. A value is null exactly if no trial counts the query.
std::vector<double> read_values(const JsonFields& per_query, const std::string& metric,
                                const std::vector<double>& trials) {
  const ordered_json& list = list_of(per_query, metric, trials.size());
  std::vector<double> values;
  for (size_t q = 0; q < trials.size(); q++) {
    const std::string name = fmt::format("{}[{}]", metric, q);
    const auto value = per_query.number_or_null(list[q], name, 0, kWhole);
    if (value.has_value() != (trials[q] > 0))
      per_query.refuse(name, trials[q] > 0 ? "a number, as trials count this query" : "null, as no trial counts this",
                       &list[q]);
    values.push_back(value.value_or(kNone));
  }
  return values;
}

ResultEntry read_entry(const JsonFields& result, const JsonFields& file) {
  ResultEntry entry;
  entry.direction = result.text("direction");
  entry.mode = result.text("mode");
  entry.shots = result.text("shots");
  entry.queries = read_queries(file, entry.direction);
  const int trials = result.whole<int>("trials", 1, kMaxColumns);
  const JsonFields per_query = result.object("per_query");
  const ordered_json& counts = list_of(per_query, "trials", entry.queries.size());
  for (size_t q = 0; q < counts.size(); q++)
    entry.trials.push_back(per_query.whole<int>(counts[q], fmt::format("trials[{}]", q), 0, trials));
  const bool counted = std::any_of(entry.trials.begin(), entry.trials.end(), [](double count) { return count > 0; });
  for (const auto& [key, list] : per_query.all().items()) {
    if (key == "trials") continue;
    entry.metrics.push_back(key);
    const auto mean = result.number_or_null(key, 0, kWhole);
    if (mean.has_value() != counted)
      result.refuse(key, counted ? "a number, as trials count queries" : "null, as no trial counts a query",
                    &result.all()[key]);
    entry.means[key] = mean.value_or(kNone);
    entry.values[key] = read_values(per_query, key, entry.trials);
  }
  return entry;
}

}  // namespace

std::string ResultEntry::name() const { return fmt::format("{} {}: {}", mode, shots, direction); }

ResultFile read_result_file(const std::string& path) {
  const ordered_json json = parse_ordered_json(read_text(path, kLongestLog), path);
  if (!json.is_object() || !json.contains("protocol") || !json.contains("results"))
    fail("{}: expected a result file of mpanet-eval --json, which has protocol and results", path);
  const JsonFields fields(json, path);
  ResultFile file;
  file.path = path;
  file.protocol = fields.text("protocol");
  // Results of older programs lack it.
  if (fields.has("split") && !json["split"].is_null()) file.split = fields.whole<int>("split", 1, kRegDbSplits);
  file.distance = fields.text("distance");
  file.feature = fields.text("feature");
  file.rerank = fields.text("rerank");
  file.flip = fields.boolean("flip");
  if (fields.has("cmc")) file.cmc = fields.text("cmc");
  for (const auto& [key, value] :
       {std::pair("camera_filter", &file.camera_filter), std::pair("single_shot", &file.single_shot)})
    if (fields.has(key) && !json[key].is_null()) *value = fields.boolean(key);
  const ordered_json& results = fields.list("results");
  if (results.empty()) fail("{}: results: expected at least one, got an empty list", path);
  for (size_t i = 0; i < results.size(); i++) {
    const std::string key = fmt::format("results[{}]", i);
    ResultEntry entry = read_entry(JsonFields(results[i], path, key), fields);
    for (const ResultEntry& before : file.entries)
      if (before.name() == entry.name()) fail("{}: {}: the result '{}' is listed twice", path, key, entry.name());
    file.entries.push_back(std::move(entry));
  }
  return file;
}

}  // namespace mpanet
