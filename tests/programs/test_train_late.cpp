// mpanet-train where a step's numbers are read after the next step was launched, as on a GPU: on the emulated GPU. Log,
// checkpoints and refusals are those of a run that waits for every step.
#include <doctest/doctest.h>

#include <cmath>

#include "mpanet/files/checkpoint.h"
#include "tests/support/built.h"
#include "tests/support/train_program.h"

using namespace mpanet;
using nlohmann::json;

namespace {

#if defined(MPANET_HAS_EMU)
constexpr bool kEmulated = true;
#else
constexpr bool kEmulated = false;
#endif

// A checkpoint after every step waits for every step; 0 waits at the end of an epoch only.
Arguments run_on_emu(const TemporaryFolder& folder, const std::string& run, const char* checkpoint_every,
                     const Arguments& more) {
  Arguments all = no_evaluation(
      command(folder, run, {"--device", "emu", "--set", std::string("checkpoint_every=") + checkpoint_every}));
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

// Every tensor, and the progression.
void check_same_state(const std::string& one, const std::string& other) {
  const Checkpoint a(one), b(other);
  REQUIRE(a.file().tensors().size() == b.file().tensors().size());
  for (const auto& tensor : a.file().tensors()) {
    const std::string& name = tensor.first;
    CHECK_MESSAGE(a.file().read(name) == b.file().read(name), name);
  }
  CHECK(a.file().metadata().at(kProgressKey) == b.file().metadata().at(kProgressKey));
}

std::string lines_with(const std::string& text, const std::string& words) {
  std::istringstream stream(text);
  std::string found;
  for (std::string line; std::getline(stream, line);)
    if (has(line, words)) found += line + "\n";
  return found;
}

}  // namespace

TEST_SUITE("numbers that are read late" * doctest::skip(kLacking || !kEmulated)) {
  TEST_CASE("log, messages and checkpoints are those of a run that waits for every step, in one go and resumed" *
            doctest::skip(!is_built(Precision::f16))) {
    TemporaryFolder folder;
    // f16's first loss scale is too large for the first steps.
    const Arguments f16 = {"--precision", "f16", "--set", "num_epoch=2"};
    const auto ran = [&](const Arguments& arguments) {
      Process process(arguments);
      CHECK_MESSAGE(process.wait() == 0, process.err());
      return lines_with(process.out(), "gradients beyond f16's range");
    };
    const std::string waiting = ran(run_on_emu(folder, "waiting", "1", f16));
    CHECK(!waiting.empty());
    CHECK(ran(run_on_emu(folder, "late", "0", f16)) == waiting);
    CHECK(timeless(folder / "late") == timeless(folder / "waiting"));
    check_same_state(folder / "late/last.safetensors", folder / "waiting/last.safetensors");

    std::string resumed;
    for (const char* stop : {"3", "4", "99"}) {
      Arguments part = run_on_emu(folder, "resumed", "0", f16);
      part.insert(part.end(), {"--resume", "--max-steps", stop});
      resumed += ran(part);
    }
    CHECK(resumed == waiting);
    CHECK(timeless(folder / "resumed") == timeless(folder / "waiting"));
    check_same_state(folder / "resumed/last.safetensors", folder / "waiting/last.safetensors");
  }

  TEST_CASE("a loss that is not finite ends the run at its step; what is saved was checked") {
    TemporaryFolder folder;
    const Arguments diverging = {"--set", "optimizer=sgd", "--set", "lr=100",
                                 "--set", "wd=10",         "--set", "num_epoch=1000"};
    Process process(run_on_emu(folder, "run", "0", diverging));
    CHECK(process.wait() == 2);
    // The last logged step is the one before the refused one: no later step was counted.
    const auto lines = log_lines(folder / "run");
    int64_t logged = 0;
    for (const json& line : lines)
      if (line["kind"] == "step") logged = line["step"];
    CHECK_MESSAGE(has(process.err(), fmt::format("mpanet-train: step {} (epoch ", logged + 1)), process.err());
    const Checkpoint last(folder / "run/last.safetensors");
    CHECK(has(process.err(), fmt::format("still holds step {};", last.progression()->step)));
    for (const auto& [name, entry] : last.file().tensors()) read_finite(last.file(), name);
  }

  TEST_CASE("Ctrl-C saves every step that was launched") {
    TemporaryFolder folder;
    const std::string run = folder / "run";
    Process process(run_on_emu(folder, "run", "0", {"--set", "num_epoch=1000"}));
    REQUIRE(process.wait_until([&] { return steps_of(run) >= 2; }));
    process.send(SIGINT);
    CHECK(process.wait() == 130);
    const int64_t step = Checkpoint(run + "/last.safetensors").progression()->step;
    CHECK(steps_of(run) == step);
    CHECK(has(process.out(), fmt::format("interrupted after step {}, saved", step)));
  }
}
