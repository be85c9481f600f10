// This file is compiled for the oldest processors of the architecture. It uses no inline function and no template of
// the standard library: the linker keeps one copy of such a function for the whole program, and that copy may come from
// an object that was compiled for newer processors.
#include "core/base/processor_check.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)

namespace {

struct InstructionSet {
  const char* name;
  bool present;
};

// A line for stderr, without memory from the heap.
class Line {
 public:
  void add(const char* text) {
    while (*text != 0 && size_ < sizeof text_ - 1) text_[size_++] = *text++;
  }
  void print() {
    text_[size_++] = '\n';
    if (write(STDERR_FILENO, text_, size_) < 0) _exit(2);
  }

 private:
  char text_[600];
  unsigned size_ = 0;
};

}  // namespace

// Runs before the static initialisers of other objects, which have the default priority. Nothing refers to this
// function; core/CMakeLists.txt makes the linker keep it.
extern "C" __attribute__((constructor(101))) void mpanet_check_processor() {
  __builtin_cpu_init();
#  define ASK(macro, name) {name, __builtin_cpu_supports(name) != 0},
  const InstructionSet sets[] = {MPANET_INSTRUCTION_SETS(ASK)};
#  undef ASK
  Line line;
  bool lacks = false;
  for (const char* wanted : mpanet::kBuiltFor)
    for (const InstructionSet& set : sets) {
      if (wanted == nullptr || strcmp(set.name, wanted) != 0 || set.present) continue;
      if (!lacks) {
        line.add(program_invocation_short_name);
        line.add(": this build needs a processor with");
      }
      line.add(lacks ? ", " : " ");
      line.add(set.name);
      lacks = true;
    }
  if (!lacks) return;
  line.add(", which this one lacks; a build with -DMPANET_NATIVE=OFF runs on others too");
  line.print();
  _exit(2);
}

#else

extern "C" void mpanet_check_processor() {}

#endif
