// A thin layer over SQLite (https://sqlite.org/c3ref/intro.html): a connection, and a prepared statement. Every error
// is a UserError with the file's path.
#pragma once
#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>

namespace mpanet {

class Database {
 public:
  enum class Open { Read, Write };  // Write makes a missing file
  Database(const std::string& path, Open mode);

  void execute(const char* sql);
  const std::string& path() const { return path_; }

 private:
  friend class Statement;
  struct Close {
    void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
  };
  [[noreturn]] void refuse() const;
  std::string path_;
  std::unique_ptr<sqlite3, Close> connection_;
};

// Parameters and columns count from 0.
class Statement {
 public:
  Statement(Database& database, const char* sql);
  Statement& bind(int parameter, int64_t value);
  Statement& bind(int parameter, const std::string& value);
  bool step();  // false: no further row
  void run();   // a statement without rows; it can be bound and run again
  void reset();
  int64_t integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  std::string text(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  Database& database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// BEGIN to COMMIT; ROLLBACK without commit().
class Transaction {
 public:
  // A writer's is exclusive from the start.
  Transaction(Database& database, Database::Open mode);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

}  // namespace mpanet
