// Calls of sm_90a's convolutions (sm90/), which are a library of their own: for the launchers of convolution. A build
// without the library, the emulation, and precisions without 16-bit numbers have none: wgmma_takes() is false there.
#pragma once
#include "kernels/cuda/plan.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

// The depth of a step, and the tiles. Rates are modelled: 0.6 of 2048 multiply-adds per clock, reduced to what 128
// bytes of shared memory per clock allow. Of one step, in clocks of tensor cores and of shared memory (operands,
// copies): 128 x 256 1024 and 1024; 128 x 128 512 and 640; 256 x 64 512 and 832; 64 x 128 256 and 448.
inline TileChoices wgmma_tiles(ConvPass pass) {
  constexpr double kPeak = 0.6 * 2048;
  constexpr int kThreads = 256, kStep = 64;
  static constexpr TileChoice kPixels[] = {{128, 256, kThreads, true, kPeak},
                                           {128, 128, kThreads, true, 0.80 * kPeak},
                                           {256, 64, kThreads, true, 0.62 * kPeak}};
  static constexpr TileChoice kWeights[] = {{128, 256, kThreads, true, kPeak},
                                            {128, 128, kThreads, true, 0.80 * kPeak},
                                            {64, 128, kThreads, true, 0.57 * kPeak}};
  if (pass == ConvPass::BackwardWeights) return {kWeights, kStep};
  return {kPixels, kStep};
}

// The rows of a part of ConvEpilogue::moments and GradEpilogue::sums.
constexpr int kWgmmaSumRows = 64;

#if defined(MPANET_HAS_SM90A)
// Whether these convolutions compute a pass of this shape: on devices of compute capability 9.0, for channels that are
// a multiple of 8. Fewer than 64 channels waste most of a step, so they are taken only if they are `forced` to.
bool wgmma_takes(Stream stream, const ConvShape& s, ConvPass pass, bool forced);
// They run a plan of wgmma_tiles(), splits not yet added. Addresses are aligned to 16.
// moments: of ConvEpilogue, or null.
void wgmma_forward(Stream stream, const ConvShape& s, const storage* x, const storage* w, const ProductPlan& plan,
                   real* moments, const Output<storage>& y);
void wgmma_backward_data(Stream stream, const ConvShape& s, const storage* dy, const storage* w,
                         const ProductPlan& plan, const GradEpilogue& epilogue, const Output<storage>& dx);
void wgmma_backward_weights(Stream stream, const ConvShape& s, const storage* x, const storage* dy,
                            const ProductPlan& plan, const Output<real>& dw);
#else
inline bool wgmma_takes(Stream, const ConvShape&, ConvPass, bool) { return false; }
inline void wgmma_forward(Stream, const ConvShape&, const storage*, const storage*, const ProductPlan&, real*,
                          const Output<storage>&) {}
inline void wgmma_backward_data(Stream, const ConvShape&, const storage*, const storage*, const ProductPlan&,
                                const GradEpilogue&, const Output<storage>&) {}
inline void wgmma_backward_weights(Stream, const ConvShape&, const storage*, const storage*, const ProductPlan&,
                                   const Output<real>&) {}
#endif

}  // namespace mpanet::PRECISION::KERNEL_NS
