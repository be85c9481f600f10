// Numbers on command lines: decimal, integers if required, in range, or refused.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <limits>

#include "core/base/command_line.h"
#include "core/base/file.h"
#include "tests/support/temporary_folder.h"

using namespace mpanet;

namespace {

struct Values {
  int count = 5;
  std::optional<uint64_t> seed;
  double seconds = 0.3;
};

// Parses the arguments into `values`. Returns the exit code if the program has to end.
std::optional<int> parse(Values& values, std::vector<std::string> arguments) {
  CommandLine app("about", "program");
  add_whole_number(app, "--count", values.count, 1, 4096, "how many");
  add_whole_number(app, "--seed", values.seed, 0, std::numeric_limits<uint64_t>::max(), "of the numbers");
  add_number(app, "--seconds", values.seconds, 0.001, 60, "how long");
  arguments.insert(arguments.begin(), "program");
  std::vector<char*> words;
  for (std::string& argument : arguments) words.push_back(argument.data());
  return parse_command_line(app, static_cast<int>(words.size()), words.data());
}

Values parse(const std::vector<std::string>& arguments) {
  Values values;
  REQUIRE(!parse(values, arguments));
  return values;
}

// The text that `call` writes to stderr.
template <class Call>
std::string said(const Call& call) {
  const TemporaryFolder folder;
  const Descriptor before(dup(STDERR_FILENO)), file(open((folder / "err").c_str(), O_WRONLY | O_CREAT, 0600));
  dup2(file.get(), STDERR_FILENO);
  call();
  dup2(before.get(), STDERR_FILENO);
  return read_text(folder / "err");
}

std::string refusal(const std::string& option, const std::string& value) {
  const std::string before = "program: ", after = " (see --help)\n";
  Values values;
  std::optional<int> code;
  const std::string line = said([&] { code = parse(values, {option, value}); });
  CHECK(code == 2);
  CHECK(line.starts_with(before));
  CHECK(line.ends_with(after));
  return line.substr(before.size(), line.size() - before.size() - after.size());
}

}  // namespace

TEST_CASE("an option given twice, and options besides known ones") {
  Values values;
  std::optional<int> code;
  CHECK(said([&] {
          code = parse(values, {"--seed", "1", "--count", "2", "--seed", "1"});
        }) == "program: --seed: expected once, got 2 times (see --help)\n");
  CHECK(code == 2);
  CommandLine app("about", "program");
  std::string text;
  bool flag = false;
  app.add_option("--text", text, "some");
  app.add_flag("--flag", flag, "on");
  std::vector<std::string> words = {"program", "--flag", "--text", "x"};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  REQUIRE(!parse_command_line(app, 4, arguments.data()));
  CHECK(app.given_besides({}) == "--text");
  CHECK(app.given_besides({"--text"}) == "--flag");
  CHECK(app.given_besides({"--flag", "--text"}) == "");
}

TEST_CASE("numbers in text") {
  CHECK(parse_whole<int>("42") == 42);
  CHECK(parse_whole<int>("-7") == -7);
  CHECK(parse_whole<int>("010") == 10);  // decimal, not octal
  CHECK(parse_whole<int>("2147483647") == 2147483647);
  for (const char* text :
       {"", " 1", "1 ", "+1", "0x10", "1e3", "1.0", "1,000", "true", "2147483648", "--1", "١", "1\n"})
    CHECK_MESSAGE(!parse_whole<int>(text), text);
  CHECK(!parse_whole<int>(std::string_view("1\0", 2)));
  CHECK(!parse_whole<unsigned>("-1"));
  CHECK(parse_whole<uint64_t>("18446744073709551615") == 18446744073709551615u);
  CHECK(!parse_whole<uint64_t>("18446744073709551616"));

  CHECK(parse_number("0.5") == 0.5);
  CHECK(parse_number("1e-3") == 1e-3);
  CHECK(parse_number("3") == 3);
  for (const char* text :
       {"", " 1", "1 ", "+1", "0x1p3", "inf", "-inf", "nan", "nan(1)", "infinity", "1e999", "1f", "1,5"})
    CHECK_MESSAGE(!parse_number(text), text);

  CHECK(parse_size("384x128") == std::pair(384, 128));
  for (const char* text :
       {"", "384", "x", "384x", "x128", "384x128x1", "384 x128", "+384x128", "0x128", "384x-1", "0x10x3"})
    CHECK_MESSAGE(!parse_size(text), text);
}

TEST_CASE("options take what is in range") {
  const Values values = parse({"--count", "4096", "--seed", "18446744073709551615", "--seconds", "1e-2"});
  CHECK(values.count == 4096);
  CHECK(values.seed == 18446744073709551615u);
  CHECK(values.seconds == 1e-2);
  CHECK(parse({"--count=010"}).count == 10);
  CHECK(!parse({}).seed);
  CHECK(parse({}).count == 5);
}

