// What programs write to their standard streams.
//
// Results go to stdout through fmt::print(). One that cannot be written ends the program with exit code 2;
// finish_output() finds out at the end at the latest. Everything else, such as progress and warnings, goes through
// say() and note(): the work is worth more than its progress lines, so they never fail.
#pragma once
#include <cstdio>
#include <string_view>

namespace mpanet {

// Writes `text` to stdout or stderr at once. A stream that cannot be written is dropped: from then on this does
// nothing.
void say(std::FILE* stream, std::string_view text);

// A line on stderr, after what stdout still holds, so that a log of both has them in order. It stays one line, whatever
// it holds (printable() in quote.h).
void note(std::string_view line);

// Call before main() returns `code`: writes what stdout still holds. Where a result could not be written, a line on
// stderr and 2 instead of 0.
int finish_output(const char* program, int code);

}  // namespace mpanet
