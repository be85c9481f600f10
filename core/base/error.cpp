#include "core/base/error.h"

#include <filesystem>
#include <new>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "core/base/exception_text.h"
#include "core/base/output.h"

namespace mpanet {

void throw_user_error(fmt::string_view text, fmt::format_args args) { throw UserError(fmt::vformat(text, args)); }

void throw_check_error(const char* function, const char* condition, fmt::string_view text, fmt::format_args args) {
  throw CheckError(fmt::format("{}: {} [{}]", function, fmt::vformat(text, args), condition));
}

namespace {

std::string filesystem_text(const std::filesystem::filesystem_error& e) {
  std::string paths = e.path1().string();
  if (!e.path2().empty()) paths += " and " + e.path2().string();
  return paths + ": " + e.code().message();
}

}  // namespace

ExceptionText describe_exception() {
  try {
    throw;
  } catch (const UserError& e) {
    return {2, e.what()};
  } catch (const CheckError& e) {
    return {1, fmt::format("internal error: {}", e.what())};
  } catch (const std::filesystem::filesystem_error& e) {
    return {2, filesystem_text(e)};
  } catch (const std::bad_alloc&) {
    return {2, "out of memory"};
  } catch (const std::length_error& e) {
    return {2, fmt::format("out of memory: more was wanted than can be addressed ({})", e.what())};
  } catch (const std::logic_error& e) {
    return {2, e.what()};
  } catch (const std::runtime_error& e) {  // std::system_error too
    return {2, e.what()};
  } catch (const nlohmann::json::exception& e) {
    return {2, e.what()};
  } catch (const std::exception& e) {
    return {1, fmt::format("internal error: {}", e.what())};
  } catch (...) {
    return {1, "internal error of unknown type"};
  }
}

int report_exception(const char* program) {
  const ExceptionText report = describe_exception();
  note(fmt::format("{}: {}", program, report.text));
  return report.code;
}

}  // namespace mpanet
