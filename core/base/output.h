// Output to the standard streams.
//
// Results go to stdout through fmt::print(). If a result cannot be written, the program exits with code 2;
// finish_output() checks this at the end. Everything else, such as progress and warnings, goes through say() and
// note(), which never fail, because a lost progress line must not stop the work.
#pragma once
#include <cstdio>
#include <string_view>

namespace mpanet {

// Writes `text` to stdout or stderr at once. After an error on a stream, say() and note() write nothing more
// to it.
void say(std::FILE* stream, std::string_view text);

// Prints one line on stderr. Flushes stdout first, so that a log of both has them in order. Control characters are
// escaped (printable() in quote.h).
void note(std::string_view line);

// To be called before main() returns `code`. Flushes stdout. Returns `code`; if a result could not be written, prints a
// line on stderr and returns 2 instead of 0.
int finish_output(const char* program, int code);

}  // namespace mpanet