TEST_CASE("and refuse the rest by name") {
  for (const char* value :
       {"0", "4097", "-1", "0x10", "1e3", " 7", "7 ", "+7", "7.0", "true", "many", "99999999999999999999"})
    CHECK(refusal("--count", value) == fmt::format("--count: expected a whole number in 1..4096, got \"{}\"", value));
  CHECK(refusal("--seed", "-1") == "--seed: expected a whole number in 0..18446744073709551615, got \"-1\"");
  CHECK(refusal("--seed", "18446744073709551616").starts_with("--seed: expected a whole number"));
  for (const char* value : {"nan", "inf", "0", "60.1", "0x1p-3", "1e999"})
    CHECK(refusal("--seconds", value) == fmt::format("--seconds: expected a number in 0.001..60, got \"{}\"", value));
  CHECK(refusal("--count", "\x1b[31m\n") == "--count: expected a whole number in 1..4096, got \"\\x1b[31m\\n\"");
}

TEST_CASE("help shows the range and the default") {
  CommandLine app("about", "program");
  int count = 5;
  uint64_t seed = 1;
  add_whole_number(app, "--count", count, 1, 4096, "how many");
  add_whole_number(app, "--seed", seed, 0, std::numeric_limits<uint64_t>::max(), "of the numbers");
  const std::string help = app.help();
  CHECK(help.find("--count 1..4096=5 ") != std::string::npos);
  CHECK(help.find("--seed N=1 ") != std::string::npos);
}

TEST_CASE("words, flags, several values, commands") {
  CommandLine app("about", "program");
  std::string word = "cpu";
  std::vector<std::string> set, list = {"a"};
  bool flag = true, other = false;
  app.take_last();
  app.add_option("--word", word, "one")->one_of({"cpu", "emu"})->capture_default_str();
  app.add_option("--set", set, "several")->type_name("KEY=VALUE")->take_all();
  app.add_list("--list", list, "in one word", {"a", "x", "y"})->default_str("a");
  const auto* needed = app.add_flag("--flag,!--no-flag", flag, "can be turned off");
  app.add_flag("--other", other, "needs the flag")->needs(needed);
  std::string file;
  CommandLine* command = app.add_subcommand("command", "of its own");
  command->add_option("FILE", file, "to read")->required();
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "program");
    std::vector<char*> words;
    for (std::string& argument : arguments) words.push_back(argument.data());
    std::optional<int> code;
    const std::string line =
        said([&] { code = parse_command_line(app, static_cast<int>(words.size()), words.data()); });
    CHECK(line.empty() == !code);
    return line;
  };
  CHECK(app.help().find("--word TEXT:{cpu,emu}=cpu ") != std::string::npos);
  CHECK(app.help().find("--set KEY=VALUE ... ") != std::string::npos);
  CHECK(app.help().find("--list TEXT=a ") != std::string::npos);
  CHECK(run({"--word", "emu", "--set", "a=1", "b=2", "--set", "c=3", "--list", "x,y", "--no-flag", "--word", "cpu"}) ==
        "");
  CHECK(word == "cpu");
  CHECK(set == std::vector<std::string>{"a=1", "b=2", "c=3"});
  CHECK(list == std::vector<std::string>{"x", "y"});
  CHECK(!flag);
  CHECK(app.given("--word") == "cpu");
  CHECK(!app.given("--other"));
  CHECK(!command->parsed());
  CHECK(run({"--word", "tpu"}) == "program: --word: tpu not in {cpu,emu} (see --help)\n");
  CHECK(run({"--wrod", "cpu"}) == "program: unknown option --wrod, the nearest is --word (see --help)\n");
  CHECK(run({"--other"}) == "program: --other requires --flag (see --help)\n");
  CHECK(run({"command"}) == "program: FILE is required (see --help)\n");
  for (const char* words : {"", "x,", ",x", "x,,y", "x,z"})
    CHECK(run({"--list", words}) ==
          fmt::format("program: --list: expected some of a,x,y, got \"{}\" (see --help)\n", words));
  for (const char* option : {"--word", "--set"}) {
    const std::string refused = fmt::format("program: {}: expected a value, got \"\" (see --help)\n", option);
    CHECK(run({option, ""}) == refused);
    CHECK(run({option, "", option, "cpu"}) == refused);
    CHECK(run({fmt::format("{}=", option), "cpu"}) == refused);
  }
  CHECK(run({"--set", "a=1", ""}) == "program: --set: expected a value, got \"\" (see --help)\n");
  CHECK(run({"--set", "a="}) == "");  // a key's value
  CHECK(run({"command", ""}) == "program: FILE: expected a value, got \"\" (see --help)\n");
  CHECK(run({"command", "path"}) == "");
  CHECK(command->parsed());
  CHECK(file == "path");
}
