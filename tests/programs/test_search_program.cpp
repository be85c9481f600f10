// mpanet-search: the nearest pictures are those of mpanet-eval's embeddings, also after changes and a kill.
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "data/sets/npy.h"
#include "tests/support/train_program.h"

using namespace mpanet;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

std::string quoted(const std::string& word) { return "'" + word + "'"; }

const std::string& trained() {
  static TemporaryFolder folder;
  static std::string run;
  if (run.empty()) {
    run = folder / "run";
    check_works(command(folder, "run", {"--set", "image_size=[64,32]", "num_epoch=1"}));
  }
  return run;
}

std::string checkpoint() { return trained() + "/best.safetensors"; }

void check_search_refused(const std::string& arguments, const std::string& words) {
  CHECK(not_refused("mpanet-search", arguments, words) == "");
}

}  // namespace

#ifdef MPANET_TEST_SQLITE
#  include "mpanet/search/database.h"

namespace {

std::string index_arguments(const std::string& data, const std::string& index) {
  return "index --checkpoint " + quoted(checkpoint()) + " " + quoted(data) + " --out " + quoted(index) + " --batch 1";
}

std::string update(const std::string& data, const std::string& index) {
  const Result result = run_program("mpanet-search", index_arguments(data, index));
  REQUIRE_MESSAGE(result.code == 0, result.err);
  return result.out;
}

json query(const std::string& index, const std::string& options) {
  const TemporaryFolder folder;
  const Result result = run_program(
      "mpanet-search", "query " + quoted(index) + " " + options + " --batch 1 --json " + quoted(folder / "found.json"));
  REQUIRE_MESSAGE(result.code == 0, result.err);
  return json::parse(read_text(folder / "found.json"));
}

// All pictures, by their distance to the query in double.
struct Embedded {
  std::vector<std::string> paths;
  NpyFloats features;
  double distance(size_t a, size_t b) const {
    double aa = 0, bb = 0, ab = 0;
    const auto d = static_cast<size_t>(features.shape[1]);
    for (size_t i = 0; i < d; i++) {
      const double x = features.values[a * d + i], y = features.values[b * d + i];
      aa += x * x, bb += y * y, ab += x * y;
    }
    return 2 - 2 * ab / std::sqrt(aa * bb);
  }
  size_t index_of(const std::string& path) const {
    return static_cast<size_t>(std::find(paths.begin(), paths.end(), path) - paths.begin());
  }
};
Embedded embedded() {
  const TemporaryFolder folder;
  check_works({PROGRAMS "/mpanet-eval", "--checkpoint", checkpoint(), "--data", data_set(), "--batch", "1",
               "--save-features", folder / "saved"});
  Embedded made;
  std::istringstream lines(read_text(folder / "saved/images.csv"));
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) made.paths.push_back(line.substr(0, line.find(',')));
  made.features = read_npy(folder / "saved/features.npy");
  return made;
}

// A copy of the data set's pictures.
void copy_pictures(const std::string& to) {
  fs::create_directory(to);
  for (const auto& entry : fs::directory_iterator(data_set()))
    if (entry.path().filename() != "exp" && entry.is_directory())
      fs::copy(entry.path(), to + "/" + entry.path().filename().string(), fs::copy_options::recursive);
}

size_t count_pictures(const std::string& folder) {
  size_t count = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) count += entry.path().extension() == ".jpg";
  return count;
}

}  // namespace

