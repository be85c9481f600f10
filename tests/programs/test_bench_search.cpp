// bench-search makes an index once, finds in it what it looks for, and leaves it for the next call.
#include <doctest/doctest.h>

#ifdef MPANET_TEST_SQLITE
#  include <filesystem>
#  include <nlohmann/json.hpp>

#  include "core/base/file.h"
#  include "tests/support/process.h"

using namespace mpanet;

TEST_CASE("an index of random embeddings is made, searched and used again") {
  const TemporaryFolder folder;
  const std::string index = folder / "index", rows = index + "/features-0.f32", numbers = folder / "numbers.json";
  const auto bench = [&](const std::string& dimension) {
    return Process({PROGRAMS "/bench-search", "--index", index, "--entries", "9000", "--dimension", dimension,
                    "--queries", "3", "--repeat", "2", "--threads", "1", "--json", numbers});
  };
  Process first = bench("20");
  REQUIRE_MESSAGE(first.wait() == 0, first.err());  // the nearest of each query is itself
  CHECK(first.out().starts_with("9000 entries, 20 numbers each, 0.00 GB; 3 queries of 20 pictures, 1 thread\n"));
  const nlohmann::json json = nlohmann::json::parse(read_text(numbers));
  for (const char* what : {"answer", "rows_from_database", "products", "products_mapped", "read", "vendor_product"}) {
    CAPTURE(what);
    CHECK(json[what]["seconds"].size() == 2);
    CHECK(json[what]["processor_seconds"].size() == 2);
  }
  CHECK(std::filesystem::file_size(rows) == 9000 * 20 * sizeof(float));
  const auto made = std::filesystem::last_write_time(rows);
  Process again = bench("20");
  CHECK(again.wait() == 0);
  CHECK(std::filesystem::last_write_time(rows) == made);

  Process other = bench("21");
  CHECK(other.wait() == 2);
  CHECK(other.err().find("expected embeddings of 21 numbers, got 20") != std::string::npos);
}

#endif
