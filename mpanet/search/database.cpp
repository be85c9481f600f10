#include "mpanet/search/database.h"

#include "core/base/error.h"

namespace mpanet {
namespace {

constexpr int kWaitMilliseconds = 60000;  // for another program's transaction

}  // namespace

void Database::refuse() const {
  fail("{}: {}", path_, connection_ ? sqlite3_errmsg(connection_.get()) : "out of memory");
}

Database::Database(const std::string& path, Open mode) : path_(path) {
  sqlite3* connection = nullptr;
  // A reader too undoes the transaction of a killed writer. SQLite opens a file that may not be written for reading.
  const int flags = SQLITE_OPEN_READWRITE | (mode == Open::Write ? SQLITE_OPEN_CREATE : 0);
  const int code = sqlite3_open_v2(path.c_str(), &connection, flags, nullptr);
  connection_.reset(connection);
  if (code != SQLITE_OK) refuse();
  sqlite3_busy_timeout(connection, kWaitMilliseconds);
  sqlite3_extended_result_codes(connection, 1);
}

void Database::execute(const char* sql) {
  if (sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) refuse();
}

Statement::Statement(Database& database, const char* sql) : database_(database) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(database.connection_.get(), sql, -1, &statement, nullptr) != SQLITE_OK) database.refuse();
  statement_.reset(statement);
}

Statement& Statement::bind(int parameter, int64_t value) {
  if (sqlite3_bind_int64(statement_.get(), parameter + 1, value) != SQLITE_OK) database_.refuse();
  return *this;
}

Statement& Statement::bind(int parameter, const std::string& value) {
  const auto size = static_cast<sqlite3_uint64>(value.size());
  if (sqlite3_bind_text64(statement_.get(), parameter + 1, value.data(), size, SQLITE_TRANSIENT, SQLITE_UTF8) !=
      SQLITE_OK)
    database_.refuse();
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) database_.refuse();
  return false;
}

void Statement::reset() { sqlite3_reset(statement_.get()); }

void Statement::run() {
  step();
  reset();
}

std::string Statement::text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return bytes == nullptr ? std::string() : std::string(bytes, static_cast<size_t>(size));
}

Transaction::Transaction(Database& database, Database::Open mode) : database_(database) {
  database.execute(mode == Database::Open::Read ? "BEGIN" : "BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  if (!open_) return;
  try {
    database_.execute("ROLLBACK");
  } catch (const UserError&) {  // SQLite has rolled back itself
  }
}

void Transaction::commit() {
  database_.execute("COMMIT");
  open_ = false;
}

}  // namespace mpanet
