// Looking for words in what a program or an error said.
#pragma once
#include <string>

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }
