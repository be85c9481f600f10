// libFuzzer's entry points: fuzz --target=NAME [libFuzzer's options] [folders of seeds]. fuzz --target=NAME
// --seeds=FIXTURES prints the target's seeds and ends. scripts/fuzz calls it.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>

#include "core/base/error.h"
#include "tests/fuzz/targets.h"

namespace {

const mpanet::fuzz::Target* target = nullptr;

// Each of libFuzzer's processes has its own; scripts/fuzz removes them all.
const std::string& folder() {
  static const std::string path = [] {
    std::string made = (std::filesystem::temp_directory_path() / "mpanet-fuzz-XXXXXX").string();
    if (mkdtemp(made.data()) == nullptr) std::abort();
    return made;
  }();
  return path;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  std::string name, fixtures;
  for (int i = 1; i < *count; i++) {
    const std::string argument = (*arguments)[i];
    if (argument.starts_with("--target=")) name = argument.substr(9);
    if (argument.starts_with("--seeds=")) fixtures = argument.substr(8);
  }
  try {
    target = &mpanet::fuzz::find_target(name);
  } catch (const mpanet::UserError& e) {
    std::fprintf(stderr, "fuzz: %s\n", e.what());
    std::_Exit(2);
  }
  if (fixtures.empty()) return 0;
  for (const std::string& file : mpanet::fuzz::seed_files(*target, fixtures)) std::printf("%s\n", file.c_str());
  std::fflush(stdout);
  std::_Exit(0);
}

// An exception that leaves this function is a finding, as a crash is.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mpanet::fuzz::run(*target, folder(), {reinterpret_cast<const char*>(data), size});
  return 0;
}
