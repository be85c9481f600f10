// The six cameras of the synthetic data set: scenes, lighting and optics. Modality and location of a camera are those
// of the camera with the same number in SYSU-MM01.
#pragma once
#include "core/base/random.h"
#include "data/pictures/image.h"
#include "data/synth/synth_person.h"
#include "data/synth/synth_world.h"

namespace mpanet::synth {

// A picture of the person by camera 1..6. Background, light, pose, crop and noise are drawn from `random`.
Image draw_picture(World world, const Person& person, int camera, Random& random);

}  // namespace mpanet::synth
