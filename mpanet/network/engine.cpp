#include "mpanet/network/engine.h"

#include <algorithm>
#include <iterator>

#include "core/base/error.h"
#include "core/base/precisions.h"
#include "mpanet/network/ranker.h"

// The factories of each precision that this build has. network_engine.h cannot be included here: it needs PRECISION.
namespace mpanet {
#define DECLARE_FACTORIES(precision)                        \
  namespace precision {                                     \
  std::unique_ptr<Engine> make_engine(const EngineConfig&); \
  MemoryPlan plan_memory(const EngineConfig&);              \
  decltype(mpanet::make_ranker) make_ranker;                \
  decltype(mpanet::ranker_bytes) ranker_bytes;              \
  decltype(mpanet::squares_on_device) squares_on_device;    \
  }
MPANET_EACH_PRECISION(DECLARE_FACTORIES)

namespace {

struct Factories {
  Precision precision;
  std::unique_ptr<Engine> (*make)(const EngineConfig&);
  MemoryPlan (*plan)(const EngineConfig&);
  decltype(mpanet::make_ranker)* ranker;
  decltype(mpanet::ranker_bytes)* ranker_bytes;
  decltype(mpanet::squares_on_device)* squares;
};

#define FACTORIES(precision)                                                \
  {Precision::precision,   precision::make_engine,  precision::plan_memory, \
   precision::make_ranker, precision::ranker_bytes, precision::squares_on_device},
constexpr Factories kBuilt[] = {MPANET_EACH_PRECISION(FACTORIES)};

// TF32 is a setting of f32's engine.
Precision engine_of(Precision precision) { return precision == Precision::tf32 ? Precision::f32 : precision; }

const Factories& factories_of(Precision precision) {
  const Precision engine = engine_of(precision);
  std::string names;
  for (const Factories& built : kBuilt) {
    if (built.precision == engine) return built;
    names += (names.empty() ? "" : ", ") + name_of(built.precision);
  }
  fail("precision: this program was built without {} (MPANET_PRECISIONS); it has {}", name_of(engine), names);
}

// Those that rank: of floats if there is one. Engines with storage of 16 bits compute in float too.
const Factories& ranking() {
  const auto computes_in_float = [](const Factories& built) { return built.precision != Precision::f64; };
  const auto* chosen = std::find_if(std::begin(kBuilt), std::end(kBuilt), computes_in_float);
  return chosen == std::end(kBuilt) ? *kBuilt : *chosen;
}

}  // namespace

const std::vector<Precision>& built_precisions() {
  static const std::vector<Precision> built = [] {
    std::vector<Precision> all;
    for (const Factories& one : kBuilt) all.push_back(one.precision);
    return all;
  }();
  return built;
}

std::unique_ptr<Engine> make_engine(const EngineConfig& config) { return factories_of(config.precision).make(config); }

MemoryPlan plan_memory(const EngineConfig& config) { return factories_of(config.precision).plan(config); }

std::unique_ptr<Ranker> make_ranker(const DeviceRows& matrix, const RankerGallery& gallery, int max_queries,
                                    size_t* needed) {
  return ranking().ranker(matrix, gallery, max_queries, needed);
}

size_t ranker_bytes(Device device, size_t gallery, int dimension, int max_queries) {
  return ranking().ranker_bytes(device, gallery, dimension, max_queries);
}

std::vector<double> squares_on_device(const DeviceRows& matrix) { return ranking().squares(matrix); }

}  // namespace mpanet
