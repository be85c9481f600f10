// The engine in one precision. The functions of mpanet/network/engine.cpp call these.
#pragma once
#include <memory>

#include "core/base/real.h"
#include "mpanet/network/engine.h"

namespace mpanet::PRECISION {

std::unique_ptr<Engine> make_engine(const EngineConfig& config);
MemoryPlan plan_memory(const EngineConfig& config);

}  // namespace mpanet::PRECISION
