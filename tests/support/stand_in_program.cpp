// A program that says it was built for SSE3 and AVX512_4VNNIW. Only the last Xeon Phi has the latter.
#include <unistd.h>

#include "core/base/processor_check.h"

namespace mpanet {
const char* const kBuiltFor[kInstructionSets] = {"sse3", "avx5124vnniw"};
}  // namespace mpanet

namespace {

bool say(const char* text, unsigned size) { return write(STDOUT_FILENO, text, size) > 0; }
const bool g_initialised = say("initialised", 11);

}  // namespace

int main() { return g_initialised && say("ran", 3) ? 0 : 1; }
