// The six cameras of the synthetic data set: places, lighting and optics, in the roles that SYSU-MM01's cameras have.
#pragma once
#include "core/base/random.h"
#include "data/pictures/image.h"
#include "data/synth/synth_person.h"

namespace mpanet::synth {

// A picture of the person by camera 1..6: place, light, pose, crop and noise are drawn from `random`.
Image draw_picture(const Person& person, int camera, Random& random);

}  // namespace mpanet::synth
