// --conv and --gemm choose the library of a GPU's convolutions and matrix products. A file of the run folder keeps the
// choices of `auto`, so that a resumed run computes the same bits.
#pragma once
#include <string>

#include "core/device.h"
#include "kernels/vendors.h"

namespace mpanet {

constexpr const char* kConvHelp =
    "on a GPU: native (this program's kernels, the default), cudnn, or auto, the faster by shape";
constexpr const char* kGemmHelp = "on a GPU: native, the default, cublas, or auto, the faster by shape";

// An empty text means the file's choice, or native without a file. UserError, one line: an unknown word, a library
// without a GPU, a library that this build lacks, an invalid file.
Vendors choose_vendors(const std::string& conv, const std::string& gemm, Device device, const std::string& file = "");
// Writes the choices to `file`. Writes nothing when all are native and there is no file. UserError when it cannot.
void write_vendors(const std::string& file, const Vendors& vendors);

}  // namespace mpanet
