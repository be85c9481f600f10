#include "mpanet/engine.h"

// Each precision's factories; the engine's headers themselves are compiled for one precision at a time.
namespace mpanet {
namespace f32 {
std::unique_ptr<Engine> make_engine(const EngineConfig&);
MemoryPlan plan_memory(const EngineConfig&);
}  // namespace f32
namespace f64 {
std::unique_ptr<Engine> make_engine(const EngineConfig&);
MemoryPlan plan_memory(const EngineConfig&);
}  // namespace f64

std::unique_ptr<Engine> make_engine(const EngineConfig& config) {
  return config.precision == Precision::f64 ? f64::make_engine(config) : f32::make_engine(config);
}

MemoryPlan plan_memory(const EngineConfig& config) {
  return config.precision == Precision::f64 ? f64::plan_memory(config) : f32::plan_memory(config);
}

}  // namespace mpanet
