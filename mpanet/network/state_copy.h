// StateSnapshot (engine.h) of an engine in this precision.
#pragma once
#include <memory>
#include <vector>

#include "layers/parameter.h"
#include "mpanet/network/engine.h"

namespace mpanet::PRECISION {

// All three must outlive the snapshot. `tensors`: those of the store, in its order.
std::unique_ptr<StateSnapshot> take_snapshot(Context& context, const ParameterStore& store,
                                             const std::vector<TensorInfo>& tensors);

// Bytes of a snapshot of the store.
size_t snapshot_bytes(const ParameterStore& store);

}  // namespace mpanet::PRECISION
