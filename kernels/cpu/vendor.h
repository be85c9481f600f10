// Which implementation runs a CPU's convolutions: Vendors::cpu_convolution. Settings belong to a stream. They must be
// set before the stream's memory is planned, because workspaces depend on them.
#pragma once
#include "kernels/types.h"
#include "kernels/vendors.h"

namespace mpanet::cpu {

void set_vendors(Stream stream, const Vendors& vendors);
// `choices` has an entry for each convolution whose workspace was queried, where oneDNN could run it.
const Vendors& vendors_of(Stream stream);

}  // namespace mpanet::cpu
