// A program that was built for more than its processor has says so in one line and exits with code 2. Otherwise it
// would end with an illegal instruction, anywhere.
#pragma once

namespace mpanet {

// The instruction sets that the build's options allow the compiler to use, of those that have a name in
// __builtin_cpu_supports(); ends with null.
extern const char* const kBuiltFor[];

}  // namespace mpanet
