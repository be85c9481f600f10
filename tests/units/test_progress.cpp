// The line of progress on terminals of several widths, and without a terminal.

#include <doctest/doctest.h>

#include "core/base/file.h"
#include "core/base/progress.h"
#include "core/base/text.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/terminal.h"
using namespace mpanet;

namespace {

struct Stream {
  explicit Stream(int descriptor) : file(fdopen(dup(descriptor), "w")) {}
  ~Stream() { std::fclose(file); }
  std::FILE* file;
};

const std::vector<std::string> kParts = {"epoch 12/140",        "2h04m left",   "total 5.2314", "lr 0.00035",
                                         "best rank-1 45.23 %", "p-reg 0.1000", "cc 1.2000"};

}  // namespace

TEST_CASE("a terminal gets the parts that it has room for, whole, and follows its width") {
  Terminal terminal(80);
  const Stream stream(terminal.descriptor());
  ProgressLine line(stream.file);
  CHECK(line.terminal());
  const auto shown_at = [&](int columns) {
    terminal.resize(columns);
    line.show(kParts);
    return terminal.redrawn().back();
  };
  CHECK(shown_at(80) == "epoch 12/140, 2h04m left, total 5.2314, lr 0.00035, best rank-1 45.23 %");
  CHECK(shown_at(200) == join(kParts));
  CHECK(shown_at(40) == "epoch 12/140, 2h04m left, total 5.2314");
  CHECK(shown_at(39) == "epoch 12/140, 2h04m left, total 5.2314");  // 38 letters; the last column stays free
  CHECK(shown_at(38) == "epoch 12/140, 2h04m left");
  CHECK(shown_at(6) == "epoch");
  CHECK(shown_at(0) == shown_at(80));  // a terminal of unknown width
  CHECK(terminal.text().find('\n') == std::string::npos);
}

TEST_CASE("a line of its own ends the redrawn one; the end leaves the cursor on a new line") {
  Terminal terminal(40);
  const Stream stream(terminal.descriptor());
  {
    ProgressLine line(stream.file);
    line.show({"a"});
    line.say("one");
    line.say("two");
    line.show({"b"});
  }
  CHECK(terminal.text() == "\r\033[Ka\none\ntwo\n\r\033[Kb\n");
}

TEST_CASE("the bar grows with what is done, as wide as suits the terminal") {
  Terminal terminal(80);
  const Stream stream(terminal.descriptor());
  const ProgressLine line(stream.file);
  CHECK(line.bar(0, 20) == " [------]");
  CHECK(line.bar(9, 20) == " [==----]");
  CHECK(line.bar(20, 20) == " [======]");
  terminal.resize(40);
  CHECK(line.bar(9, 20) == " [==---]");
  terminal.resize(200);
  CHECK(line.bar(9, 20) == " [======---------]");
}

TEST_CASE("without a terminal: whole lines, no bar, due only after a while") {
  TemporaryFolder folder;
  std::FILE* file = std::fopen((folder / "log").c_str(), "w");
  {
    ProgressLine line(file);
    CHECK(!line.terminal());
    CHECK(line.bar(1, 2).empty());
    CHECK(!line.due());
    line.show(kParts);
    line.say("said");
  }
  std::fclose(file);
  CHECK(read_text(folder / "log") == join(kParts) + "\nsaid\n");
}

TEST_CASE("a terminal that cannot erase a line counts as none") {
  Terminal terminal(80);
  const Stream stream(terminal.descriptor());
  const char* before = std::getenv("TERM");
  const std::string kept = before ? before : "";
  setenv("TERM", "dumb", 1);
  CHECK(!ProgressLine(stream.file).terminal());
  before ? setenv("TERM", kept.c_str(), 1) : unsetenv("TERM");
}

TEST_CASE("a stream that is full is left alone") {
  std::FILE* full = std::fopen("/dev/full", "w");
  REQUIRE(full);
  ProgressLine line(full);
  line.say("one");
  line.say("two");
  std::fclose(full);
}