TEST_CASE("the nearest pictures are those of mpanet-eval's embeddings" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  const std::string data = folder / "data", index = folder / "index", sheet = folder / "sheet.png";
  copy_pictures(data);
  const size_t pictures = count_pictures(data);
  CHECK(has(update(data, index), fmt::format("{} pictures, {} embedded, 0 removed", pictures, pictures)));
  const Embedded all = embedded();
  const std::string first = all.paths[0], second = all.paths[7];
  const Result said = run_program("mpanet-search", "query " + quoted(index) + " " + quoted(data + "/" + first));
  CHECK_MESSAGE(has(said.err, "the checkpoint has no calibration, so that the distances stand for no probability\n"),
                said.err);
  CHECK(!has(said.out, "  P "));
  const json found = query(index, quoted(data + "/" + first) + " " + quoted(data + "/" + second) + " --top 1000" +
                                      (png_supported() ? " --sheet " + quoted(sheet) : ""));
  CHECK(found["folder"] == fs::canonical(data).string());
  REQUIRE(found["queries"].size() == 2);
  for (size_t q = 0; q < 2; q++) {
    const json& matches = found["queries"][q]["matches"];
    const size_t own = all.index_of(q == 0 ? first : second);
    CHECK(matches.size() == pictures);
    CHECK(matches[0]["path"] == all.paths[own]);
    CHECK(matches[0]["distance"] < 1e-6);
    double before = 0;
    size_t compared = 0;
    for (const json& match : matches) {
      CHECK(match["distance"] >= before);
      before = match["distance"];
      const size_t other = all.index_of(match["path"]);
      if (other == all.paths.size()) continue;  // a training picture
      compared++;
      // Unit vectors rounded to float32, and float32 sums of products below 1.
      CHECK(std::abs(before - all.distance(own, other)) < 1e-5);
      CHECK(match["camera"] == std::stoi(match["path"].get<std::string>().substr(3)));
      CHECK(match["probability"].is_null());
    }
    CHECK(compared == all.paths.size());
  }
  if (png_supported()) {  // the query and the first twenty
    CHECK(decode_image(sheet).width > 21 * 48);
    CHECK(decode_image(sheet).width < 27 * 48);
  }
  SUBCASE("one camera, a number of pictures") {
    const json some = query(index, quoted(data + "/" + first) + " --camera 3 --top 4");
    const json& matches = some["queries"][0]["matches"];
    CHECK(matches.size() == 4);
    size_t at = 0;  // the first four of camera 3 in the whole list
    for (const json& match : found["queries"][0]["matches"])
      if (match["camera"] == 3 && at < 4) CHECK(match == matches[at++]);
    CHECK(query(index, quoted(data + "/" + first) + " --camera 77")["queries"][0]["matches"].empty());
  }
  SUBCASE("new, changed and vanished pictures") {
    const std::string changed = data + "/" + second;
    fs::copy_file(data + "/" + first, changed, fs::copy_options::overwrite_existing);
    const timespec times[2] = {{2000000000, 0}, {2000000000, 0}};  // 2033-05-18
    REQUIRE(utimensat(AT_FDCWD, changed.c_str(), times, 0) == 0);
    fs::copy_file(data + "/" + first, data + "/another.jpg");
    fs::remove(data + "/" + all.paths[9]);
    CHECK(has(update(data, index), fmt::format("{} pictures, 2 embedded, 1 removed", pictures)));
    const json now = query(index, quoted(data + "/" + first) + " --top 1000")["queries"][0]["matches"];
    CHECK(now.size() == pictures);
    std::set<std::string> nearest;
    for (size_t i = 0; i < 3; i++) {
      nearest.insert(now[i]["path"]);
      CHECK(now[i]["distance"] == now[0]["distance"]);
    }
    CHECK(nearest == std::set<std::string>{"another.jpg", first, second});
    CHECK(now[0]["path"] == *nearest.begin());  // equal distances by path
    for (const json& match : now) CHECK(match["path"] != all.paths[9]);
    const json late =
        query(index, quoted(data + "/" + first) + " --since 2033-05-18T03:33:20")["queries"][0]["matches"];
    REQUIRE(late.size() == 1);
    CHECK(late[0]["time"] == "2033-05-18T03:33:20");
  }
}

TEST_CASE("a program that is killed or stopped" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  const std::string data = folder / "data", index = folder / "index", whole = folder / "whole";
  copy_pictures(data);
  for (int copy = 0; copy < 12; copy++) {  // more pictures, so that a kill meets the work
    fs::create_directory(fmt::format("{}/more{}", data, copy));
    fs::copy(data + "/cam1", fmt::format("{}/more{}/cam1", data, copy), fs::copy_options::recursive);
  }
  update(data, whole);
  const std::string picture = quoted(fs::recursive_directory_iterator(data + "/cam1/0001")->path().string());
  const json expected = query(whole, picture + " --top 1000");
  for (const int signal : {SIGKILL, SIGKILL, SIGKILL, SIGTERM}) {
    Process process(
        {PROGRAMS "/mpanet-search", "index", "--checkpoint", checkpoint(), data, "--out", index, "--batch", "1"});
    usleep(150000);
    process.send(signal);
    const int code = process.wait();
    CHECK((code == 0 || code == 128 + signal));
  }
  update(data, index);
  CHECK(query(index, picture + " --top 1000") == expected);
}

