// The text of an exception for a user, and whose fault it is.
#pragma once
#include <string>

namespace mpanet {

// code: 2 for UserError and for exceptions of the standard library and the JSON parser, which mean bad input or a
// failing machine; 1 for CheckError and unknown types, which are bugs. These are the programs' exit codes.
struct ExceptionText {
  int code;
  std::string text;
};

// Describes the current exception. To be called in a catch (...).
ExceptionText describe_exception();

}  // namespace mpanet
