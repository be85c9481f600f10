#include "core/base/command_line.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/output.h"
#include "core/base/text.h"

namespace mpanet {
namespace {

// "unknown option --lrr" with a hint, for the first word that the program does not expect.
std::string unexpected(const CLI::App& app, const UnknownOption& hint) {
  const std::vector<std::string> words = app.remaining(true);
  const auto first = std::find_if(words.begin(), words.end(), [](const std::string& w) { return w.starts_with('-'); });
  if (first == words.end()) return "unexpected argument " + words.front();
  const size_t equals = first->find('=');
  const std::string name = first->substr(0, equals);
  const auto next = first + 1;
  const std::string value = equals != first->npos ? first->substr(equals + 1) : next != words.end() ? *next : "";
  std::string more = hint ? hint(name, value) : "";
  for (const CLI::Option* option : app.get_options())
    if (more.empty() && is_close(name, "--" + option->get_single_name()))
      more = "the nearest is --" + option->get_single_name();
  return "unknown option " + name + (more.empty() ? "" : ", " + more);
}

}  // namespace

std::optional<int> parse_command_line(CLI::App& app, int argc, char** argv, const UnknownOption& hint) {
  try {
    app.parse(argc, argv);
    return {};
  } catch (const CLI::Success& e) {  // --help
    return app.exit(e);
  } catch (const CLI::ExtrasError&) {
    note(fmt::format("{}: {} (see --help)", app.get_name(), unexpected(app, hint)));
    return 2;
  } catch (const CLI::ParseError& e) {
    note(fmt::format("{}: {} (see --help)", app.get_name(), e.what()));
    return 2;
  }
}

}  // namespace mpanet
