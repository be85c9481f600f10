// An index of pictures on disk: a folder with
//
//   index.sqlite      what it was made of (table about), and per picture: path, row, camera, time, size, time of change
//   features-G.f32    the L2-normalised embeddings, (rows, dimension) float32, little endian; G counts the compactions
//   lock              locked while a program changes the index
//
// A kill at any moment loses only pictures that were not added yet. Rows are appended and synced before the transaction
// that names them, and never change afterwards. A reader maps the rows that its snapshot of the database names; a
// program that changes the index waits for the reader's end before it commits. Rows of pictures that changed or
// vanished stay until they are more than the others; then the rest is written to a new file, which replaces the old one
// in a single transaction.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "mpanet/search/database.h"

namespace mpanet {

// What embeddings of an index have in common.
struct IndexAbout {
  std::string folder;      // absolute path of the pictures' folder
  std::string checkpoint;  // absolute path of the checkpoint
  std::string sha256;      // of the checkpoint
  int height = 0, width = 0, dimension = 0;
  bool flip = false;
  bool operator==(const IndexAbout&) const = default;
};

// A picture file below the folder.
struct IndexedPicture {
  std::string path;              // relative, with '/'
  int camera = 0;                // 0: unknown
  int64_t time = 0;              // of the last change of the file, seconds since 1970
  int64_t size = 0, change = 0;  // bytes; time of change in nanoseconds: a file is new when one of them differs
  bool operator==(const IndexedPicture&) const = default;
};

// The pictures below a folder, ascending by path; hidden files and folders and links to folders are left out. The
// camera is the number in a folder named cam3 or camera_3, or in a name with _c3. UserError when a folder cannot be
// read.
std::vector<IndexedPicture> find_pictures(const std::string& folder);
// The camera of a path; 0: unknown.
int camera_of(const std::string& path);

class IndexWriter {
 public:
  // Opens or makes the index. UserError: a folder with other files, an index of other weights or another folder of
  // pictures, one that another program changes now.
  IndexWriter(const std::string& path, const IndexAbout& about);

  // Removes pictures that are not in `now`, and returns those of `now` that are new or have changed.
  std::vector<IndexedPicture> update(const std::vector<IndexedPicture>& now);
  size_t removed() const { return removed_; }  // by update()
  // Adds pictures with their rows, (count, dimension), normalised, in one transaction.
  void add(const std::vector<IndexedPicture>& pictures, const float* rows);
  // Compacts the rows if more than half of them belong to no picture. Returns the number of pictures.
  size_t finish();

 private:
  void open(const IndexAbout& about);
  void make(const IndexAbout& about);
  void compact(int64_t pictures);
  std::string features_path(int64_t generation) const;
  int64_t value(const char* key);
  void set_value(const char* key, int64_t value);

  std::string path_;
  Descriptor lock_, features_;
  std::unique_ptr<Database> database_;
  int dimension_ = 0;
  int64_t generation_ = 0, rows_ = 0;
  size_t removed_ = 0;
};

// A snapshot of an index, to be kept for a short time.
class IndexReader {
 public:
  // Opens an index and maps its rows. UserError for anything else, and for rows that are missing.
  explicit IndexReader(const std::string& path);
  ~IndexReader();
  IndexReader(const IndexReader&) = delete;
  IndexReader& operator=(const IndexReader&) = delete;

  const IndexAbout& about() const { return about_; }
  const std::string& path() const { return path_; }  // of the file of rows
  const float* table() const { return static_cast<const float*>(mapped_); }
  // Rows of the pictures by this camera (0: any) that changed at or after `since`, ascending.
  std::vector<uint32_t> rows(int camera, std::optional<int64_t> since);
  IndexedPicture picture(uint32_t row);

 private:
  void map();
  std::string path_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Transaction> snapshot_;
  std::unique_ptr<Statement> lookup_;
  IndexAbout about_;
  void* mapped_ = nullptr;
  size_t bytes_ = 0;
  int64_t rows_ = 0;
};

}  // namespace mpanet
