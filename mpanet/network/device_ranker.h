// The ranker in one precision. The functions of mpanet/network/engine.cpp call these.
#pragma once
#include <memory>
#include <vector>

#include "core/base/real.h"
#include "mpanet/network/ranker.h"

namespace mpanet::PRECISION {

std::unique_ptr<Ranker> make_ranker(const DeviceRows& matrix, const RankerGallery& gallery, int max_queries,
                                    size_t* needed);
size_t ranker_bytes(Device device, size_t gallery, int dimension, int max_queries);
std::vector<double> squares_on_device(const DeviceRows& matrix);

}  // namespace mpanet::PRECISION
