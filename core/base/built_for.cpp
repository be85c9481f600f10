// Compiled like everything else, so that the compiler's macros name the instruction sets that it may use.
#include "core/base/processor_check.h"

// "1" for a macro that is defined, else the macro's own name.
#define AS_TEXT(text) #text
#define VALUE_AS_TEXT(macro) AS_TEXT(macro)
#define NAME_IF_BUILT_FOR(macro, name) VALUE_AS_TEXT(macro)[0] == '1' ? name : nullptr,

namespace mpanet {

const char* const kBuiltFor[kInstructionSets] = {MPANET_INSTRUCTION_SETS(NAME_IF_BUILT_FOR)};

}  // namespace mpanet
