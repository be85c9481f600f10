// mpanet NAME runs mpanet-NAME that lies beside it.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "core/base/file.h"
#include "tests/support/shell.h"
#include "tests/support/temporary_folder.h"

namespace fs = std::filesystem;

TEST_CASE("a program's arguments, output and exit code are its own") {
  const Result by_name = run_program("mpanet", "data --help"), itself = run_program("mpanet-data", "--help");
  CHECK(by_name.code == 0);
  CHECK(by_name.out == itself.out);
  CHECK(run_program("mpanet", "help data").out == itself.out);
  const Result wrong = run_program("mpanet", "data synth --out /tmp --ids 'a b'");
  CHECK(wrong.code == 2);
  CHECK(wrong.err == run_program("mpanet-data", "synth --out /tmp --ids 'a b'").err);
}

TEST_CASE("help lists the programs beside it, and --version is one for all") {
  const Result help = run_program("mpanet", "help");
  CHECK(help.code == 0);
  for (const char* line : {"\n  train     Trains MPANet on ", "\n  eval      Evaluates ", "\n  convert   ",
                           "\n  data      ", "\n  export    Writes the network "})
    CHECK_MESSAGE(has(help.out, line), help.out);
  CHECK(run_program("mpanet", "--help").out == help.out);
  // The first line has the program's name.
  const std::string version = run_program("mpanet", "--version").out;
  CHECK(version.find('\n') != version.npos);
  for (const char* name : {"train", "eval", "convert", "data", "report", "compare", "export", "search"}) {
    const std::string program = std::string("mpanet-") + name;
    const Result other = run_program(program, "--version");
    CAPTURE(program);
    CHECK(other.code == 0);
    CHECK(other.err == "");
    CHECK(other.out.starts_with(program));
    CHECK(other.out.substr(other.out.find('\n')) == version.substr(version.find('\n')));
  }
}

TEST_CASE("names that are refused") {
  CHECK(not_refused("mpanet", "", "expected the name of a program: ") == "");
  CHECK(not_refused("mpanet", "none", "no program mpanet-none in ") == "");
  CHECK(not_refused("mpanet", "../bin/mpanet-data", "no program mpanet-../bin/mpanet-data in ") == "");
  CHECK(not_refused("mpanet", "help none", "no program mpanet-none in ") == "");
  CHECK(not_refused("mpanet", "help data train", "help: expected one name, got 2") == "");
}

TEST_CASE("a folder with a space, found through a link") {
  const TemporaryFolder folder;
  const fs::path own = folder / "a b";
  fs::create_directory(own);
  fs::copy_file(PROGRAMS "/mpanet", own / "mpanet");
  mpanet::write_file((own / "mpanet-echo").string(),
                     "#!/bin/sh\nprintf 'Says its arguments: %s|%s|\\n' \"$@\"\nexit 7\n");
  mpanet::write_file((own / "mpanet-file").string(), "not a program");
  fs::permissions(own / "mpanet-echo", fs::perms::owner_all);
  fs::create_symlink(own / "mpanet", folder / "link");
  const auto run = [&](const std::string& arguments) {
    const std::string out = folder / "out";
    const int status = std::system(("'" + (folder / "link") + "' " + arguments + " >'" + out + "' 2>&1").c_str());
    return std::pair(WEXITSTATUS(status), mpanet::read_text(out));
  };
  CHECK(run("echo 'x y' ''") == std::pair(7, std::string("Says its arguments: x y||\n")));
  const auto help = run("help");
  CHECK(help.first == 0);
  CHECK_MESSAGE(has(help.second, "\n  echo      Says its arguments: --help||\n"), help.second);
  CHECK(!has(help.second, "\n  file"));
}
