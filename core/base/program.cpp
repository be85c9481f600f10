#include "core/base/program.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <system_error>

#include "core/base/error.h"
#include "core/base/output.h"
#include "core/base/threads.h"

namespace mpanet {
namespace {

const char* program_name = "";

// Opens /dev/null in place of closed standard descriptors, in ascending order: open() returns the lowest free number.
void fill_standard_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) continue;
    const int flags = descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    if (open("/dev/null", flags) < 0 && open("/", O_RDONLY | O_DIRECTORY) < 0) _exit(2);
  }
}

// The handler of exceptions that leave a thread or an OpenMP region.
[[noreturn]] void on_terminate() {
  if (std::current_exception()) _exit(report_exception(program_name));
  note(std::string(program_name) + ": internal error: std::terminate() was called");
  _exit(1);
}

}  // namespace

int program_main(const char* name, int argc, char** argv, int (*run)(int, char**)) {
  fill_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  sleep_when_idle(argv);
  program_name = name;
  std::set_terminate(on_terminate);
  int code;
  try {
    code = run(argc, argv);
  } catch (const std::system_error&) {
    // fmt::print() throws std::system_error when a result cannot be written; finish_output() then reports the stream.
    code = std::ferror(stdout) != 0 ? 0 : report_exception(name);
  } catch (...) {
    code = report_exception(name);
  }
  return finish_output(name, code);
}

}  // namespace mpanet
