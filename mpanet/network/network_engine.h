// The engine in one precision; mpanet/network/engine.cpp picks.
#pragma once
#include <memory>

#include "core/base/real.h"
#include "mpanet/network/engine.h"

namespace mpanet::PRECISION {

std::unique_ptr<Engine> make_engine(const EngineConfig& config);
MemoryPlan plan_memory(const EngineConfig& config);

}  // namespace mpanet::PRECISION
