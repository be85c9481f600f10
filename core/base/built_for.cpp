// This file is compiled with the build's options, so that the compiler's macros say which instruction sets it may use.
#include "core/base/processor_check.h"

// VALUE_AS_TEXT(macro) is "1" if the compiler defines the macro as 1, and the macro's own name if it is not defined.
#define AS_TEXT(text) #text
#define VALUE_AS_TEXT(macro) AS_TEXT(macro)
#define NAME_IF_BUILT_FOR(macro, name) VALUE_AS_TEXT(macro)[0] == '1' ? name : nullptr,

namespace mpanet {

const char* const kBuiltFor[kInstructionSets] = {MPANET_INSTRUCTION_SETS(NAME_IF_BUILT_FOR)};

}  // namespace mpanet
