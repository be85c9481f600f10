// scripts/check-includes: the sources' includes go one way, and an include in any other direction is found.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/process.h"

namespace {

struct Answer {
  int code;
  std::string out;
};

Answer check(const std::string& folder) {
  Process process({SOURCE_DIR "/scripts/check-includes", folder});
  const int code = process.wait();
  return {code, process.out()};
}

// Its output for a tree of one file.
Answer check(const std::string& file, const std::string& line) {
  const TemporaryFolder tree;
  std::filesystem::create_directories(std::filesystem::path(tree / file).parent_path());
  std::ofstream(tree / file) << "#pragma once\n" << line << "\n";
  return check(tree.path());
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

TEST_CASE("the sources' own includes") {
  const Answer answer = check(SOURCE_DIR);
  CHECK_MESSAGE(answer.code == 0, answer.out);
}

TEST_CASE("what may be included, and what not") {
  const char* const rooms[] = {"core/base", "kernels", "core", "layers", "losses", "mpanet"};
  for (size_t from = 0; from < std::size(rooms); from++)
    for (size_t to = 0; to < std::size(rooms); to++) {
      const std::string target = std::string(rooms[to]) + "/x.h";
      const Answer answer = check(std::string(rooms[from]) + "/y.cpp", "#include \"" + target + "\"");
      INFO(rooms[from] << " includes " << target);
      CHECK(answer.code == (to <= from ? 0 : 1));
      CHECK(has(answer.out, "y.cpp:2: ") == (to > from));
    }
}

TEST_CASE("data includes core/base alone, and only mpanet includes data") {
  CHECK(check("data/sets/y.h", "#include \"core/base/x.h\"").code == 0);
  CHECK(check("data/sets/y.h", "#include \"data/loading/x.h\"").code == 0);
  CHECK(check("data/sets/y.h", "#include \"core/tensor.h\"").code == 1);
  CHECK(check("data/sets/y.h", "#include \"kernels/types.h\"").code == 1);
  CHECK(check("mpanet/training/y.cpp", "#  include \"data/sets/x.h\"").code == 0);
  CHECK(check("core/y.cu", "#  include \"data/sets/x.h\"").code == 1);
  CHECK(check("layers/y.inc", "#include \"tests/ops/x.h\"").code == 1);
}

}  // namespace
