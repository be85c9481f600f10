// Helpers for runs of mpanet-train on a small synthetic data set.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "data/pictures/image.h"
#include "data/sets/matfile.h"
#include "tests/support/process.h"
#include "tests/support/shell.h"
// A synthetic data set for all tests: 4 training identities (5 for seeds other than 1), 2 test identities.
inline const std::string& data_set(const char* seed = "1") {
  static TemporaryFolder folder;
  static std::map<std::string, std::string> made;
  std::string& path = made[seed];
  if (!path.empty()) return path;
  path = folder / std::string("data") + seed;
  Process synth({PROGRAMS "/mpanet-data", "synth", "--out", path, "--ids", seed[0] == '1' ? "4" : "5", "--test-ids",
                 "2", "--images", "2", "--seed", seed});
  REQUIRE_MESSAGE(synth.wait() == 0, synth.err());
  return path;
}

inline std::string write_config(const TemporaryFolder& folder) {
  const std::string path = folder / "config.json";
  mpanet::write_file(path, R"({"depth": "tiny", "image_size": [32, 16], "p_size": 2, "k_size": 2, "num_parts": 2,
    "lr": 0.001, "num_epoch": 3, "start_eval": 0, "eval_interval": 2, "log_period": 1, "checkpoint_every": 3,
    "data": {"threads": 1}})");
  return path;
}

using Arguments = std::vector<std::string>;

// The arguments of a run of the tests' configuration.
inline Arguments command(const TemporaryFolder& folder, const std::string& run, const Arguments& more = {}) {
  Arguments all = {PROGRAMS "/mpanet-train",
                   "--config",
                   write_config(folder),
                   "--data",
                   data_set(),
                   "--out",
                   folder / run,
                   "--threads",
                   "1"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

inline Arguments no_evaluation(Arguments all) {
  all.insert(all.end(), {"--set", "eval_interval=0"});
  return all;
}

inline void check_works(const Arguments& arguments) {
  Process process(arguments);
  const int code = process.wait();
  CHECK_MESSAGE(code == 0, process.err());
}

inline void check_refused(const Arguments& arguments, const std::string& words, long file_limit = -1) {
  CAPTURE(arguments);
  Process process(arguments, file_limit);
  CHECK(process.wait() == 2);
  const std::string err = process.err();
  CHECK_MESSAGE(has(err, words), err);
  CHECK_MESSAGE(std::count(err.begin(), err.end(), '\n') == 1, err);
  CHECK(err.starts_with("mpanet-train: "));
}

inline std::vector<nlohmann::json> log_lines(const std::string& run) {
  std::vector<nlohmann::json> lines;
  std::istringstream text(mpanet::read_text(run + "/log.jsonl"));
  for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

// The lines of log.jsonl without times.
inline std::vector<std::string> timeless(const std::string& run) {
  std::vector<std::string> lines;
  for (nlohmann::json& line : log_lines(run)) {
    line.erase("images_per_second");
    lines.push_back(line.dump());
  }
  return lines;
}

// The number of steps in a run's log.
inline int64_t steps_of(const std::string& run) {
  if (!std::filesystem::exists(run + "/log.jsonl")) return 0;
  const auto lines = log_lines(run);
  return lines.empty() ? 0 : lines.back()["step"].get<int64_t>();
}

inline bool half_written(const std::string& run) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(run, error))
    if (has(entry.path().filename().string(), ".tmp.")) return true;
  return false;
}

// A build without these libraries cannot make a data set.
inline const bool kLacking = !mpanet::trial_files_supported() || !mpanet::jpeg_supported();
