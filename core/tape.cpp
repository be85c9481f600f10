#include "core/tape.h"

#include <string>

#include "core/base/error.h"

namespace mpanet {

void Tape::backward() {
  while (!steps_.empty()) {
    const Step step = std::move(steps_.back());
    steps_.pop_back();
    try {
      step.backward();
    } catch (const CheckError& error) {
      clear();
      throw CheckError(std::string("backward of ") + step.op + ": " + error.what());
    } catch (...) {
      clear();
      throw;
    }
  }
}

}  // namespace mpanet
