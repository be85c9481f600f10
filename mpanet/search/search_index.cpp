#include "mpanet/search/search_index.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/base/error.h"
#include "core/base/folder.h"

namespace mpanet {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kVersion = 1;
constexpr int64_t kFewRows = 4096;   // an index of fewer rows is not compacted
constexpr size_t kCopiedRows = 256;  // at a time, by a compaction
constexpr const char* kDatabase = "/index.sqlite";
constexpr std::string_view kPrefix = "features-", kSuffix = ".f32";

constexpr const char* kSchema =
    "CREATE TABLE about(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE pictures(path TEXT PRIMARY KEY, row INTEGER NOT NULL, camera INTEGER NOT NULL, time INTEGER NOT NULL,"
    " size INTEGER NOT NULL, change INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX by_row ON pictures(row, camera, time);";

[[noreturn]] void fail_on(const std::string& path, const char* what) {
  fail("{}: cannot {}: {}", path, what, std::strerror(errno));
}

void write_at(int descriptor, const std::string& path, const void* data, size_t bytes, int64_t offset) {
  for (size_t done = 0; done < bytes;) {
    const ssize_t count =
        pwrite(descriptor, static_cast<const char*>(data) + done, bytes - done, offset + static_cast<int64_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail_on(path, "write");
    done += static_cast<size_t>(count);
  }
}

void read_at(int descriptor, const std::string& path, void* data, size_t bytes, int64_t offset) {
  for (size_t done = 0; done < bytes;) {
    const ssize_t count =
        pread(descriptor, static_cast<char*>(data) + done, bytes - done, offset + static_cast<int64_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_on(path, "read");
    if (count == 0) fail("{}: expected more rows: the index is damaged", path);
    done += static_cast<size_t>(count);
  }
}

std::string features_in(const std::string& path, int64_t generation) {
  return fmt::format("{}/{}{}{}", path, kPrefix, generation, kSuffix);
}

bool is_features(const std::string& name) { return name.starts_with(kPrefix) && name.ends_with(kSuffix); }

// UserError unless the folder has the files of an index alone, or none.
void check_own_files(const std::string& path) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    const std::string name = entry.path().filename().string();
    if (name != "lock" && !name.starts_with("index.sqlite") && !is_features(name))
      fail("{}: expected an index or an empty folder, got one with {}", path, quote(name));
  }
  if (error) fail("{}: expected the folder of an index: {}", path, error.message());
}

IndexAbout read_about(Database& database) {
  IndexAbout about;
  std::map<std::string, std::string> values;
  Statement all(database, "SELECT key, CAST(value AS TEXT) FROM about");
  while (all.step()) values[all.text(0)] = all.text(1);
  const auto text = [&](const char* key) {
    const auto found = values.find(key);
    if (found == values.end()) fail("{}: expected the database of an index, got one without {}", database.path(), key);
    return found->second;
  };
  const auto number = [&](const char* key) { return std::atoi(text(key).c_str()); };
  if (number("version") != kVersion)
    fail("{}: expected an index of version {}, got {}", database.path(), kVersion, text("version"));
  about.folder = text("folder");
  about.checkpoint = text("checkpoint");
  about.sha256 = text("sha256");
  about.height = number("height");
  about.width = number("width");
  about.dimension = number("dimension");
  about.flip = number("flip") == 1;
  constexpr int kLargest = 9999;  // of --size
  if (about.dimension < 1 || about.height < 1 || about.height > kLargest || about.width < 1 || about.width > kLargest)
    fail("{}: got {} numbers of pictures of {}x{}: the index is damaged", database.path(), about.dimension,
         about.height, about.width);
  return about;
}

int64_t about_number(Database& database, const char* key) {
  Statement statement(database, "SELECT value FROM about WHERE key = ?");
  statement.bind(0, std::string(key));
  if (!statement.step()) fail("{}: expected the database of an index, got one without {}", database.path(), key);
  return statement.integer(0);
}

// Rows that the transactions have added. UserError when a picture has another.
int64_t row_count(Database& database) {
  const int64_t rows = about_number(database, "rows");
  // Each from the index by_row; both as aggregates of one SELECT would read it from end to end.
  Statement statement(database,
                      "SELECT (SELECT coalesce(min(row), 0) FROM pictures),"
                      " (SELECT coalesce(max(row), -1) FROM pictures)");
  statement.step();
  for (const int64_t row : {statement.integer(0), statement.integer(1) + 1})
    if (row < 0 || row > rows) fail("{}: expected {} rows at most: the index is damaged", database.path(), rows);
  return rows;
}

bool has_tables(Database& database) {
  Statement statement(database, "SELECT count(*) FROM sqlite_master WHERE name = 'about'");
  return statement.step() && statement.integer(0) == 1;
}

}  // namespace

