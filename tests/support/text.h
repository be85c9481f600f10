// Searching in the output of a program or in an error message.
#pragma once
#include <string>

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }
