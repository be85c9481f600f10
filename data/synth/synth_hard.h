// The hard world: what identifies a person is small, and what is large or coloured misleads.
//
//   identity    marks at eight spots of the body. Four people in a row share garments, build and bag; the first two of
//               them differ in one mark that is seen from both sides, and so do the last two
//   colour      as in the plain world the same in all visible pictures of a person, so that it tells training people
//               apart, and random in infrared ones, so that it tells nothing across the modalities
//   modality    an infrared camera keeps or inverts the contrast of marks and patterns by the garment's material; the
//               two cameras do so for different materials
//   pictures    part of them occluded, blurred, of another white balance; infrared ones with lost lines, hot spots and
//               more noise
#pragma once
#include <cstdint>
#include <vector>

#include "core/base/random.h"
#include "data/synth/synth_person.h"

namespace mpanet::synth {

constexpr int kFamily = 4;  // people who share all that is large

std::vector<Person> draw_hard_people(uint64_t seed, int count);

// As visible_tones(), with the marks'.
Tones hard_visible_tones(const Person& person);
// `camera`: 3 or 6.
Tones hard_infrared_tones(const Person& person, int camera, Random& random);

// Draws what stands before the person, in about a third of the pictures.
void occlude(Canvas& canvas, bool infrared, Random& random);
// The light's colour or, of an infrared picture, hot spots and lost lines; returns the radius of an additional blur.
int spoil(Canvas& canvas, bool infrared, Random& random);

}  // namespace mpanet::synth
