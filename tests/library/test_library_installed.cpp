// An installation, and what a user builds against it: the examples of docs/examples.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "data/pictures/image.h"
#include "tests/library/drawn_network.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text.h"

namespace fs = std::filesystem;

namespace {

struct Output {
  int code;
  std::string out, err;
};

Output run(const std::vector<std::string>& arguments) {
  Process process(arguments);
  const int code = process.wait();
  return {code, process.out(), process.err()};
}

void check_works(const std::vector<std::string>& arguments) {
  const Output done = run(arguments);
  const std::string said = done.out + done.err;
  REQUIRE_MESSAGE(done.code == 0, said);
}

// The functions that mpanet.h declares.
std::set<std::string> declared() {
  std::set<std::string> names;
  std::istringstream lines(mpanet::read_text(SOURCE_DIR "/mpanet/library/mpanet.h"));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("MPANET_API ")) continue;
    const size_t end = line.find('('), begin = line.rfind(' ', end) + 1;
    names.insert(line.substr(begin, end - begin));
  }
  return names;
}

// The symbols that a program can link to.
std::set<std::string> exported(const std::string& library) {
  std::set<std::string> names;
  const Output done = run({"/bin/sh", "-c", "nm -D --defined-only '" + library + "'"});
  REQUIRE_MESSAGE(done.code == 0, done.err);
  std::istringstream words(done.out);
  for (std::string address, kind, name; words >> address >> kind >> name;) names.insert(name);
  return names;
}

}  // namespace

TEST_CASE("programs are built and run against the installed tree alone") {
  if (!mpanet::jpeg_supported()) return;
  const TemporaryFolder folder;
  // The tree is moved once it is installed: nothing in it may name its first folder.
  const std::string first = folder / "first", prefix = folder / "prefix", build = folder / "build";
  check_works({CMAKE, "--install", BUILD, "--prefix", first});
  fs::rename(first, prefix);

  std::string library;
  for (const auto& entry : fs::recursive_directory_iterator(prefix))
    if (entry.path().filename() == "libmpanet.so") library = entry.path();
  REQUIRE(library != "");
  CHECK(declared().size() == 13);
  CHECK(exported(library) == declared());

  fs::create_directory(build);
  const std::string examples = prefix + "/share/doc/mpanet/docs/examples";
  check_works({CMAKE, "-S", examples, "-B", build, "-DCMAKE_PREFIX_PATH=" + prefix,
               "-DCMAKE_C_FLAGS=-Wall -Wextra -pedantic -Werror", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -pedantic -Werror"});
  check_works({CMAKE, "--build", build});

  // The installed programs find the shipped configuration.
  const DrawnNetwork network(prefix + "/bin");
  const auto features = network.features();
  const std::vector<std::string>& paths = features.paths;
  REQUIRE(paths.size() > 8);

  std::vector<std::string> arguments = {build + "/embed", network.checkpoint()};
  arguments.insert(arguments.end(), paths.begin(), paths.end());
  const Output embedded = run(arguments);
  REQUIRE_MESSAGE(embedded.code == 0, embedded.err);
  CHECK(embedded.err == "");
  std::istringstream words(embedded.out);
  std::vector<float> numbers;
  for (float number; words >> number;) numbers.push_back(number);
  CHECK(numbers == features.numbers.values);  // nine digits name every float

  arguments[0] = build + "/rank";
  arguments.insert(arguments.begin() + 2, paths[3]);
  const Output ranked = run(arguments);
  REQUIRE_MESSAGE(ranked.code == 0, ranked.err);
  CHECK(ranked.err == "");
  CHECK(ranked.out.substr(0, ranked.out.find('\n')) == "0.0000 " + paths[3]);
  CHECK(std::count(ranked.out.begin(), ranked.out.end(), '\n') == static_cast<int>(paths.size()));

  for (const char* name : {"embed", "rank"}) {
    const Output refused = run({build + "/" + name, network.checkpoint(), paths[0], folder / "none.jpg"});
    CHECK(refused.code == 2);
    CHECK(refused.out == "");
    CHECK_MESSAGE(has(refused.err, "none.jpg"), refused.err);
    CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') == 1);
  }
}
