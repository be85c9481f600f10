#include "core/base/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "core/base/output.h"
#include "core/base/quote.h"
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

// "--seed: expected once, got 2 times" for the first option that was given more often than it may be; else "".
std::string given_again(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options())
    if (option->get_multi_option_policy() == CLI::MultiOptionPolicy::Throw && option->get_expected_max() == 1 &&
        option->count() > 1)
      return fmt::format("{}: expected once, got {} times", option->get_name(), option->count());
  for (const CLI::App* command : app.get_subcommands())
    if (const std::string text = given_again(*command); !text.empty()) return text;
  return "";
}

// An empty value would otherwise mean the same as an option that is not given.
constexpr const char* kEmptyValue = "expected a value, got \"\"";
std::string not_empty(const std::string& word) { return word.empty() ? kEmptyValue : ""; }

// "--json=" is an empty value too; CLI11 would take the next word for the value.
void check_no_empty_value(int argc, char** argv) {
  for (int i = 1; i < argc && std::string_view(argv[i]) != "--"; i++) {
    const std::string_view word = argv[i];
    if (word.starts_with("--") && word.find('=') == word.size() - 1)
      throw CLI::ValidationError(std::string(word.substr(0, word.size() - 1)), kEmptyValue);
  }
}

}  // namespace

using Option = CommandLine::Option;

Option* Option::required() { return option_.required(), this; }
Option* Option::one_of(const std::vector<std::string>& words) { return option_.check(CLI::IsMember(words)), this; }
Option* Option::take_all() { return option_.multi_option_policy(CLI::MultiOptionPolicy::TakeAll), this; }
Option* Option::needs(const Option* other) { return option_.needs(&other->option_), this; }
Option* Option::type_name(const std::string& name) { return option_.type_name(name), this; }
Option* Option::default_str(const std::string& text) { return option_.default_str(text), this; }
Option* Option::capture_default_str() { return option_.capture_default_str(), this; }

CommandLine::CommandLine(const std::string& about, const std::string& name)
    : app_(std::make_shared<CLI::App>(about, name)) {}

Option* CommandLine::add_option(const std::string& name, std::string& value, const std::string& help) {
  return keep(app_->add_option(name, value, help)->check(not_empty));
}

Option* CommandLine::add_option(const std::string& name, std::vector<std::string>& values, const std::string& help) {
  return keep(app_->add_option(name, values, help)->check(not_empty));
}

Option* CommandLine::add_flag(const std::string& name, bool& value, const std::string& help) {
  return keep(app_->add_flag(name, value, help));
}

Option* CommandLine::add_checked(const std::string& name, const std::string& allowed, const std::string& help,
                                 std::function<bool(const std::string&)> take) {
  const auto checked = [name, allowed, take = std::move(take)](const std::string& word) {
    if (!take(word)) throw CLI::ValidationError(name, fmt::format("expected {}, got {}", allowed, quote(word)));
  };
  return keep(app_->add_option_function<std::string>(name, checked, help));
}

Option* CommandLine::add_list(const std::string& name, std::vector<std::string>& words, const std::string& help,
                              const std::vector<std::string>& known) {
  const auto take = [&words, known](const std::string& text) {
    words.clear();
    for (size_t begin = 0, end; begin <= text.size(); begin = end + 1) {
      end = std::min(text.find(',', begin), text.size());
      words.push_back(text.substr(begin, end - begin));
      if (known.empty() ? words.back().empty() : std::find(known.begin(), known.end(), words.back()) == known.end())
        return false;
    }
    return true;
  };
  const std::string allowed = known.empty() ? "words such as a,b" : fmt::format("some of {}", fmt::join(known, ","));
  return add_checked(name, allowed, help, take);
}

CommandLine* CommandLine::add_subcommand(const std::string& name, const std::string& about) {
  commands_.push_back(CommandLine(std::shared_ptr<CLI::App>(app_, app_->add_subcommand(name, about))));
  return &commands_.back();
}

void CommandLine::require_subcommand() { app_->require_subcommand(1); }
bool CommandLine::parsed() const { return app_->parsed(); }
void CommandLine::add_version(std::function<std::string()> text) {
  const auto print = [text = std::move(text)] {
    std::string lines = text();
    if (lines.ends_with('\n')) lines.pop_back();  // CLI11 adds one
    return lines;
  };
  app_->set_version_flag("--version", print, "print commit, compiler, instruction set and library versions and exit");
}
void CommandLine::take_last() { app_->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast); }
void CommandLine::footer(const std::string& text) { app_->footer(text); }
void CommandLine::column_width(size_t columns) { app_->get_formatter()->column_width(columns); }
std::string CommandLine::help() const { return app_->help(); }

std::optional<std::string> CommandLine::given(const std::string& name) const {
  const CLI::Option* option = app_->get_option(name);
  return option->count() > 0 ? std::optional(option->as<std::string>()) : std::nullopt;
}

std::string CommandLine::given_besides(const std::vector<std::string>& known) const {
  for (const CLI::Option* option : app_->get_options()) {
    const std::string name = "--" + option->get_single_name();
    if (option->count() > 0 && std::find(known.begin(), known.end(), name) == known.end()) return name;
  }
  return "";
}

std::optional<int> parse_command_line(CommandLine& app, int argc, char** argv, const UnknownOption& hint) {
  CLI::App& all = *app.app_;
  try {
    check_no_empty_value(argc, argv);
    all.parse(argc, argv);
    return {};
  } catch (const CLI::Success& e) {  // --help, --version
    return all.exit(e);
  } catch (const CLI::ExtrasError&) {
    note(fmt::format("{}: {} (see --help)", all.get_name(), unexpected(all, hint)));
    return 2;
  } catch (const CLI::ArgumentMismatch& e) {
    const std::string again = given_again(all);
    note(fmt::format("{}: {} (see --help)", all.get_name(), again.empty() ? e.what() : again));
    return 2;
  } catch (const CLI::ParseError& e) {
    note(fmt::format("{}: {} (see --help)", all.get_name(), e.what()));
    return 2;
  }
}

}  // namespace mpanet
