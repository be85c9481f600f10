// --conv and --gemm: whose convolutions and matrix products a GPU runs, and the file of a run folder that keeps what
// `auto` took, so that a run that goes on computes what it would have computed.
#pragma once
#include <string>

#include "core/device.h"
#include "kernels/vendors.h"

namespace mpanet {

constexpr const char* kConvHelp =
    "on a GPU: native (this program's kernels, the default), cudnn, or auto, the faster by shape";
constexpr const char* kGemmHelp = "on a GPU: native, the default, cublas, or auto, the faster by shape";

// Empty texts: as in the file, if there is one, else native. UserError in one line: another word, a library without a
// GPU or one that this build has not, a file that makes no sense.
Vendors choose_vendors(const std::string& conv, const std::string& gemm, Device device, const std::string& file = "");
// Nothing where all is native and there never was a file.
void write_vendors(const std::string& file, const Vendors& vendors);

}  // namespace mpanet
