// mpanet-train's output on a terminal: one line that is redrawn, as wide as the terminal, and errors on separate
// lines.
#include <doctest/doctest.h>

#include "core/device.h"
#include "tests/support/terminal.h"
#include "tests/support/train_program.h"
namespace {

void check_fits(const std::vector<std::string>& states, size_t columns) {
  for (const std::string& state : states) CHECK_MESSAGE(state.size() < columns, state);
}

}  // namespace

TEST_SUITE("mpanet-train on a terminal" * doctest::skip(kLacking)) {
  TEST_CASE("the line leads with epoch, bar and time left, and keeps within widths of 40, 80 and 240") {
    TemporaryFolder folder;
    Terminal terminal(80);
    Process process(command(folder, "run", {"--set", "num_epoch=99999", "eval_interval=10", "checkpoint_every=0"}), -1,
                    terminal.descriptor());
    // The contents of the line that were drawn at this width.
    const auto drawn_at = [&](int columns) {
      terminal.resize(columns);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));  // a line for the old width may still be drawn
      const size_t begin = terminal.text().size();
      REQUIRE(process.wait_until([&] { return terminal.redrawn(begin).size() >= 12; }));
      std::vector<std::string> states = terminal.redrawn(begin);
      states.erase(states.begin());  // may have the old width
      states.pop_back();             // may be incomplete
      check_fits(states, static_cast<size_t>(columns));
      std::string training;
      for (const std::string& state : states)
        if (state.starts_with("epoch ")) training = state;
      REQUIRE(!training.empty());
      return training;
    };
    REQUIRE(process.wait_until([&] { return has(terminal.text(), "evaluation after epoch 10:"); }));
    const std::string usual = drawn_at(80), wide = drawn_at(240), narrow = drawn_at(40);
    for (const std::string& line : {usual, wide, narrow}) {
      CHECK_MESSAGE(has(line, "/99999 ["), line);
      CHECK_MESSAGE(has(line, " left"), line);
    }
    // The order of the parts.
    size_t at = 0;
    for (const char* part :
         {"epoch ", " [", "], ", " left, ", "total ", "lr ", "best rank-1 ", "p-reg ", "ce-v ", "step ", "images/s"}) {
      const size_t found = wide.find(part);
      CHECK_MESSAGE(found != std::string::npos, part << " in " << wide);
      CHECK(found >= at);
      at = found;
    }
    CHECK(has(usual, "total "));
    CHECK(!has(narrow, "images/s"));
    process.send(SIGINT);
    CHECK(process.wait() == 130);
    CHECK(has(terminal.text(), "\ninterrupted after step "));
  }

  TEST_CASE("an error stands on a line of its own, the last one") {
    TemporaryFolder folder;
    Terminal terminal(80);
    Process process(
        no_evaluation(command(folder, "run", {"--set", "optimizer=sgd", "lr=100", "wd=10", "num_epoch=1000"})), -1,
        terminal.descriptor());
    CHECK(process.wait() == 2);
    const std::string text = terminal.text();
    const size_t error = text.find("mpanet-train: step ");
    REQUIRE(error != std::string::npos);
    CHECK(text[error - 1] == '\n');
    CHECK(text.find('\n', error) == text.size() - 1);
  }

  TEST_CASE("without a terminal: the first step, each epoch, and no line that is redrawn") {
    TemporaryFolder folder;
    Process process(command(folder, "run"));
    REQUIRE(process.wait() == 0);
    const std::string out = process.out();
    CHECK(out.find_first_of("\r\033") == std::string::npos);
    CHECK(has(out, "\nepoch 1/3, total "));
    CHECK(has(out, "step 1 (1/8), "));
    CHECK(!has(out, "step 4"));
    for (const char* epoch : {"\nepoch 1/3 done, 8 batches at", "\nepoch 2/3 done, 7 batches at", "\nepoch 3/3 done, "})
      CHECK(has(out, epoch));
    std::string device;
    mpanet::choose_device("auto", &device);
    CHECK(has(out, "device: " + device + "\n"));
    if (device == "cpu") CHECK(!has(out + process.err(), "cuda"));
  }
}
