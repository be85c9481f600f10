// How OpenMP's threads wait for each other.
#pragma once

namespace mpanet {

// Lets idle OpenMP threads sleep, unless the user's OMP_WAIT_POLICY says otherwise: by default they spin, and a
// spinning thread takes its core from the threads that load pictures and from other programs (on two busy cores a
// training step of a small network took several times as long). The runtime reads the variable before main(), so the
// program starts itself once more. Call first in main(); returns at once when there is nothing to do.
void sleep_when_idle(char** argv);

}  // namespace mpanet
