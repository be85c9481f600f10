// Every kind of picture file against Pillow (fixtures/formats/make.py): the same pixels, or one error line if the table
// in docs/using.md says so.
#include <doctest/doctest.h>

#include "tests/support/image_helpers.h"

using namespace mpanet;

namespace {

std::string format_fixture(const std::string& name) { return TEST_FIXTURES "/formats/" + name; }

}  // namespace

TEST_CASE("each kind of file is decoded as Pillow does it, or refused by one line") {
  ImageDecoder decoder;
  Image image;
  int decoded = 0, refused = 0;
  for (const auto& entry : nlohmann::json::parse(read_text(format_fixture("expected.json")))) {
    const std::string name = entry["name"], path = format_fixture(name);
    if (!readable(name)) continue;
    CAPTURE(name);
    const std::string message = user_error_of([&] { decoder.decode(path, image); });
    if (entry.contains("crc")) {
      CHECK(message == "");
      CHECK(image.height == entry["height"]);
      CHECK(image.width == entry["width"]);
      CHECK(checksum(image) == entry["crc"]);
      decoded++;
    } else if (entry.contains("refused")) {
      CHECK(message.starts_with(path + ": "));
      CHECK(message.find(entry["refused"]) != std::string::npos);
      CHECK(message.find('\n') == std::string::npos);
      refused++;
    } else {
      CHECK(message == "");
    }
  }
  if (jpeg_supported() && png_supported()) {
    CHECK(decoded == 76);
    CHECK(refused == 17);
  }
}
