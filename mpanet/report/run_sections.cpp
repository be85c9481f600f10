// Configuration, provenance and commands.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/base/json.h"
#include "core/base/text.h"
#include "mpanet/report/html.h"
#include "mpanet/report/sections.h"

namespace mpanet {
namespace {

using Values = std::vector<std::pair<std::string, std::string>>;

// The value of a key; an en dash if it is not there.
std::string value_of(const Values& values, const std::string& key) {
  for (const auto& [own, value] : values)
    if (own == key) return value;
  return "–";
}

// The keys of all, in the order of the first that has them.
std::vector<std::string> keys_of(const std::vector<Values>& all) {
  std::vector<std::string> keys;
  for (const Values& values : all)
    for (const auto& [key, value] : values)
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  return keys;
}

std::vector<std::string> names_of(const ReportPage& page, const std::string& first) {
  std::vector<std::string> names = {first};
  for (const RunResults& run : page.runs) names.push_back(escape(run.record.name));
  return names;
}

// A row per key and a column per run. Rows in which runs differ are marked; `only_differences` leaves out the others.
std::vector<TableRow> rows_of(const std::vector<Values>& all, bool only_differences) {
  std::vector<TableRow> rows;
  for (const std::string& key : keys_of(all)) {
    TableRow row{{fmt::format("<code>{}</code>", escape(key))}, ""};
    bool differs = false;
    for (const Values& values : all) {
      differs |= value_of(values, key) != value_of(all.front(), key);
      row.cells.push_back(escape(value_of(values, key)));
    }
    if (only_differences && !differs) continue;
    if (differs && !only_differences) row.kind = "changed";
    rows.push_back(row);
  }
  return rows;
}

// Of a single run: every key, and the default where the run has another value.
std::string single_configuration(const RunResults& run, const Values& values) {
  TrainConfig defaults;
  defaults.dataset = run.record.config.dataset;
  const Values standard = flattened(parse_ordered_json(config_file_text(defaults), "defaults"));
  std::vector<TableRow> changed, all;
  for (const auto& [key, value] : values) {
    const bool same = value == value_of(standard, key);
    const std::string name = fmt::format("<code>{}</code>", escape(key));
    if (!same) changed.push_back({{name, escape(value), escape(value_of(standard, key))}, ""});
    all.push_back({{name, escape(value)}, same ? "" : "changed"});
  }
  return "<p>Keys that differ from the program's defaults:</p>\n" +
         table("keys that differ from the defaults", {"key", "this run", "default"}, changed, false) +
         "<details><summary>All keys</summary>\n" + table("all keys", {"key", "value"}, all, false) + "</details>\n";
}

// The values of provenance.json, and what the log says about speed.
Values facts_of(const RunResults& run) {
  Values values;
  const auto add = [&](const std::string& key, const std::string& value) { values.emplace_back(key, value); };
  add("checkpoint", run.record.checkpoint.empty() ? "–" : run.record.checkpoint);
  if (!run.facts.checkpoint.empty()) add("its SHA-256", run.facts.checkpoint);
  add("embeddings", run.facts.feature);
  const RunCurves& curves = run.record.curves;
  add("steps", std::to_string(curves.last_step));
  add("epochs", std::to_string(curves.learning_rate.size()));
  if (!std::isnan(curves.images_per_second))
    add("training speed", fmt::format("{:.1f} pictures/s (median of the logged steps)", curves.images_per_second));
  if (run.record.inputs.initial)
    add("initial weights", run.record.inputs.initial->path.empty() ? "random" : run.record.inputs.initial->path);
  for (const auto& [key, value] : flattened(run.record.provenance))
    if (key != "resumed") add(key, value);
  const auto& provenance = run.record.provenance;
  if (provenance.is_object() && provenance.contains("resumed") && provenance["resumed"].is_array())
    add("resumed", counted(provenance["resumed"].size(), "time"));
  return values;
}

}  // namespace

std::string configuration_section(const ReportPage& page) {
  std::vector<Values> all;
  for (const RunResults& run : page.runs) all.push_back(flattened(run.record.config_json));
  if (all.size() == 1)
    return section("configuration", "Configuration", single_configuration(page.runs.front(), all.front()));
  const std::vector<TableRow> differences = rows_of(all, true);
  const std::string table_of_differences =
      differences.empty() ? "<p>The runs have the same configuration.</p>\n"
                          : "<p>Keys in which the runs differ:</p>\n" +
                                table("keys in which the runs differ", names_of(page, "key"), differences, false);
  return section("configuration", "Configuration",
                 table_of_differences + "<details><summary>All keys</summary>\n" +
                     table("all keys", names_of(page, "key"), rows_of(all, false), false) + "</details>\n");
}

std::string provenance_section(const ReportPage& page) {
  std::vector<Values> all;
  for (const RunResults& run : page.runs) all.push_back(facts_of(run));
  return section("provenance", "Provenance and speed",
                 table("provenance", names_of(page, ""), rows_of(all, false), false));
}

std::string commands_section(const ReportPage& page) {
  std::string content = "<p>The runs again, their results, and this page:</p>\n";
  std::string lines;
  for (const RunResults& run : page.runs) {
    std::vector<std::string> train = {"mpanet-train", "--config", run.record.path + "/config.json", "--data",
                                      page.data};
    if (!run.record.inputs.trials.empty()) train.insert(train.end(), {"--trials", run.record.inputs.trials});
    if (run.record.inputs.initial && !run.record.inputs.initial->path.empty())
      train.insert(train.end(), {"--init", run.record.inputs.initial->path});
    train.insert(train.end(), {"--out", run.record.path + "-again"});
    lines += shell_command(train) + "\n";
    if (!run.facts.checkpoint.empty())
      lines += shell_command({"mpanet-eval", "--checkpoint", run.record.checkpoint, "--data", page.data, "--protocol",
                              run.protocol}) +
               "\n";
  }
  lines += page.command + "\n";
  std::string escaped;
  for (size_t start = 0, end; (end = lines.find('\n', start)) != lines.npos; start = end + 1)
    escaped += escape(std::string_view(lines).substr(start, end - start)) + "\n";
  return section(
      "commands", "Commands",
      content + "<pre tabindex=\"0\" role=\"region\" aria-label=\"commands\"><code>" + escaped + "</code></pre>\n");
}

}  // namespace mpanet
