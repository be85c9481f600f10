// A build with MPANET_PRECISIONS=f32 (tests/CMakeLists.txt): f32 works, and each other precision is refused by
// name.
#include "core/base/error.h"
#include "tests/support/engine_helpers.h"

namespace mpanet {
namespace {

TEST_CASE("the precision that was built works") {
  const auto engine = make_engine(tiny(Precision::f32));
  CHECK(engine->real_bytes() == 4);
  CHECK(plan_memory(tiny(Precision::f32)).total() == engine->plan().total());
  CHECK(make_engine(tiny(Precision::tf32))->real_bytes() == 4);  // of f32's engine
}

TEST_CASE("a precision that was not built is refused by name, before anything is allocated") {
  for (const Precision precision : {Precision::f64, Precision::bf16, Precision::f16}) {
    const std::string expected =
        "precision: this program was built without " + name_of(precision) + " (MPANET_PRECISIONS); it has f32";
    CHECK_THROWS_WITH_AS(plan_memory(tiny(precision)), expected.c_str(), UserError);
    CHECK_THROWS_WITH_AS(make_engine(tiny(precision)), expected.c_str(), UserError);
    CHECK(parse_precision(name_of(precision), "--precision") == precision);
  }
}

TEST_CASE("auto takes the precision that was built") {
  CHECK(built_precisions() == std::vector<Precision>{Precision::f32});
  CHECK(choose_precision(std::nullopt, Backend::cpu) == Precision::f32);
}

}  // namespace
}  // namespace mpanet
