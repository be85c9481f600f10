// Text for messages and for shells.
#include <doctest/doctest.h>

#include <algorithm>

#include "core/base/file.h"
#include "core/base/text.h"
#include "tests/support/process.h"
using namespace mpanet;

TEST_CASE("counts agree with their words") {
  CHECK(counted(1, "epoch") == "1 epoch");
  CHECK(counted(size_t{2}, "epoch") == "2 epochs");
  CHECK(counted(0, "identity", "identities") == "0 identities");
  CHECK(counted(1, "identity", "identities") == "1 identity");
}

TEST_CASE("what a shell reads is what was meant") {
  CHECK(shell_quote("runs/first") == "runs/first");
  CHECK(shell_quote("lr=0.1") == "lr=0.1");
  for (const std::string text :
       {"", "two words", "it's", "$HOME `id` \\ \"x\"", "a\nb\033[31m", "\xC3\xA4\xFF", "*?[]{}~#!&;|<>()", "'\n'\\"}) {
    TemporaryFolder folder;
    const std::string command = "printf %s " + shell_quote(text) + " >" + folder.path() + "/out";
    Process bash({"/bin/bash", "-c", command});
    REQUIRE(bash.wait() == 0);
    CHECK(read_text(folder / "out") == text);
    const std::string quoted = shell_quote(text);
    CHECK(std::none_of(quoted.begin(), quoted.end(), [](unsigned char c) { return c < 0x20; }));
  }
  CHECK(shell_quote("M\xC3\xBCnchen") == "'M\xC3\xBCnchen'");
  CHECK(shell_command({"mpanet-train", "--out", "my run"}) == "mpanet-train --out 'my run'");
}

TEST_CASE("close words are those that somebody may have meant") {
  CHECK(edit_distance("seed", "sede") == 1);
  CHECK(edit_distance("weight_kl", "weight_KL") == 0);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(is_close("num_epochs", "num_epoch"));
  CHECK(is_close("sede", "seed"));
  CHECK(!is_close("foo", "wd"));
  CHECK(!is_close("batch_size", "p_size"));
}
