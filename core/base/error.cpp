#include "core/base/error.h"

#include <cstdio>
#include <filesystem>
#include <new>

namespace mpanet {

void throw_user_error(fmt::string_view text, fmt::format_args args) { throw UserError(fmt::vformat(text, args)); }

void throw_check_error(const char* function, const char* condition, fmt::string_view text, fmt::format_args args) {
  throw CheckError(fmt::format("{}: {} [{}]", function, fmt::vformat(text, args), condition));
}

int report_exception(const char* program) {
  try {
    throw;
  } catch (const UserError& e) {
    fmt::print(stderr, "{}: {}\n", program, e.what());
    return 2;
  } catch (const std::filesystem::filesystem_error& e) {
    fmt::print(stderr, "{}: {}: {}\n", program, e.path1().string(), e.code().message());
    return 2;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "{}: out of memory\n", program);
    return 2;
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}: internal error: {}\n", program, e.what());
    return 1;
  } catch (...) {
    fmt::print(stderr, "{}: internal error of unknown type\n", program);
    return 1;
  }
}

}  // namespace mpanet