TEST_CASE("input that is refused" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  const std::string data = folder / "data", index = folder / "index";
  fs::create_directory(data);
  const std::string picture = fs::recursive_directory_iterator(data_set() + "/cam1/0001")->path().string();
  fs::copy_file(picture, data + "/a.jpg");
  check_search_refused("", "");
  check_search_refused("index " + quoted(data) + " --out " + quoted(index), "--checkpoint is needed");
  check_search_refused("index " + quoted(data) + " --checkpoint " + quoted(checkpoint()), "--out is needed");
  check_search_refused(
      "index " + quoted(folder / "none") + " --out " + quoted(index) + " --checkpoint " + quoted(checkpoint()),
      "none: expected a folder of pictures, got none");
  CHECK(!fs::exists(index));
  update(data, index);
  const std::string query_arguments = "query " + quoted(index) + " ";
  check_search_refused(query_arguments, "PICTURE");
  check_search_refused(query_arguments + quoted(picture) + " --top 0", "--top: expected a whole number in 1..1000");
  check_search_refused(query_arguments + quoted(picture) + " --since yesterday", "--since: expected a time in UTC");
  check_search_refused("query " + quoted(folder / "none") + " " + quoted(picture),
                       "expected an index of mpanet-search");
  const auto fails = [&](const std::string& arguments, const std::string& words) {  // after lines about the network
    const Result result = run_program("mpanet-search", arguments);
    CHECK(result.code == 2);
    CHECK(result.out == "");
    CHECK_MESSAGE(has(result.err, words), result.err);
  };
  fails(query_arguments + quoted(folder / "none.jpg"), "none.jpg");
  for (const std::string& file : {checkpoint(), checkpoint() + ".calibration.json", index + "/features-0.f32",
                                  index + "/index.sqlite", index + "/lock", data + "/a.jpg", picture}) {
    CAPTURE(file);
    if (!fs::exists(file)) write_file(file, "");
    const std::string before = read_text(file);
    fails(query_arguments + quoted(picture) + " --json " + quoted(file), "cannot write: it is ");
    fails(query_arguments + quoted(picture) + " --sheet " + quoted(file), "cannot write: it is ");
    CHECK(read_text(file) == before);
    if (before.empty() && file.ends_with(".calibration.json")) fs::remove(file);
  }
  const std::string moved = folder / "moved.safetensors";
  fs::copy_file(checkpoint(), moved);
  fs::rename(checkpoint(), checkpoint() + ".away");
  fails(query_arguments + quoted(picture), "best.safetensors");
  CHECK(run_program("mpanet-search", query_arguments + quoted(picture) + " --checkpoint " + quoted(moved)).code == 0);
  fs::rename(checkpoint() + ".away", checkpoint());
  fails(query_arguments + quoted(picture) + " --checkpoint " + quoted(trained() + "/last.safetensors"),
        "expected the weights of the index");
  const auto set_dimension = [&](const std::string& numbers) {
    Database(index + "/index.sqlite", Database::Open::Write)
        .execute(("UPDATE about SET value = " + numbers + " WHERE key = 'dimension'").c_str());
  };
  const std::string numbers = std::to_string(fs::file_size(index + "/features-0.f32") / sizeof(float));
  set_dimension("7");
  fails(query_arguments + quoted(picture),
        "expected embeddings of " + numbers + " numbers, got 7: the index is damaged");
  set_dimension(numbers);
  write_file(data + "/b.jpg", "no picture");
  fails(index_arguments(data, index), "b.jpg");
  CHECK(query(index, quoted(picture))["queries"][0]["matches"].size() == 1);  // what was there stays
}

#else

TEST_CASE("a build without SQLite says so") {
  check_search_refused("index pictures --out index", "this build has no SQLite (MPANET_SQLITE");
}

#endif
