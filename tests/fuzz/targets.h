// What is fuzzed: the readers of files from outside, called as the programs call them. scripts/fuzz searches for bytes
// that break them with libFuzzer, tests/fuzz/test_fuzz_seeds.cpp replays the seeds and mutations of them.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace mpanet::fuzz {

struct Target {
  std::string name;
  // Reads `bytes` as a file that lies in `folder`. Returns for bytes that are right, or throws UserError.
  std::function<void(const std::string& folder, std::string_view bytes)> read;
  // Seeds: files under tests/fixtures, folders for all files in them. Their names end as `suffix` says.
  std::vector<std::string> seeds;
  std::string suffix;
  bool supported = true;  // false: this build lacks the library, and the target refuses every file
};

const std::vector<Target>& targets();
// UserError naming the known ones for an unknown name.
const Target& find_target(const std::string& name);

// target.read(), with its UserError caught. CheckError, which no file may cause, when that is no single line.
void run(const Target& target, const std::string& folder, std::string_view bytes);

// Paths of the target's seeds, sorted.
std::vector<std::string> seed_files(const Target& target, const std::string& fixtures);

}  // namespace mpanet::fuzz
