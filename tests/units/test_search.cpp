// The index of mpanet-search: exact products, updates, and what a kill at any moment leaves.
#include <doctest/doctest.h>

#ifdef MPANET_TEST_SQLITE
#  include <sys/stat.h>
#  include <sys/wait.h>
#  include <unistd.h>

#  include <algorithm>
#  include <cmath>
#  include <csignal>
#  include <cstring>
#  include <filesystem>
#  include <map>
#  include <numeric>

#  include "core/base/file.h"
#  include "core/base/random.h"
#  include "mpanet/search/database.h"
#  include "mpanet/search/nearest_pictures.h"
#  include "mpanet/search/nearest_rows.h"
#  include "mpanet/search/search_index.h"
#  include "mpanet/search/times.h"
#  include "tests/support/temporary_folder.h"
#  include "tests/support/text.h"

using namespace mpanet;
namespace fs = std::filesystem;

namespace {

constexpr int kDimension = 5;

IndexAbout about() { return {"/pictures", "/best.safetensors", "aa", 64, 32, kDimension, false}; }

// Picture number i in its n-th version; its row is a function of both.
IndexedPicture picture(int i, int64_t version) {
  return {fmt::format("cam{}/{:05}.jpg", i % 3, i), i % 3, 1000 + version, 10, version};
}
std::vector<float> row_of(const IndexedPicture& p) {
  std::vector<float> row;
  for (int d = 0; d < kDimension; d++)
    row.push_back(static_cast<float>(std::hash<std::string>{}(p.path) % 1000) + static_cast<float>(p.change * 7 + d));
  return row;
}

std::vector<IndexedPicture> pictures(int count, int64_t version, int step = 1) {
  std::vector<IndexedPicture> all;
  for (int i = 0; i < count; i += step) all.push_back(picture(i, version));
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return all;
}

void add(IndexWriter& index, const std::vector<IndexedPicture>& all, size_t batch = 64) {
  for (size_t first = 0; first < all.size(); first += batch) {
    const std::vector<IndexedPicture> part(all.begin() + static_cast<ptrdiff_t>(first),
                                           all.begin() + static_cast<ptrdiff_t>(std::min(all.size(), first + batch)));
    std::vector<float> rows;
    for (const IndexedPicture& p : part)
      for (const float value : row_of(p)) rows.push_back(value);
    index.add(part, rows.data());
  }
}

// All pictures of the index, whose rows must be theirs.
std::vector<IndexedPicture> content(IndexReader& index) {
  std::vector<IndexedPicture> found;
  for (const uint32_t row : index.rows(0, {})) {
    found.push_back(index.picture(row));
    const float* values = index.table() + static_cast<size_t>(row) * kDimension;
    CHECK(std::vector<float>(values, values + kDimension) == row_of(found.back()));
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return found;
}
std::vector<IndexedPicture> content(const std::string& path) {
  IndexReader index(path);
  return content(index);
}

// Brings the index to this state as mpanet-search does.
void bring(const std::string& path, const std::vector<IndexedPicture>& now) {
  IndexWriter index(path, about());
  add(index, index.update(now));
  CHECK(index.finish() == now.size());
}

}  // namespace

TEST_CASE("products of rows in a file, and the largest of them") {
  constexpr int kCount = 1500, kWidth = 70, kQueries = 3;  // several blocks; no multiple of the lanes
  Random random(1, Purpose::Test, 0, 0);
  std::vector<float> table(kCount * kWidth), queries(kQueries * kWidth);
  for (auto* numbers : {&table, &queries})
    for (float& value : *numbers) value = static_cast<float>(random.normal());
  std::fill_n(table.begin() + 20 * kWidth, kWidth, 0.0f);
  std::copy_n(table.begin(), kWidth, table.begin() + 1400 * kWidth);  // equal rows
  for (int i = 0; i < kCount; i++) normalize_row(table.data() + i * kWidth, kWidth);
  for (int q = 0; q < kQueries; q++) normalize_row(queries.data() + q * kWidth, kWidth);
  std::vector<uint32_t> rows(kCount - 1);
  std::iota(rows.begin(), rows.end(), 0);
  std::rotate(rows.begin(), rows.begin() + 700, rows.end());
  std::vector<float> out(kQueries * rows.size()), again(out.size());
  multiply_rows(queries, table.data(), rows, kWidth, 2, out.data());
  multiply_rows(queries, table.data(), rows, kWidth, 1, again.data());
  CHECK(out == again);
  double largest = 0;
  for (size_t q = 0; q < kQueries; q++)
    for (size_t i = 0; i < rows.size(); i++) {
      double exact = 0;
      for (int d = 0; d < kWidth; d++)
        exact += static_cast<double>(queries[q * kWidth + d]) * table[rows[i] * kWidth + static_cast<size_t>(d)];
      if (rows[i] == 20) exact = 0.5;  // zeros
      largest = std::max(largest, std::abs(out[q * rows.size() + i] - exact));
    }
  CHECK(largest < 1e-6);  // 70 products of numbers below 1 in float32, whose sum is below 1
  const auto at = [&](uint32_t row) {
    return out[static_cast<size_t>(std::find(rows.begin(), rows.end(), row) - rows.begin())];
  };
  CHECK(at(0) == at(1400));

  const std::vector<float> products = {0.1f, 0.9f, 0.5f, 0.9f, 0.5f, -1};
  using Indices = std::vector<uint32_t>;
  CHECK(largest_products(products, 1) == Indices{1, 3});  // with all that equal the last
  CHECK(largest_products(products, 3) == Indices{1, 3, 2, 4});
  CHECK(largest_products(products, 9) == Indices{1, 3, 2, 4, 0, 5});
  CHECK(largest_products({}, 3).empty());
}

TEST_CASE("cameras of paths, and times") {
  CHECK(camera_of("cam3/0002/0001.jpg") == 3);
  CHECK(camera_of("Camera_12/a.jpg") == 12);
  CHECK(camera_of("cam03/a.jpg") == 3);
  CHECK(camera_of("query/0002_c6s1_000451_03.jpg") == 6);
  CHECK(camera_of("cameras/campus1/a.jpg") == 0);
  CHECK(camera_of("cam3b/a_cat.jpg") == 0);
  CHECK(camera_of("a.jpg") == 0);
  CHECK(parse_time("1970-01-02") == 86400);
  CHECK(parse_time("2026-11-26T18:30") == 1795717800);  // date -u -d 2026-11-26T18:30 +%s
  CHECK(parse_time("2026-11-26T18:30:05") == 1795717805);
  CHECK(time_text(1795717805) == "2026-11-26T18:30:05");
  for (const char* wrong :
       {"", "2026", "2026-02-30", "2026-11-26 18:30", "2026-11-26T18", "26.11.2026", "2026-11-26T18:30:05Z"})
    CHECK_MESSAGE(!parse_time(wrong), wrong);
}

TEST_CASE("a folder of pictures that cannot be read is named") {
  const TemporaryFolder folder;
  fs::create_directories(folder / "a/closed");
  fs::create_directory(folder / "a/.hidden");
  write_file(folder / "a/closed/1.jpg", "");
  fs::permissions(folder.path(), fs::perms::owner_all | fs::perms::others_read | fs::perms::others_exec);
  for (const char* closed : {"a/closed", "a/.hidden"}) fs::permissions(folder / closed, fs::perms::none);
  fs::create_directory_symlink("/none", folder / "a/link");
  const pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(2);  // root may read everything
    if (access((folder / "a").c_str(), R_OK | X_OK) != 0) _exit(0);  // the temporary folder is not for other users
    const std::string text = error_of([&] { find_pictures(folder / "a"); });
    _exit(text == folder / "a/closed" + ": cannot read the folder: Permission denied" ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(status == 0);
  for (const char* closed : {"a/closed", "a/.hidden"}) fs::permissions(folder / closed, fs::perms::owner_all);
  CHECK(find_pictures(folder / "a").size() == 1);
}

TEST_CASE("new, changed and vanished pictures") {
  const TemporaryFolder folder;
  const std::string path = folder / "a/index";
  std::vector<IndexedPicture> now = pictures(200, 1);
  bring(path, now);
  CHECK(content(path) == now);
  {
    IndexWriter index(path, about());
    CHECK(index.update(now).empty());
    CHECK(index.removed() == 0);
  }
  now.erase(now.begin() + 10, now.begin() + 30);
  now[5] = {now[5].path, now[5].camera, 2000, 10, 2};  // before the place of the new one
  const IndexedPicture another = picture(300, 1);
  now.insert(now.begin() + 60, another);
  std::sort(now.begin(), now.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  {
    IndexWriter index(path, about());
    const std::vector<IndexedPicture> fresh = index.update(now);
    CHECK(fresh == std::vector<IndexedPicture>{now[5], another});
    CHECK(index.removed() == 20);
    add(index, fresh);
  }
  CHECK(content(path) == now);
  {
    IndexReader index(path);
    CHECK(index.about() == about());
    for (const uint32_t row : index.rows(2, {})) CHECK(index.picture(row).camera == 2);
    CHECK(index.rows(2, {}).size() + index.rows(1, {}).size() < now.size());
    CHECK(index.rows(0, 1500).size() == 1);
    CHECK(index.rows(7, {}).empty());
  }
  bring(path, {});
  CHECK(content(path).empty());
}

TEST_CASE("rows of no picture are removed") {
  const TemporaryFolder folder;
  const std::string path = folder / "index";
  bring(path, pictures(6000, 1));
  const std::vector<IndexedPicture> half = pictures(6000, 1, 3);
  bring(path, half);
  CHECK(names_in(path) == std::set<std::string>{"features-1.f32", "index.sqlite", "lock"});
  CHECK(fs::file_size(path + "/features-1.f32") == half.size() * kDimension * sizeof(float));
  CHECK(content(path) == half);
  bring(path, pictures(6000, 2, 3));
  CHECK(content(path) == pictures(6000, 2, 3));
}

TEST_CASE("what a killed program leaves") {
  const TemporaryFolder folder;
  const std::string path = folder / "index";
  SUBCASE("rows that no transaction names") {
    bring(path, pictures(10, 1));
    const std::string features = path + "/features-0.f32", rows = read_text(features);
    write_file(features, rows + "half a row");
    write_file(path + "/features-7.f32", "of a compaction");
    bring(path, pictures(10, 1));
    CHECK(read_text(features) == rows);
    CHECK(!fs::exists(path + "/features-7.f32"));
  }
  SUBCASE("a database without tables") {
    fs::create_directory(path);
    write_file(path + "/lock", "");
    write_file(path + "/index.sqlite", "");
    CHECK(has(error_of([&] { IndexReader index(path); }), "a database that is none yet"));
    bring(path, pictures(10, 1));
    CHECK(content(path) == pictures(10, 1));
  }
  SUBCASE("kill -9 at any moment") {
    // Each child changes the index from one state to the next, with compactions; it is killed earlier or later.
    Random random(1, Purpose::Test, 0, 0);
    constexpr int kPictures = 6000;
    bring(path, pictures(kPictures, 1));
    int killed = 0;
    for (int64_t version = 2; version < 26; version++) {
      const std::vector<IndexedPicture> now = pictures(kPictures, version, version % 2 == 0 ? 4 : 1);
      const pid_t child = fork();
      if (child == 0) {
        IndexWriter index(path, about());
        add(index, index.update(now), 500);
        index.finish();
        _exit(0);
      }
      usleep(random.below(120000));
      kill(child, SIGKILL);
      int status = 0;
      waitpid(child, &status, 0);
      killed += WIFSIGNALED(status);
      // Every picture has the row of the version that the database names: an old or a new one.
      for (const IndexedPicture& p : content(path)) {
        const bool known = p.change >= 1 && p.change <= version;
        if (!known) FAIL("version " << p.change);
      }
      if (version % 4 == 3) {
        bring(path, now);
        CHECK(content(path) == now);
      }
    }
    CHECK(killed > 5);
    bring(path, pictures(kPictures, 1, 2));
    CHECK(content(path) == pictures(kPictures, 1, 2));
  }
}

TEST_CASE("an index with wrong numbers is refused, whoever opens it") {
  const TemporaryFolder folder;
  const std::string path = folder / "index", database = path + "/index.sqlite", features = path + "/features-0.f32";
  bring(path, pictures(10, 1));
  const auto refused_with = [&](const char* sql) {
    Database(database, Database::Open::Write).execute(sql);
    const std::string read = error_of([&] { IndexReader index(path); });
    CHECK_MESSAGE(has(read, "the index is damaged"), sql << ": " << read);
    const std::string written = error_of([&] { IndexWriter index(path, about()); });
    CHECK_MESSAGE(has(written, "the index is damaged"), sql << ": " << written);
    CHECK(fs::file_size(features) == 10 * kDimension * sizeof(float));  // no row is cut off
  };
  SUBCASE("a row beyond the table") { refused_with("UPDATE pictures SET row = 1000000 WHERE row = 4"); }
  SUBCASE("a row before the table") { refused_with("UPDATE pictures SET row = -1 WHERE row = 4"); }
  SUBCASE("fewer rows than pictures have") { refused_with("UPDATE about SET value = 5 WHERE key = 'rows'"); }
  SUBCASE("a negative number of rows") { refused_with("UPDATE about SET value = -1 WHERE key = 'rows'"); }
  SUBCASE("more bytes than 64 bits count") {
    refused_with("UPDATE about SET value = 4611686018427387904 WHERE key = 'rows'");
  }
  SUBCASE("embeddings without numbers") { refused_with("UPDATE about SET value = 0 WHERE key = 'dimension'"); }
  SUBCASE("pictures larger than any") { refused_with("UPDATE about SET value = 99999 WHERE key = 'height'"); }
  SUBCASE("a pipe in the place of the rows") {
    fs::remove(features);
    REQUIRE(mkfifo(features.c_str(), 0600) == 0);
    CHECK(has(error_of([&] { IndexReader index(path); }), "the index is damaged"));
  }
  SUBCASE("rows that are no unit vectors") {
    std::vector<float> query(kDimension);
    query[0] = 1;
    for (const float wrong : {std::nanf(""), INFINITY, 7.0f}) {
      std::string bytes(10 * kDimension * sizeof(float), '\0');
      std::memcpy(bytes.data() + 3 * kDimension * sizeof(float), &wrong, sizeof wrong);
      write_file(features, bytes);
      IndexReader index(path);
      const std::string text = error_of([&] { nearest_pictures(index, query, {}, 1); });
      CHECK_MESSAGE(has(text, "features-0.f32: row 3 is no embedding: the index is damaged"), text);
    }
  }
}

TEST_CASE("indexes that are refused") {
  const TemporaryFolder folder;
  const std::string path = folder / "index";
  const auto refused = [&](const IndexAbout& other, const std::string& words) {
    const std::string text = error_of([&] { IndexWriter index(path, other); });
    CHECK_MESSAGE(has(text, words), text);
  };
  bring(path, pictures(10, 1));
  IndexAbout other = about();
  other.sha256 = "bb";
  refused(other, "whose SHA-256 is bb, got one by other weights, aa");
  other = about(), other.folder = "/elsewhere";
  refused(other, "expected the index of \"/elsewhere\", got that of \"/pictures\"");
  other = about(), other.width = 48;
  refused(other, "expected an index of pictures of 64x48, flip averaging off, got one of 64x32, off");
  {
    IndexWriter writer(path, about());
    refused(about(), "another program changes this index now");
    CHECK(content(path).size() == 10);  // readers go on
  }
  fs::resize_file(path + "/features-0.f32", 10);
  refused(about(), "features-0.f32: expected 10 rows: the index is damaged");
  CHECK(has(error_of([&] { IndexReader index(path); }), "the index is damaged"));
  CHECK(has(error_of([&] { IndexReader index(folder / "none"); }), "expected an index of mpanet-search, got none"));
  write_file(path + "/index.sqlite", std::string(4096, 'x'));
  refused(about(), "index.sqlite: file is not a database");
  write_file(path + "/notes.txt", "");
  refused(about(), "expected an index or an empty folder, got one with \"notes.txt\"");
}

#endif
