#include "core/base/threads.h"

#include <unistd.h>

#include <cstdlib>

namespace mpanet {

void sleep_when_idle(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  setenv("OMP_WAIT_POLICY", "passive", 1);
  execv("/proc/self/exe", argv);  // where this fails, the program goes on as it is
}

}  // namespace mpanet