std::string IndexWriter::features_path(int64_t generation) const { return features_in(path_, generation); }

int64_t IndexWriter::value(const char* key) { return about_number(*database_, key); }

void IndexWriter::set_value(const char* key, int64_t value) {
  Statement(*database_, "UPDATE about SET value = ? WHERE key = ?").bind(0, value).bind(1, std::string(key)).run();
}

IndexWriter::IndexWriter(const std::string& path, const IndexAbout& about) : path_(path), dimension_(about.dimension) {
  MadeFiles made;
  made.make_folders(path);
  check_own_files(path);
  const std::string lock = path + "/lock";
  lock_ = Descriptor(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!lock_) fail_on(lock, "open");
  if (flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) fail("{}: another program changes this index now", path);
    fail_on(lock, "lock");
  }
  database_ = std::make_unique<Database>(path + kDatabase, Database::Open::Write);
  database_->execute("PRAGMA synchronous = FULL");
  if (!has_tables(*database_)) make(about);
  made.keep();
  open(about);
}

void IndexWriter::make(const IndexAbout& about) {
  Transaction transaction(*database_, Database::Open::Write);
  database_->execute(kSchema);
  Statement insert(*database_, "INSERT INTO about VALUES(?, ?)");
  const auto put = [&](const char* key, const auto& value) { insert.bind(0, std::string(key)).bind(1, value).run(); };
  put("version", kVersion);
  put("folder", about.folder);
  put("checkpoint", about.checkpoint);
  put("sha256", about.sha256);
  for (const auto& [key, number] : {std::pair("height", about.height),
                                    {"width", about.width},
                                    {"dimension", about.dimension},
                                    {"flip", about.flip ? 1 : 0}})
    put(key, int64_t{number});
  put("generation", int64_t{0});
  put("rows", int64_t{0});
  transaction.commit();
}

