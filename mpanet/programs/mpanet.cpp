// mpanet NAME ...: becomes the program mpanet-NAME that lies beside this one.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/base/program.h"
#include "core/base/quote.h"
#include "core/base/text.h"
#include "mpanet/training/provenance.h"

namespace {

using namespace mpanet;
namespace fs = std::filesystem;
constexpr const char* kProgram = "mpanet";
constexpr std::string_view kPrefix = "mpanet-";
constexpr const char* kUsage =
    "Usage: mpanet NAME [ARGUMENT...]   runs mpanet-NAME\n"
    "       mpanet help [NAME]          this list, or mpanet-NAME --help\n"
    "       mpanet --version            commit, compiler, instruction set and library versions of this build\n";

fs::path own_folder() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path();
}

// The names, after "mpanet-", of the programs in the folder, sorted.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string file = entry.path().filename().string();
    if (file.starts_with(kPrefix) && entry.is_regular_file(error) && access(entry.path().c_str(), X_OK) == 0)
      names.push_back(file.substr(kPrefix.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

fs::path path_of(const fs::path& folder, const std::string& name) { return folder / (std::string(kPrefix) + name); }

// The first line of a program's --help, which says what it does; "" when it cannot be run.
std::string about(const fs::path& program) {
  const std::string command = shell_quote(program.string()) + " --help 2>/dev/null </dev/null";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> help(popen(command.c_str(), "r"), pclose);
  std::string text;
  for (int c; help && (c = std::fgetc(help.get())) != EOF;) text += static_cast<char>(c);
  return text.substr(0, text.find('\n'));
}

int print_help(const fs::path& folder) {
  fmt::print("{}\nPrograms:\n", kUsage);
  for (const std::string& name : names_in(folder))
    fmt::print("  {:<10}{}\n", printable(name), printable(about(path_of(folder, name))));
  return 0;
}

// Replaces this process. `arguments` ends with a null pointer; its first one becomes the program's path.
[[noreturn]] void become(const fs::path& folder, const std::string& name, std::vector<char*> arguments) {
  const std::vector<std::string> names = names_in(folder);
  if (std::find(names.begin(), names.end(), name) == names.end())
    fail("no program mpanet-{} in {}; there are {}", name, quote(folder.string()), join(names));
  std::string program = path_of(folder, name).string();
  arguments[0] = program.data();
  execv(program.c_str(), arguments.data());
  fail("{}: cannot run: {}", program, std::strerror(errno));
}

int run(int argc, char** argv) {
  const fs::path folder = own_folder();
  const std::string name = argc > 1 ? argv[1] : "";
  if (name.empty()) fail("expected the name of a program: {}; mpanet help says more", join(names_in(folder)));
  if (name == "--version") return fmt::print("{}", version_text(kProgram)), 0;
  const bool help = name == "help" || name == "--help" || name == "-h";
  if (help && argc == 2) return print_help(folder);
  if (help && argc == 3) {
    std::string option = "--help";
    become(folder, argv[2], {argv[0], option.data(), nullptr});
  }
  if (help) fail("help: expected one name, got {}", argc - 2);
  become(folder, name, {argv + 1, argv + argc + 1});
}

}  // namespace

int main(int argc, char** argv) { return program_main(kProgram, argc, argv, run); }
