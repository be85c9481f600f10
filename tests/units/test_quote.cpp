// Text from files and arguments in messages: one line, no control characters, valid UTF-8.
#include <doctest/doctest.h>

#include <stdexcept>

#include "core/base/error.h"
#include "core/base/quote.h"

using namespace mpanet;

TEST_CASE("plain text stays as it is") {
  for (const char* text : {"", "runs/first", "a b\\c \"d\"", "Größe/人物/🙂", "C:\\x"})
    CHECK(printable(text) == text);
}

TEST_CASE("control characters and what steers a terminal") {
  CHECK(printable("a\nb\r\tc") == "a\\nb\\r\\tc");
  CHECK(printable("\x1b[31mred\x1b[0m") == "\\x1b[31mred\\x1b[0m");
  CHECK(printable(std::string("nul\0byte", 8)) == "nul\\x00byte");
  CHECK(printable("\x7f") == "\\x7f");
  CHECK(printable("\u009b31m") == "\\u009b31m");            // a control sequence in one character
  CHECK(printable("\u2028\u2029") == "\\u2028\\u2029");     // line separators
  CHECK(printable("gpj.\u202excod") == "gpj.\\u202excod");  // right to left from here
  CHECK(printable("\u2066x\u2069\u200e") == "\\u2066x\\u2069\\u200e");
}

TEST_CASE("bytes that are not UTF-8") {
  CHECK(printable("a\xff") == "a\\xff");
  CHECK(printable("\xc3") == "\\xc3");                             // cut
  CHECK(printable("\xc0\xaf") == "\\xc0\\xaf");                    // overlong
  CHECK(printable("\xe0\x80\xaf") == "\\xe0\\x80\\xaf");           // overlong
  CHECK(printable("\xed\xa0\x80") == "\\xed\\xa0\\x80");           // a surrogate
  CHECK(printable("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");  // beyond U+10FFFF
  CHECK(printable("\xc3\xa9\xa9") == "é\\xa9");
}

TEST_CASE("long text is cut between characters") {
  CHECK(printable("abcdef", 4) == "abcd...");
  CHECK(printable("abcd", 4) == "abcd");
  CHECK(printable("aéé", 4) == "aé...");
  CHECK(printable("ab\n\n", 5) == "ab\\n...");
  CHECK(printable(std::string(100000, 'x')).size() == 8192 + 3);
}

TEST_CASE("quoted values") {
  CHECK(quote("") == "\"\"");
  CHECK(quote("a\"b\\c\n") == "\"a\\\"b\\\\c\\n\"");
  CHECK(quote("Größe") == "\"Größe\"");
  CHECK(quote(std::string(100, 'x')) == "\"" + std::string(80, 'x') + "...\"");
}

TEST_CASE("a UserError is one line, whoever makes it") {
  const std::string bad = "a\nmpanet: all is well\x1b[2J";
  CHECK(std::string(UserError(bad).what()) == "a\\nmpanet: all is well\\x1b[2J");
  try {
    fail("{}: expected a file", bad);
  } catch (const UserError& e) {
    CHECK(std::string(e.what()) == "a\\nmpanet: all is well\\x1b[2J: expected a file");
  }
}
