// bench-kernels' rows are the ops' cases (tests/ops). Together they call every kernel.
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "core/base/file.h"
#include "tests/support/built.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;

namespace {

// The kernels in kernels/kernels.inc; functions that return a size are queries and no kernels.
std::set<std::string> kernels() {
  const std::string text = read_text(SOURCE_DIR "/kernels/kernels.inc");
  const std::regex declaration("\nvoid ([a-z0-9_]+)\\(");
  std::set<std::string> names;
  for (std::sregex_iterator i(text.begin(), text.end(), declaration), end; i != end; ++i) names.insert((*i)[1]);
  return names;
}

void collect(const std::string& device, const std::string& precisions, std::set<std::string>& called) {
  const TemporaryFolder folder;
  const std::string file = folder / "bench.json";
  Process process(
      {PROGRAMS "/bench-kernels", "--device", device, "--rehearse", "--precision", precisions, "--json", file});
  REQUIRE(process.wait() == 0);
  const auto json = nlohmann::json::parse(read_text(file));
  for (const auto& run : json.at("runs"))
    for (const auto& pass : run.at("passes"))
      for (const auto& kernel : pass.at("kernels")) called.insert(kernel.get<std::string>());
}

TEST_CASE("the cases at the network's sizes call every kernel") {
  std::set<std::string> called;
  const std::string precisions = is_built(Precision::bf16) ? "f32,bf16" : "f32";
  collect("cpu", precisions, called);
#ifdef MPANET_HAS_EMU
  collect("emu", precisions, called);
#endif
  CHECK(kernels().size() > 50);
  for (const std::string& kernel : kernels()) CHECK_MESSAGE(called.contains(kernel), kernel << ": no case calls it");
}

}  // namespace
