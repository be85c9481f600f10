// Common start and end of every program.
#pragma once

namespace mpanet {

// The body of a main(): calls `run` and returns the exit code.
//   - A closed descriptor 0, 1 or 2 becomes /dev/null, so that a file opened later cannot get its number. The new
//     descriptor cannot be read or written, so a result for a closed stdout is an error, as on a full disk.
//   - SIGPIPE and SIGXFSZ are ignored: a closed pipe or a file size limit is an error of write().
//   - Idle OpenMP threads sleep (threads.h).
//   - An exception in any thread becomes one line on stderr (report_exception).
//   - The exit code is 2 if a result on stdout could not be written (finish_output).
int program_main(const char* name, int argc, char** argv, int (*run)(int argc, char** argv));

}  // namespace mpanet
