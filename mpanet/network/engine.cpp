#include "mpanet/network/engine.h"

#include <utility>

#include "core/base/error.h"
#include "core/base/precisions.h"

// The factories of each precision that this build has. network_engine.h cannot be included here: it needs PRECISION.
namespace mpanet {
#define DECLARE_FACTORIES(precision)                        \
  namespace precision {                                     \
  std::unique_ptr<Engine> make_engine(const EngineConfig&); \
  MemoryPlan plan_memory(const EngineConfig&);              \
  }
MPANET_EACH_PRECISION(DECLARE_FACTORIES)

namespace {

constexpr std::pair<Precision, const char*> kNames[] = {
    {Precision::f32, "f32"}, {Precision::f64, "f64"}, {Precision::bf16, "bf16"}, {Precision::f16, "f16"}};

struct Factories {
  Precision precision;
  std::unique_ptr<Engine> (*make)(const EngineConfig&);
  MemoryPlan (*plan)(const EngineConfig&);
};

#define FACTORIES(precision) {Precision::precision, precision::make_engine, precision::plan_memory},
constexpr Factories kBuilt[] = {MPANET_EACH_PRECISION(FACTORIES)};

const Factories& factories_of(Precision precision) {
  std::string names;
  for (const Factories& built : kBuilt) {
    if (built.precision == precision) return built;
    names += (names.empty() ? "" : ", ") + name_of(built.precision);
  }
  fail("precision: this program was built without {} (MPANET_PRECISIONS); it has {}", name_of(precision), names);
}

}  // namespace

std::string name_of(Precision precision) {
  for (const auto& [known, name] : kNames)
    if (known == precision) return name;
  MPANET_CHECK(false, "no precision {}", static_cast<int>(precision));
}

Precision parse_precision(const std::string& text, const std::string& where) {
  for (const auto& [precision, name] : kNames)
    if (text == name) return precision;
  fail("{}: expected f32, f64, bf16 or f16, got {}", where, text);
}

std::unique_ptr<Engine> make_engine(const EngineConfig& config) { return factories_of(config.precision).make(config); }

MemoryPlan plan_memory(const EngineConfig& config) { return factories_of(config.precision).plan(config); }

}  // namespace mpanet