// Compares what the index was made of, and removes what a killed program left.
void IndexWriter::open(const IndexAbout& about) {
  const IndexAbout own = read_about(*database_);
  if (own.folder != about.folder)
    fail("{}: expected the index of {}, got that of {}", path_, quote(about.folder), quote(own.folder));
  if (own.sha256 != about.sha256)
    fail("{}: expected an index by {}, whose SHA-256 is {}, got one by other weights, {}", path_,
         quote(about.checkpoint), about.sha256, own.sha256);
  if (own.height != about.height || own.width != about.width || own.flip != about.flip)
    fail("{}: expected an index of pictures of {}x{}, flip averaging {}, got one of {}x{}, {}", path_, about.height,
         about.width, about.flip ? "on" : "off", own.height, own.width, own.flip ? "on" : "off");
  if (own.dimension != about.dimension)
    fail("{}: expected embeddings of {} numbers, got {}", path_, about.dimension, own.dimension);
  if (own.checkpoint != about.checkpoint)
    Statement(*database_, "UPDATE about SET value = ? WHERE key = 'checkpoint'").bind(0, about.checkpoint).run();
  generation_ = value("generation");
  rows_ = row_count(*database_);
  const std::string features = features_path(generation_), keep = fs::path(features).filename().string();
  for (const auto& entry : fs::directory_iterator(path_))
    if (const std::string name = entry.path().filename().string(); is_features(name) && name != keep)
      fs::remove(entry.path());
  features_ = Descriptor(::open(features.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!features_) fail_on(features, "open");
  const int64_t row_bytes = dimension_ * static_cast<int64_t>(sizeof(float));
  struct stat status {};
  if (fstat(features_.get(), &status) != 0) fail_on(features, "read");
  if (status.st_size / row_bytes < rows_) fail("{}: expected {} rows: the index is damaged", features, rows_);
  const int64_t bytes = rows_ * row_bytes;
  if (status.st_size > bytes && ftruncate(features_.get(), bytes) != 0) fail_on(features, "truncate");
}

std::vector<IndexedPicture> IndexWriter::update(const std::vector<IndexedPicture>& now) {
  std::map<std::string, std::pair<int64_t, int64_t>> known;  // path: size and change
  Statement all(*database_, "SELECT path, size, change FROM pictures");
  while (all.step()) known[all.text(0)] = {all.integer(1), all.integer(2)};
  all.reset();
  std::vector<IndexedPicture> fresh;
  for (const IndexedPicture& picture : now) {
    const auto found = known.find(picture.path);
    if (found == known.end() || found->second != std::pair(picture.size, picture.change)) fresh.push_back(picture);
    if (found != known.end()) known.erase(found);
  }
  removed_ = known.size();
  if (known.empty()) return fresh;
  Transaction transaction(*database_, Database::Open::Write);
  Statement remove(*database_, "DELETE FROM pictures WHERE path = ?");
  for (const auto& entry : known) remove.bind(0, entry.first).run();
  transaction.commit();
  return fresh;
}

void IndexWriter::add(const std::vector<IndexedPicture>& pictures, const float* rows) {
  const int64_t row_bytes = dimension_ * static_cast<int64_t>(sizeof(float));
  const std::string features = features_path(generation_);
  write_at(features_.get(), features, rows, pictures.size() * static_cast<size_t>(row_bytes), rows_ * row_bytes);
  if (fdatasync(features_.get()) != 0) fail_on(features, "write");
  Transaction transaction(*database_, Database::Open::Write);
  Statement insert(*database_, "INSERT OR REPLACE INTO pictures VALUES(?, ?, ?, ?, ?, ?)");
  int64_t row = rows_;
  for (const IndexedPicture& p : pictures)
    insert.bind(0, p.path)
        .bind(1, row++)
        .bind(2, int64_t{p.camera})
        .bind(3, p.time)
        .bind(4, p.size)
        .bind(5, p.change)
        .run();
  set_value("rows", row);
  transaction.commit();
  rows_ = row;
}

size_t IndexWriter::finish() {
  Statement count(*database_, "SELECT count(*) FROM pictures");
  count.step();
  const int64_t pictures = count.integer(0);
  count.reset();
  if (rows_ >= kFewRows && rows_ > 2 * pictures) compact(pictures);
  return static_cast<size_t>(pictures);
}

// Writes the rows of all pictures, in their order, to a new file, syncs it, and then renumbers them in one transaction.
void IndexWriter::compact(int64_t pictures) {
  const auto row_bytes = static_cast<size_t>(dimension_) * sizeof(float);
  const std::string from = features_path(generation_), to = features_path(generation_ + 1);
  Descriptor next(::open(to.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!next) fail_on(to, "open");
  Transaction transaction(*database_, Database::Open::Write);
  Statement all(*database_, "SELECT row, path FROM pictures ORDER BY row");
  std::vector<std::string> paths;
  std::vector<char> block;
  const auto flush = [&] {
    const auto first = static_cast<int64_t>(paths.size() * row_bytes - block.size());
    write_at(next.get(), to, block.data(), block.size(), first);
    block.clear();
  };
  while (all.step()) {
    block.resize(block.size() + row_bytes);
    read_at(features_.get(), from, block.data() + block.size() - row_bytes, row_bytes,
            all.integer(0) * static_cast<int64_t>(row_bytes));
    paths.push_back(all.text(1));
    if (paths.size() % kCopiedRows == 0) flush();
  }
  flush();
  all.reset();
  if (fsync(next.get()) != 0) fail_on(to, "write");
  // By negative numbers, so that no row has the number of another in between.
  database_->execute("UPDATE pictures SET row = -1 - row");
  Statement renumber(*database_, "UPDATE pictures SET row = ? WHERE path = ?");
  for (size_t row = 0; row < paths.size(); row++) renumber.bind(0, static_cast<int64_t>(row)).bind(1, paths[row]).run();
  set_value("generation", generation_ + 1);
  set_value("rows", pictures);
  transaction.commit();
  generation_++;
  rows_ = pictures;
  features_ = std::move(next);
  std::error_code ignored;
  fs::remove(from, ignored);
}

IndexReader::IndexReader(const std::string& path) {
  std::error_code error;
  if (!path_exists(path + kDatabase)) fail("{}: expected an index of mpanet-search, got none", path);
  database_ = std::make_unique<Database>(path + kDatabase, Database::Open::Read);
  // The first statement of a transaction takes the snapshot. A compaction may remove the file of an older one before it
  // is opened; then there is a newer snapshot.
  for (int attempt = 0;; attempt++) {
    snapshot_ = std::make_unique<Transaction>(*database_, Database::Open::Read);
    if (!has_tables(*database_)) fail("{}: expected an index, got a database that is none yet", path);
    about_ = read_about(*database_);
    rows_ = row_count(*database_);
    path_ = features_in(path, about_number(*database_, "generation"));
    if (fs::exists(path_, error) || attempt == 3) break;
    snapshot_.reset();
  }
  map();
}

IndexReader::~IndexReader() {
  if (mapped_ != nullptr) munmap(mapped_, bytes_);
}

void IndexReader::map() {
  const Descriptor file(::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));  // a pipe would wait
  if (!file) fail_on(path_, "open");
  const size_t row_bytes = static_cast<size_t>(about_.dimension) * sizeof(float);
  struct stat status {};
  if (fstat(file.get(), &status) != 0) fail_on(path_, "read");
  if (static_cast<size_t>(status.st_size) / row_bytes < static_cast<size_t>(rows_))
    fail("{}: expected {} rows: the index is damaged", path_, rows_);
  bytes_ = static_cast<size_t>(rows_) * row_bytes;
  if (bytes_ == 0) return;
  void* const mapped = mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (mapped == MAP_FAILED) fail_on(path_, "map");
  mapped_ = mapped;
  madvise(mapped_, bytes_, MADV_SEQUENTIAL);
}

std::vector<uint32_t> IndexReader::rows(int camera, std::optional<int64_t> since) {
  std::string sql = "SELECT row FROM pictures WHERE 1";
  if (camera > 0) sql += " AND camera = " + std::to_string(camera);
  if (since) sql += " AND time >= " + std::to_string(*since);
  Statement statement(*database_, (sql + " ORDER BY row").c_str());
  std::vector<uint32_t> rows;
  while (statement.step()) rows.push_back(static_cast<uint32_t>(statement.integer(0)));
  return rows;
}

IndexedPicture IndexReader::picture(uint32_t row) {
  if (!lookup_)
    lookup_ =
        std::make_unique<Statement>(*database_, "SELECT path, camera, time, size, change FROM pictures WHERE row = ?");
  lookup_->bind(0, int64_t{row});
  if (!lookup_->step()) fail("{}: expected a picture with row {}: the index is damaged", database_->path(), row);
  IndexedPicture picture{lookup_->text(0), static_cast<int>(lookup_->integer(1)), lookup_->integer(2),
                         lookup_->integer(3), lookup_->integer(4)};
  lookup_->reset();
  return picture;
}

}  // namespace mpanet
