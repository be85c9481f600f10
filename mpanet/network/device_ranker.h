// The ranker in one precision. The function of mpanet/network/engine.cpp calls this.
#pragma once
#include <memory>

#include "core/base/real.h"
#include "mpanet/network/ranker.h"

namespace mpanet::PRECISION {

std::unique_ptr<Ranker> make_ranker(Device device, const RankerGallery& gallery, int max_queries, size_t* needed);

}  // namespace mpanet::PRECISION
