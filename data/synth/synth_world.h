// The two worlds that people are drawn in.
#pragma once

namespace mpanet {

// Plain: people differ in whole garments and things they carry, and infrared pictures differ from visible ones in the
// colours alone.
// Hard: people differ in small marks; four of them share all that is large, and of these two pairs differ in one mark.
// An infrared camera inverts the contrast of some materials; pictures are occluded, blurred and spoilt
// (data/synth/synth_hard.h).
enum class World { Plain, Hard };

}  // namespace mpanet
