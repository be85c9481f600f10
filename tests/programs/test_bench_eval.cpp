// bench-eval compares with the faster of two libraries' products. A stand-in for OpenBLAS takes a known time.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/process.h"
#include "tests/support/text.h"

namespace {

struct Run {
  int code;
  std::string out;
  nlohmann::json report;
};

// `libraries`: the folder in which the loader looks for libopenblas.so.0 first. `milliseconds`: the stand-in's time.
Run run(const std::string& libraries, const std::string& milliseconds) {
  const TemporaryFolder folder;
  Process process({"/usr/bin/env", "LD_LIBRARY_PATH=" + libraries, "STAND_IN_MS=" + milliseconds,
                   PROGRAMS "/bench-eval", "--queries", "40", "--gallery", "60", "--dimension", "8", "--identities",
                   "4", "--repeat", "1", "--threads", "2", "--json", folder / "report.json"});
  const int code = process.wait();
  return {code, process.out(),
          code == 0 ? nlohmann::json::parse(mpanet::read_text(folder / "report.json")) : nlohmann::json()};
}

TEST_CASE("the faster product is the yardstick") {
  for (const bool slow : {true, false}) {
    CAPTURE(slow);
    const Run made = run(STAND_IN_OPENBLAS, slow ? "2000" : "0");
    REQUIRE(made.code == 0);
    REQUIRE(made.report["products"].size() == 2);
    const double openblas = made.report["products"]["OpenBLAS"];
    CHECK((openblas >= 2) == slow);
    const double fastest = made.report["product_seconds"];
    CHECK((fastest == openblas) == !slow);
    const double evaluation = made.report["evaluation_seconds"];
    CHECK(made.report["ratio"] == doctest::Approx(evaluation / fastest));
    CHECK(has(made.out, "to the product by OpenBLAS\n") == !slow);
  }
}

TEST_CASE("without OpenBLAS one line says so") {
  const TemporaryFolder folder;
  std::ofstream(folder / "libopenblas.so.0") << "no library";
  const Run made = run(folder.path(), "0");
  REQUIRE(made.code == 0);
  CHECK(made.report["products"].size() == 1);
  CHECK(has(made.out,
            "\nOpenBLAS's product was not timed: there is no libopenblas.so.0 (Debian's libopenblas0-pthread)\n"));
}

// What bench-eval says of these options.
std::string refusal(const std::vector<std::string>& options) {
  std::vector<std::string> all = {PROGRAMS "/bench-eval", "--queries", "8"};
  all.insert(all.end(), options.begin(), options.end());
  Process process(all);
  CHECK(process.wait() == 2);
  CHECK(process.out().empty());
  return process.err();
}

TEST_CASE("a gallery on disk has no name: nobody's file is replaced, and a signal leaves nothing") {
  const TemporaryFolder folder;
  std::ofstream(folder / "bench-eval.npy") << "mine";
  Process process(
      {PROGRAMS "/bench-eval", "--queries", "8", "--dimension", "4", "--stream", "20,30", "--folder", folder.path()});
  CHECK(process.wait() == 0);
  CHECK(has(process.out(), "\ngallery       20 on disk "));
  CHECK(names_in(folder.path()) == std::set<std::string>{"bench-eval.npy"});
  CHECK(mpanet::read_text(folder / "bench-eval.npy") == "mine");

  Process killed({PROGRAMS "/bench-eval", "--queries", "8", "--dimension", "10000", "--stream", "100000", "--folder",
                  folder.path()});
  std::this_thread::sleep_for(std::chrono::milliseconds(200));  // anywhere in its work
  killed.send(SIGKILL);
  killed.wait();
  CHECK(names_in(folder.path()) == std::set<std::string>{"bench-eval.npy"});
}

TEST_CASE("a gallery that the disk cannot hold, and options that would have no effect, are refused in one line") {
  const TemporaryFolder folder;
  if (std::filesystem::space(folder.path()).available < uint64_t{3} << 40) {  // else it would be written
    const std::string line =
        refusal({"--gallery", "4", "--stream", "1000000", "--dimension=1000000", "--folder", folder.path()});
    CHECK(line.starts_with("bench-eval: --folder: " + folder.path() + ": the embeddings need 3725.32 GiB, got "));
    CHECK(line.ends_with("of free space\n"));
  }
  CHECK(refusal({"--stream", "4", "--folder", folder / "none"}) ==
        "bench-eval: --folder: " + (folder / "none") + ": cannot make a file: No such file or directory\n");
  CHECK(refusal({"--stream", "4", "--rerank"}) == "bench-eval: expected one of --counted, --rerank and --stream\n");
  CHECK(refusal({"--counted", "--rerank"}) == "bench-eval: expected one of --counted, --rerank and --stream\n");
  CHECK(refusal({"--stream", "4", "--json", folder / "x.json"}) ==
        "bench-eval: --json: expected no --stream, which writes no file\n");
  CHECK(has(refusal({"--folder", folder.path()}), "--stream"));
  CHECK(names_in(folder.path()).empty());
}

}  // namespace
