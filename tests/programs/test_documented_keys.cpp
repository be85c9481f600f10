// docs/files.md lists the keys of the JSON files: neither more nor fewer than real runs write.
#include <algorithm>
#include <filesystem>

#include "tests/support/trained_run.h"

namespace fs = std::filesystem;
using mpanet::read_text;
using nlohmann::json;
using Keys = std::set<std::string>;

namespace {

bool is_metric(const std::string& key) {
  return key == "mAP" || key == "mINP" ||
         (key.starts_with("rank") && key.size() > 4 && key.find_first_not_of("0123456789", 4) == key.npos);
}

// Adds the paths of all values that are no objects: "results[].METRIC".
void add_keys(const json& value, const std::string& path, Keys& keys) {
  if (value.is_array() && !value.empty()) {
    for (const json& entry : value) add_keys(entry, path + "[]", keys);
  } else if (value.is_object()) {
    for (const auto& [key, member] : value.items()) {
      const std::string name = path == "losses"              ? "TERM"
                               : path == "queries"           ? "DIRECTION"
                               : path == "curves"            ? "DISTANCE"
                               : path.ends_with("libraries") ? "NAME"
                               : is_metric(key)              ? "METRIC"
                                                             : key;
      add_keys(member, path.empty() ? name : path + "." + name, keys);
    }
  } else {
    keys.insert(path);
  }
}

Keys keys_of(const json& value) {
  Keys keys;
  add_keys(value, "", keys);
  return keys;
}

// The keys in the first column of the table below a heading.
Keys documented(const std::string& heading) {
  const std::string page = read_text(SOURCE_DIR "/docs/files.md");
  const size_t begin = page.find("\n" + heading + "\n");
  REQUIRE_MESSAGE(begin != page.npos, heading);
  Keys keys;
  std::istringstream lines(page.substr(begin + heading.size() + 2));
  for (std::string line; std::getline(lines, line) && !line.starts_with("#");) {
    if (!line.starts_with("| `")) continue;
    const std::string column = line.substr(0, line.find(" | ", 2));
    for (size_t at = 0, end; (at = column.find('`', at)) != column.npos; at = end + 1) {
      end = column.find('`', at + 1);
      REQUIRE_MESSAGE(end != column.npos, line);
      CHECK_MESSAGE(keys.insert(column.substr(at + 1, end - at - 1)).second, line);
    }
  }
  return keys;
}

void check_keys(const Keys& written, const std::string& heading) {
  CAPTURE(heading);
  const Keys listed = documented(heading);
  for (const std::string& key : written) CHECK_MESSAGE(listed.contains(key), "docs/files.md lacks " << key);
  for (const std::string& key : listed) CHECK_MESSAGE(written.contains(key), "no file has " << key);
}

}  // namespace

TEST_CASE("docs/files.md has every key of log, summary, results, provenance and inputs" * doctest::skip(kLacking)) {
  TemporaryFolder folder;
  const std::string trials = folder / "trials.mat", out = folder / "out", run = out + "/seed-0";
  fs::copy(data_set() + "/exp/rand_perm_cam.mat", trials);
  const Arguments seeds = command(
      folder, "out",
      {"--trials", trials, "--seeds", "0,1", "--set", "num_epoch=1", "eval_interval=1", "triplet=true", "center=true"});
  Arguments stopped = seeds;
  stopped.insert(stopped.end(), {"--max-steps", "1"});
  check_works(stopped);  // so that provenance.json has a resume
  check_works(seeds);
  std::map<std::string, Keys> log;
  for (const json& line : log_lines(run)) {
    const Keys keys = keys_of(line);
    log[line["kind"]].insert(keys.begin(), keys.end());
  }
  REQUIRE(log.size() == 3);
  for (const auto& [kind, keys] : log) check_keys(keys, "### kind " + kind);
  const std::string table = read_text(run + "/log.csv");
  std::istringstream head(table.substr(0, table.find('\n')));
  const Keys& terms = log["step"];
  Keys columns;
  for (std::string column; std::getline(head, column, ',');) {
    const bool term = column == "total" || column == "tri" || column == "cen" || column == "KL" ||
                      column.starts_with("c") || column == "p-reg";
    columns.insert(is_metric(column) ? "METRIC" : term ? "TERM" : column);
  }
  CHECK(terms.contains("losses.TERM"));
  check_keys(columns, "## log.csv");
  check_keys(keys_of(json::parse(read_text(out + "/summary.json"))), "## summary.json");
  check_keys(keys_of(json::parse(read_text(run + "/provenance.json"))), "## provenance.json");
  check_keys(keys_of(json::parse(read_text(run + "/inputs.json"))), "## inputs.json");

  Process evaluated({PROGRAMS "/mpanet-eval", "--checkpoint", run + "/best.safetensors", "--data", data_set(),
                     "--ranks", "2", "--json", folder / "result.json"});
  REQUIRE_MESSAGE(evaluated.wait() == 0, evaluated.err());
  const json results = json::parse(read_text(folder / "result.json"));
  CHECK(results["results"][0].contains("rank2"));
  check_keys(keys_of(results), "## Results");
}

TEST_CASE("docs/files.md has every key of a calibration and of a search" * doctest::skip(kLacking)) {
  const Trained folder;
  const std::string data = folder.data(), checkpoint = folder.checkpoint();
  check_works({PROGRAMS "/mpanet-eval", "--checkpoint", checkpoint, "--data", data, "--calibrate-share", "0.5"});
  check_keys(keys_of(json::parse(read_text(folder.calibration()))), "## Calibration");
#ifdef MPANET_TEST_SQLITE
  const std::string search = PROGRAMS "/mpanet-search", index = folder / "index", found = folder / "found.json";
  check_works({search, "index", "--checkpoint", checkpoint, data, "--out", index});
  const std::string picture = fs::directory_iterator(data + "/cam1")->path().string() + "/0001.jpg";
  check_works({search, "query", index, picture, "--json", found});
  check_keys(keys_of(json::parse(read_text(found))), "## Search");
#endif
}
