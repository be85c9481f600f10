// What every program does before its first line and after its last.
#pragma once

namespace mpanet {

// The body of a main(): calls `run` and returns the exit code.
//   - Where descriptor 0, 1 or 2 is closed, it becomes /dev/null, so that no file that is opened later gets its number.
//     It cannot be read or written, so that a result for a closed stdout is an error as one for a full disk is.
//   - SIGPIPE and SIGXFSZ are ignored: a closed pipe and the limit of a file's size are errors of the write.
//   - Idle OpenMP threads sleep (threads.h).
//   - What is thrown becomes one line on stderr (report_exception), in other threads too.
//   - Results on stdout are written, or the exit code is 2 (finish_output).
int program_main(const char* name, int argc, char** argv, int (*run)(int argc, char** argv));

}  // namespace mpanet
