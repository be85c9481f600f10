// --conv and --gemm choose the library of a GPU's convolutions and matrix products, --conv also that of a CPU's
// convolutions. A file of the run folder keeps the choices of `auto`, so that a resumed run computes the same bits.
#pragma once
#include <optional>
#include <string>

#include "core/device.h"
#include "kernels/vendors.h"
#include "mpanet/network/precision.h"

namespace mpanet {

constexpr const char* kConvHelp =
    "on a GPU: native (this program's kernels, the default), cudnn, or auto, the faster by shape; on a CPU: auto, the "
    "default, native, or onednn (f32 and tf32)";
constexpr const char* kGemmHelp = "on a GPU: native, the default, cublas, or auto, the faster by shape";

// An empty text means the file's choice, or the default without a file. A run folder has a choice for a GPU and one for
// the CPU. UserError, one line: an unknown word, a library without its device, an invalid file, and a library of the
// file that this build does not have, or that does not compute in `precision`.
Vendors choose_vendors(const std::string& conv, const std::string& gemm, Device device, const std::string& file = "",
                       std::optional<Precision> precision = std::nullopt);
// Writes the choices to `file`. Writes nothing when all are the defaults, our kernels run everything, and there is no
// file. UserError when it cannot.
void write_vendors(const std::string& file, const Vendors& vendors);
// What runs the convolutions on this device, for provenance.json: "native", or "native, onednn".
std::string convolution_providers(const Vendors& vendors, Device device);

}  // namespace mpanet
