#include "mpanet/network/engine.h"

#include <array>

#include "core/base/error.h"

// Each precision's factories; the engine's headers themselves are compiled for one precision at a time.
namespace mpanet {
#define FACTORIES(precision)                                \
  namespace precision {                                     \
  std::unique_ptr<Engine> make_engine(const EngineConfig&); \
  MemoryPlan plan_memory(const EngineConfig&);              \
  }
FACTORIES(f32)
FACTORIES(f64)
FACTORIES(bf16)
FACTORIES(f16)

namespace {

struct Entry {
  Precision precision;
  const char* name;
  std::unique_ptr<Engine> (*make)(const EngineConfig&);
  MemoryPlan (*plan)(const EngineConfig&);
};

constexpr std::array<Entry, 4> kPrecisions = {{{Precision::f32, "f32", f32::make_engine, f32::plan_memory},
                                               {Precision::f64, "f64", f64::make_engine, f64::plan_memory},
                                               {Precision::bf16, "bf16", bf16::make_engine, bf16::plan_memory},
                                               {Precision::f16, "f16", f16::make_engine, f16::plan_memory}}};

const Entry& entry_of(Precision precision) {
  for (const Entry& entry : kPrecisions)
    if (entry.precision == precision) return entry;
  MPANET_CHECK(false, "no precision {}", static_cast<int>(precision));
}

}  // namespace

std::string name_of(Precision precision) { return entry_of(precision).name; }

Precision parse_precision(const std::string& text, const std::string& where) {
  for (const Entry& entry : kPrecisions)
    if (text == entry.name) return entry.precision;
  fail("{}: expected f32, f64, bf16 or f16, got {}", where, text);
}

std::unique_ptr<Engine> make_engine(const EngineConfig& config) { return entry_of(config.precision).make(config); }

MemoryPlan plan_memory(const EngineConfig& config) { return entry_of(config.precision).plan(config); }

}  // namespace mpanet
