// bench-eval compares with the faster of two libraries' products. A stand-in for OpenBLAS takes a known time.
#include <doctest/doctest.h>

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

}  // namespace
