// Runs programs from a shell, and checks the answer to bad input.
#pragma once
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/base/file.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text.h"

struct Result {
  int code;
  std::string out, err;
};

// A program of this build: beside the running test, also where the build was copied to another machine.
inline std::string program_path(const std::string& program) {
  std::error_code none;
  const auto beside = std::filesystem::read_symlink("/proc/self/exe", none).parent_path() / program;
  return std::filesystem::exists(beside, none) ? beside.string() : PROGRAMS "/" + program;
}

// Runs a program of this build with these arguments, which a shell parses.
inline Result run_program(const std::string& program, const std::string& arguments) {
  TemporaryFolder folder;
  const std::string out = folder / "out", err = folder / "err";
  const std::string command = "{ '" + program_path(program) + "' " + arguments + "; } >'" + out + "' 2>'" + err + "'";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128, mpanet::read_text(out), mpanet::read_text(err)};
}

// Checks the answer to bad input: exit code 2, one line on stderr with `words` in it, nothing on stdout. Returns a text
// about the difference, empty if there is none.
inline std::string not_refused(const std::string& program, const std::string& arguments, const std::string& words) {
  const Result result = run_program(program, arguments);
  const std::string said = " for " + arguments + ": " + result.err;
  if (result.code != 2) return "exit code " + std::to_string(result.code) + said;
  if (!has(result.err, words)) return "no \"" + words + "\"" + said;
  if (result.err.find('\n') != result.err.size() - 1) return "not one line" + said;
  if (!result.err.starts_with(program + ": ")) return "no program's name" + said;
  return result.out.empty() ? "" : "output" + said + result.out;
}
