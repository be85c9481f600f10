// Packs (data/loading/pack.h): the same pixels as decoding, stale and damaged ones, going on after a stop.
#include <doctest/doctest.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/base/file.h"
#include "data/loading/loader.h"
#include "data/loading/pack.h"
#include "data/pictures/image.h"
#include "data/pictures/resize.h"
#include "tests/support/temporary_folder.h"

namespace {

using namespace mpanet;
namespace fs = std::filesystem;
constexpr int kHeight = 20, kWidth = 10;

Image picture(int number) {
  Image image;
  image.height = 30 + number, image.width = 12;
  for (int i = 0; i < image.height * image.width * 3; i++)
    image.pixels.push_back(static_cast<uint8_t>((i * 7 + number * 31) % 256));
  return image;
}

// A folder with pictures 0.png to 4.png, and a pack of them.
struct PackedFolder {
  TemporaryFolder folder;
  std::vector<std::string> paths;
  std::string out = folder / "x.pack";

  PackedFolder() {
    for (int i = 0; i < 5; i++) {
      paths.push_back(std::to_string(i) + ".png");
      OutputFile file(folder / paths.back());
      write_png(file, picture(i));
      file.commit();
    }
  }
  PackReport write(int threads = 2) const { return write_pack(folder.path(), paths, kHeight, kWidth, out, threads); }
  Pack open() const { return Pack(out, folder.path(), kHeight, kWidth); }
  std::string error_of_open() const {
    try {
      open();
    } catch (const UserError& e) {
      return e.what();
    }
    return "";
  }
  std::string error_of_write() const {
    try {
      write();
    } catch (const UserError& e) {
      return e.what();
    }
    return "";
  }
  std::vector<uint8_t> pixels_of(const std::string& path) const {
    return resize_bilinear(decode_image(folder / path), kHeight, kWidth).pixels;
  }
};

// Changes one byte of a file, keeping its length.
void flip_byte(const std::string& path, size_t offset) {
  std::vector<uint8_t> bytes = read_bytes(path);
  bytes.at(offset) ^= 1;
  OutputFile file(path);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

}  // namespace

TEST_CASE("a pack holds the pixels that decoding and resizing give") {
  PackedFolder set;
  const PackReport report = set.write();
  CHECK(report.pictures == 5);
  CHECK(report.kept == 0);
  CHECK(report.bytes == fs::file_size(set.out));
  CHECK_FALSE(fs::exists(set.out + ".partial"));
  const Pack pack = set.open();
  CHECK(pack.count() == 5);
  for (const std::string& path : set.paths) {
    const uint8_t* pixels = pack.find(set.folder / path);
    REQUIRE(pixels != nullptr);
    CHECK(std::vector<uint8_t>(pixels, pixels + kHeight * kWidth * 3) == set.pixels_of(path));
  }
  CHECK(pack.find(set.folder / "5.png") == nullptr);
  pack.require({{"3.png", 1, 1, false}});
  CHECK_THROWS_WITH_AS(pack.require({{"7.png", 1, 1, false}, {"3.png", 1, 1, false}, {"6.png", 1, 1, false}}),
                       (set.out + ": stale: it lacks 2 pictures of the data set, the first is 6.png; make it anew with "
                                  "mpanet-data pack")
                           .c_str(),
                       UserError);
}

TEST_CASE("the bytes of a pack do not depend on threads, and a complete one is left as it is") {
  PackedFolder set;
  set.write(1);
  const std::vector<uint8_t> bytes = read_bytes(set.out);
  const auto time = fs::last_write_time(set.out);
  CHECK(set.write(3).kept == 5);
  CHECK(fs::last_write_time(set.out) == time);
  fs::remove(set.out);
  set.write(3);
  CHECK(read_bytes(set.out) == bytes);
}

TEST_CASE("a loader's batches are the same with a pack") {
  PackedFolder set;
  set.write();
  std::vector<std::vector<Sample>> batches(4);
  for (uint32_t i = 0; i < 20; i++)
    batches[i / 5].push_back({set.folder / set.paths[(i * 3) % 5], static_cast<int32_t>(i), i % 2 == 1, i});
  LoaderConfig config;
  config.height = kHeight, config.width = kWidth, config.threads = 2, config.train = true, config.seed = 5;
  config.augment.padding = 3;
  const auto load = [&](std::shared_ptr<const Pack> pack) {
    config.pack = std::move(pack);
    Loader loader(config, batches);
    std::vector<float> all;
    for (Batch batch; loader.next(batch);) all.insert(all.end(), batch.images.begin(), batch.images.end());
    return all;
  };
  const std::vector<float> decoded = load(nullptr);
  const auto pack = std::make_shared<const Pack>(set.out, set.folder.path(), kHeight, kWidth);
  for (const std::string& path : set.paths) fs::remove(set.folder / path);  // the pictures are not opened
  CHECK(load(pack) == decoded);
}

TEST_CASE("a stale pack is refused by name") {
  PackedFolder set;
  set.write();
  CHECK(set.error_of_open().empty());
  const auto stale = [&](const std::string& path, const char* what) {
    return set.out + ": stale: " + (set.folder / path) + what + "; make it anew with mpanet-data pack";
  };
  const auto time = fs::last_write_time(set.folder / "2.png");
  fs::last_write_time(set.folder / "2.png", time + std::chrono::seconds(1));
  CHECK(set.error_of_open() == stale("2.png", " was changed after it"));
  fs::last_write_time(set.folder / "2.png", time);
  CHECK(set.error_of_open().empty());
  fs::remove(set.folder / "4.png");
  CHECK(set.error_of_open() == stale("4.png", " is no longer there"));
  CHECK_THROWS_WITH_AS(Pack(set.out, set.folder.path(), kHeight, kWidth + 1),
                       (set.out + ": expected pictures of 20x11, got 20x10").c_str(), UserError);
  // A new list replaces the pack.
  set.paths.pop_back();
  CHECK(set.write().kept == 0);
  CHECK(set.open().count() == 4);
}

TEST_CASE("every damage of a pack is found") {
  PackedFolder set;
  set.write();
  const std::vector<uint8_t> whole = read_bytes(set.out);
  const size_t head = pack_head({kHeight, kWidth, {}}).size();
  const size_t pixels = whole.size() - 5 * kHeight * kWidth * 3;
  for (size_t offset = 0; offset < head + 100; offset++) {
    flip_byte(set.out, offset);
    CHECK_MESSAGE(set.error_of_open().starts_with(set.out + ": not a complete pack: "), offset);
    flip_byte(set.out, offset);
  }
  for (const size_t offset : {pixels, pixels + 599, whole.size() - 1}) {
    flip_byte(set.out, offset);
    const Pack pack = set.open();
    const std::string path = set.paths[(offset - pixels) / (kHeight * kWidth * 3)];
    CHECK_THROWS_WITH_AS(
        pack.find(set.folder / path),
        (set.out + ": the pixels of " + path + " are damaged; make it anew with mpanet-data pack").c_str(), UserError);
    CHECK(pack.find(set.folder / "3.png") != nullptr);
    CHECK(set.write().kept == 0);  // it is made anew
    CHECK(read_bytes(set.out) == whole);
  }
  for (const size_t length : {size_t{0}, size_t{7}, size_t{8}, size_t{40}, head + 50, pixels, whole.size() - 1}) {
    fs::resize_file(set.out, length);
    CHECK(set.error_of_open().starts_with(set.out + ": not a complete pack: "));
    OutputFile file(set.out);
    file.write(whole.data(), whole.size());
    file.commit();
  }
}

TEST_CASE("an unfinished pack goes on, and damage in it is packed again") {
  PackedFolder set;
  set.write();
  const std::vector<uint8_t> whole = read_bytes(set.out);
  fs::rename(set.out, set.out + ".partial");
  CHECK(set.write().kept == 5);
  CHECK(read_bytes(set.out) == whole);
  fs::rename(set.out, set.out + ".partial");
  flip_byte(set.out + ".partial", whole.size() - 1);
  CHECK(set.write().kept == 4);
  CHECK(read_bytes(set.out) == whole);
  // A picture that cannot be decoded ends the work; the others stay packed.
  fs::remove(set.out);
  const std::string good = read_text(set.folder / "3.png");
  write_file(set.folder / "3.png", "no picture");
  CHECK(set.error_of_write().starts_with(set.folder / "3.png: "));
  CHECK_FALSE(fs::exists(set.out));
  CHECK(fs::exists(set.out + ".partial"));
  write_file(set.folder / "3.png", good);  // another time: another list
  CHECK(set.write().kept == 0);
}

TEST_CASE("files that are no packs are not touched") {
  PackedFolder set;
  write_file(set.out, "a user's notes");
  CHECK(set.error_of_write() == set.out + ": there is another file, which is no pack");
  fs::remove(set.out);
  write_file(set.out + ".partial", "a user's notes");
  CHECK(set.error_of_write() == set.out + ".partial: expected nothing or an unfinished pack there, got another file");
  CHECK(read_text(set.out + ".partial") == "a user's notes");
  fs::remove(set.out + ".partial");
  fs::create_symlink(set.folder / "victim", set.out + ".partial");
  CHECK(set.error_of_write().starts_with(set.out + ".partial: cannot write: "));
  CHECK_FALSE(fs::exists(set.folder / "victim"));
  fs::remove(set.out + ".partial");
  fs::create_directory(set.out);
  CHECK(set.error_of_write() == set.out + ": expected nothing or an older pack there");
}
