// Output to the standard streams.
//
// Results go to stdout through fmt::print(). If a result cannot be written, the program exits with code 2;
// finish_output() checks this at the end. Everything else, such as progress and warnings, goes through say() and
// note(), which never fail, because a lost progress line must not stop the work.
#pragma once
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace mpanet {

// Writes `text` to stdout or stderr at once. After an error on a stream, say() and note() write nothing more
// to it.
void say(std::FILE* stream, std::string_view text);

// Prints one line on stderr. Flushes stdout first, so that a log of both has them in order. Control characters are
// escaped (printable() in quote.h).
void note(std::string_view line);

// Keeps stdout for data: if one of the outputs leads there (/dev/stdout, /dev/fd/1, another descriptor of the same pipe
// or file), then everything that the program prints on stdout from now on goes to stderr. To be called when the outputs
// are open or written, as their paths lead to stderr afterwards. Empty paths are ignored.
void keep_stdout_for(const std::vector<std::string>& outputs);

// To be called before main() returns `code`. Flushes stdout. Returns `code`; if a result could not be written, prints a
// line on stderr and returns 2 instead of 0.
int finish_output(const char* program, int code);

}  // namespace mpanet
