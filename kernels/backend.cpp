#include <string>

#include "core/base/error.h"
#include "kernels/types.h"

namespace mpanet {

void no_backend(const char* call) { throw CheckError(std::string("this build has no such backend: ") + call); }

void kernel_check_failed(const char* function, const char* expected, const char* condition) {
  throw CheckError(std::string(function) + ": expected " + expected + " [" + condition + "]");
}

}  // namespace mpanet
