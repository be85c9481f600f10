#include "core/tape.h"

#include <string>

#include "core/base/error.h"

namespace mpanet {

// Runs and destroys the last one.
void Tape::run_last(std::vector<Step>& steps) {
  const Step step = std::move(steps.back());
  steps.pop_back();
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

void Tape::backward() {
  while (!steps_.empty()) run_last(steps_);
  while (!ends_.empty()) run_last(ends_);
}

}  // namespace mpanet
