// mpanet-report as a program: pages of small runs are well-formed, need nothing else, and escape what they are given.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "core/base/quote.h"
#include "tests/support/train_program.h"

using namespace mpanet;
namespace fs = std::filesystem;

namespace {

// Runs of the tests' configuration with the seeds 1 and 2.
const std::string& trained(const char* seed = "1") {
  static TemporaryFolder folder;
  static std::map<std::string, std::string> made;
  std::string& run = made[seed];
  if (!run.empty()) return run;
  run = folder / std::string("seed") + seed;
  check_works(command(folder, std::string("seed") + seed, {"--seed", seed}));
  return run;
}

Result report(const std::string& arguments) { return run_program("mpanet-report", arguments); }

void check_report_refused(const std::string& arguments, const std::string& words) {
  CHECK(not_refused("mpanet-report", arguments, words) == "");
}

std::string quoted(const std::string& word) { return "'" + word + "'"; }

// The first fault of a page as HTML: a tag that is not closed or closed without being open, an attribute without
// quotes, an identifier that stands twice, a reference to none. Empty if there is none.
std::string fault(const std::string& html) {
  const std::set<std::string> empty = {"meta", "br", "img"};
  std::vector<std::string> open;
  std::set<std::string> ids, references;
  size_t at = html.find("<html");
  if (!html.starts_with("<!DOCTYPE html>") || at == html.npos) return "no beginning";
  while ((at = html.find('<', at)) != html.npos) {
    const size_t end = html.find('>', at);
    if (end == html.npos) return "a tag without end: " + html.substr(at, 60);
    std::string tag = html.substr(at + 1, end - at - 1);
    at = end + 1;
    if (tag.starts_with('/')) {
      if (open.empty() || open.back() != tag.substr(1)) return "closed but not open: " + tag;
      open.pop_back();
      continue;
    }
    if (std::count(tag.begin(), tag.end(), '"') % 2 != 0 || tag.find('<') != tag.npos) return "in a tag: " + tag;
    for (const auto& [attribute, to] : {std::pair(" id=\"", &ids), std::pair(" href=\"#", &references)})
      if (const size_t start = tag.find(attribute); start != tag.npos) {
        const size_t value = start + std::string(attribute).size();
        const std::string word = tag.substr(value, tag.find('"', value) - value);
        if (!to->insert(word).second && to == &ids) return "twice: " + word;
      }
    if (tag.ends_with('/')) continue;
    const std::string name = tag.substr(0, tag.find_first_of(" \n"));
    if (name.empty() || !std::isalpha(static_cast<unsigned char>(name[0]))) return "no tag: " + tag;
    if (name == "style") at = html.find("</style>", at);
    if (!empty.contains(name)) open.push_back(name);
  }
  if (!open.empty()) return "not closed: " + open.back();
  for (const std::string& reference : references)
    if (!ids.contains(reference)) return "nothing is called " + reference;
  return "";
}

// Nothing of the page is fetched or executed.
void check_alone(const std::string& html) {
  CHECK(fault(html) == "");
  for (const char* word : {"http:", "https:", "//cdn", "<script", "javascript:", "@import", "url(", "<iframe", "<link",
                           " onload", " onclick", "src=\"/", "nan\"", "NaN", "inf\""})
    CHECK_MESSAGE(!has(html, word), word);
  CHECK(has(html, "default-src 'none'"));
}

}  // namespace

TEST_CASE("the page of a run" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  const std::string page = folder / "page.html", arguments = quoted(trained()) + " --data " + quoted(data_set());
  const Result result = report(arguments + " --out " + quoted(page));
  REQUIRE_MESSAGE(result.code == 0, result.err);
  CHECK(has(result.out, page));
  const std::string html = read_text(page);
  check_alone(html);
  for (const char* words :
       {"seed1", "rank-1", "mINP", "all search, single shot", "loss term KL", "learning rate", "of the same person",
        "camera 3", "pattern 2", "<use href=\"#p0\"/>", "data:image/jpeg;base64,", "first right: rank", "num_epoch",
        "SHA-256", "mpanet-train --config", "pictures of the people in the data set", "prefers-color-scheme: dark"})
    CHECK_MESSAGE(has(html, words), words);
  // The results are those of mpanet-eval.
  const std::string json = folder / "result.json";
  REQUIRE(run_program("mpanet-eval", "--checkpoint " + quoted(trained() + "/best.safetensors") + " --data " +
                                         quoted(data_set()) + " --json " + quoted(json))
              .code == 0);
  for (const nlohmann::json& entry : nlohmann::json::parse(read_text(json))["results"])
    for (const char* key : {"rank1", "mAP", "mINP"}) {
      const std::string cell = fmt::format("<td>{:.2f}", entry[key].get<double>());
      CHECK_MESSAGE(has(html, cell), cell);
    }

  SUBCASE("the same bytes again") {
    REQUIRE(report(arguments + " --out " + quoted(page)).code == 0);
    CHECK(read_text(page) == html);
  }
  SUBCASE("to stdout; the data set of the training") {
    const Result piped = report(quoted(trained()) + " --out /dev/stdout");
    REQUIRE(piped.code == 0);
    CHECK(fault(piped.out) == "");
  }
  SUBCASE("without pictures") {
    REQUIRE(report(arguments + " --no-pictures --out " + quoted(page)).code == 0);
    const std::string plain = read_text(page);
    check_alone(plain);
    CHECK(!has(plain, "data:image/"));
    CHECK(!has(plain, "<use"));
    CHECK(has(plain, "first right: rank"));
    CHECK(has(plain, "has no pictures"));
  }
  SUBCASE("from saved features: the same results without pattern maps") {
    const std::string features = folder / "features";
    REQUIRE(run_program("mpanet-eval", "--checkpoint " + quoted(trained() + "/best.safetensors") + " --data " +
                                           quoted(data_set()) + " --save-features " + quoted(features))
                .code == 0);
    REQUIRE(report(arguments + " --features " + quoted(features) + " --out " + quoted(page)).code == 0);
    const std::string other = read_text(page);
    check_alone(other);
    CHECK(has(other, "which has no pattern maps"));
    const auto results = [](const std::string& text) {
      const size_t begin = text.find("<tbody>");
      return text.substr(begin, text.find("</tbody>", begin) - begin);
    };
    CHECK(results(other) == results(html));
  }
}

TEST_CASE("whose pictures are inside: drawn people, or perhaps real ones" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  const auto notice_of = [&](const std::string& data) {
    const std::string page = folder / "page.html";
    const Result result = report(quoted(trained()) + " --data " + quoted(data) + " --out " + quoted(page));
    REQUIRE_MESSAGE(result.code == 0, result.err);
    const std::string html = read_text(page);
    const size_t begin = html.find("class=\"notice\"");
    return html.substr(begin, html.find("</p>", begin) - begin);
  };
  const std::string drawn = notice_of(data_set());
  CHECK(has(drawn, "No real person is shown."));
  CHECK(!has(drawn, "these are real people"));
  const std::string copy = folder / "data";  // without drawn.txt
  fs::create_directory(copy);
  for (const auto& entry : fs::directory_iterator(data_set()))
    if (entry.is_directory()) fs::create_directory_symlink(entry.path(), copy + "/" + entry.path().filename().string());
  REQUIRE(mkfifo((copy + "/drawn.txt").c_str(), 0600) == 0);  // not read, because it would wait
  const std::string other = notice_of(copy);
  CHECK(!has(other, "No real person is shown."));
  CHECK(has(other, "these are real people, and the authors"));
}

TEST_CASE("runs side by side" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  const std::string page = folder / "page.html";
  const Result result = report(quoted(trained("1")) + " " + quoted(trained("2")) + " --data " + quoted(data_set()) +
                               " --out " + quoted(page));
  REQUIRE_MESSAGE(result.code == 0, result.err);
  const std::string html = read_text(page);
  check_alone(html);
  for (const char* words : {"seed1, seed2", "mean of 2 runs", "Keys in which the runs differ", "run 2 of 2"})
    CHECK_MESSAGE(has(html + result.err, words), words);
}

TEST_CASE("a line for each run" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "several");
  fs::copy(trained("1"), folder / "b");
  fs::copy(trained("2"), folder / "several/seed-2");
  fs::copy(trained("1"), folder / "short");
  const auto list = [](const std::string& path) { return run_program("mpanet-train", "--list " + quoted(path)); };
  std::string log = read_text(folder / "short/log.jsonl");
  log.resize(log.find(R"({"kind":"epoch","step")"));
  write_file(folder / "short/log.jsonl", log);
  fs::copy(trained("1"), folder / "wrong");
  write_file(folder / "wrong/config.json", "{");
  fs::create_directory(folder / "index");  // of mpanet-search
  write_file(folder / "index/lock", "");
  const Result result = list(folder.path());
  REQUIRE_MESSAGE(result.code == 0, result.err);
  std::vector<std::string> lines;
  std::istringstream text(result.out);
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  REQUIRE(lines.size() == 4);
  CHECK(lines[0].starts_with(folder / "b"));
  for (const char* words : {"done", "epoch 3/3", "rank-1 ", "sysu, depth tiny, seed 1"}) CHECK(has(lines[0], words));
  CHECK(has(lines[1], "several/seed-2"));
  CHECK(has(lines[1], "seed 2"));
  for (const char* words : {"stopped", "epoch 0/3", "not evaluated"}) CHECK_MESSAGE(has(lines[2], words), lines[2]);
  CHECK(has(lines[3], "wrong/config.json"));
  const std::string alone = list(folder / "b").out;
  CHECK(alone.starts_with(folder / "b  done  epoch 3/3  rank-1 "));
  CHECK(std::count(alone.begin(), alone.end(), '\n') == 1);
  CHECK(not_refused("mpanet-train", "--list " + quoted(folder / "several/seed-2/none"), "got no folder") == "");
  fs::create_directory(folder / "empty");
  CHECK(not_refused("mpanet-train", "--list " + quoted(folder / "empty"), "got one without") == "");
  CHECK(not_refused("mpanet-train", "--list x --data y", "--list: takes a folder alone") == "");

  // No query had a match.
  std::string undefined = read_text(folder / "b/log.jsonl");
  for (const char* key : {"\"rank1\":", "\"mAP\":"})
    for (size_t at = 0; (at = undefined.find(key, at)) != undefined.npos;) {
      at += std::string(key).size();
      if (undefined[at] != '[') undefined.replace(at, undefined.find_first_of(",}", at) - at, "null");
    }
  write_file(folder / "b/log.jsonl", undefined);
  const std::string said = list(folder / "b").out;
  CHECK_MESSAGE(has(said, "rank-1 undefined, mAP undefined (epoch "), said);
}

TEST_CASE("a folder that may not be read is not one without runs" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  const std::string runs = folder / "runs";
  fs::create_directory(runs);
  fs::copy(trained("1"), runs + "/closed");
  fs::copy(trained("2"), runs + "/open");
  fs::permissions(folder.path(), fs::perms::owner_all | fs::perms::others_read | fs::perms::others_exec);
  // Root may read everything.
  const std::string user = geteuid() == 0 ? "setpriv --reuid=65534 --regid=65534 --clear-groups " : "";
  const auto list = [&](const std::string& path) {
    Process process({"/bin/sh", "-c", user + quoted(program_path("mpanet-train")) + " --list " + quoted(path)});
    const int code = process.wait();
    return Result{code, process.out(), process.err()};
  };
  if (list(runs).code != 0) return;  // another user may not run programs of this folder
  fs::permissions(runs + "/closed", fs::perms::none);
  const Result one = list(runs);
  CHECK(one.code == 0);
  CHECK_MESSAGE(has(one.out, runs + "/closed: cannot read the folder: Permission denied\n"), one.out);
  CHECK(has(one.out, runs + "/open"));
  fs::permissions(runs, fs::perms::none);
  const Result none = list(runs);
  CHECK(none.code == 2);
  CHECK(none.out == "");
  CHECK_MESSAGE(none.err == "mpanet-train: " + runs + ": cannot read the folder: Permission denied\n", none.err);
  const Result inside = list(runs + "/open");
  CHECK(inside.code == 2);
  CHECK_MESSAGE(inside.err == "mpanet-train: " + runs + "/open: cannot open: Permission denied\n", inside.err);
  for (const std::string& path : {runs, runs + "/closed"}) fs::permissions(path, fs::perms::owner_all);
}

TEST_CASE("two pictures compared" * doctest::skip(kLacking || !png_supported())) {
  const TemporaryFolder folder;
  const std::string a = folder / "a.jpg", b = folder / "b.jpg", sheet = folder / "ab.png";
  const auto picture = [](const std::string& camera) {
    return fs::directory_iterator(data_set() + camera)->path().string() + "/0001.jpg";
  };
  fs::copy_file(picture("/cam1"), a);
  fs::copy_file(picture("/cam3"), b);
  const std::string network = "--checkpoint " + quoted(trained() + "/best.safetensors");
  const auto distance = [&](const std::string& pictures) {
    const Result result = run_program("mpanet-compare", network + " " + pictures);
    REQUIRE_MESSAGE(result.code == 0, result.err);
    CHECK(has(result.err, "no calibration"));
    return std::stod(result.out.substr(std::string("distance ").size()));
  };
  CHECK(distance(quoted(a) + " " + quoted(a)) < 1e-6);
  const double apart = distance(quoted(a) + " " + quoted(b) + " --sheet " + quoted(sheet));
  CHECK(apart > 1e-3);
  CHECK(apart <= 4);
  CHECK(distance(quoted(b) + " " + quoted(a)) == apart);
  const Image made = decode_image(sheet);
  CHECK(made.width > 3 * 72);  // the picture and two maps
  CHECK(made.height > 2 * 144);
  const auto refused = [&](const std::string& arguments, const std::string& words) {
    CHECK(not_refused("mpanet-compare", arguments, words) == "");
  };
  refused(quoted(a) + " " + quoted(b), "--checkpoint is needed");
  refused(network + " " + quoted(a), "expected two pictures, got 1");
  refused(network + " " + quoted(a) + " " + quoted(b) + " --distance l1", "distance: expected");
  const std::string before = read_text(a);
  refused(network + " " + quoted(a) + " " + quoted(b) + " --sheet " + quoted(a), "a picture");
  CHECK(read_text(a) == before);
}

TEST_CASE("names and values are escaped" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  const std::string name = "<script>alert(1)<b>&\"", run = folder / name, page = folder / "page.html";
  fs::copy(trained(), run);
  std::string log = read_text(run + "/log.jsonl");
  for (size_t at = 0; (at = log.find("\"cc\"", at)) != log.npos; at++) log.replace(at, 4, "\"<i>cc\"");
  write_file(run + "/log.jsonl", log);
  nlohmann::ordered_json provenance = nlohmann::ordered_json::parse(read_text(run + "/provenance.json"));
  provenance["processor"] = "</td><script>x</script>";
  provenance["<img src=x onerror=y>"] = 1;
  write_file(run + "/provenance.json", provenance.dump());
  // A manifest whose pictures have hostile names.
  const std::string pictures = folder / "p/<script>'x'";
  fs::create_directories(pictures);
  std::string manifest = "path,identity,camera,modality,split\n";
  const std::string camera[] = {"/cam1", "/cam3"};
  int identity = 0;
  for (const auto& entry : fs::directory_iterator(data_set() + camera[0])) {
    const std::string person = entry.path().filename().string();
    identity++;
    for (const int c : {0, 1}) {
      const std::string file = fmt::format("{}-{}.jpg", person, c);
      fs::copy_file(data_set() + camera[c] + "/" + person + "/0001.jpg", pictures + "/" + file);
      manifest += fmt::format("p/<script>'x'/{},{},{},{},{}\n", file, identity, 1 + 2 * c,
                              c == 0 ? "visible" : "infrared", c == 0 ? "gallery" : "query");
    }
  }
  write_file(folder / "people.csv", manifest);
  const Result result =
      report(quoted(run) + " --data " + quoted(folder / "people.csv") + " --protocol csv --out " + quoted(page));
  REQUIRE_MESSAGE(result.code == 0, result.err);
  const std::string html = read_text(page);
  CHECK(fault(html) == "");
  for (const char* word : {"<script", "<i>", "<img src=x", "alert(1)<b>"}) CHECK_MESSAGE(!has(html, word), word);
  for (const char* word : {"&lt;script&gt;alert(1)&lt;b&gt;&amp;&quot;", "&lt;i&gt;cc", "&lt;/td&gt;&lt;script&gt;x",
                           "&lt;img src=x", "p/&lt;script&gt;&#39;x&#39;/"})
    CHECK_MESSAGE(has(html, word), word);
}

TEST_CASE("bad input" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  const std::string out = " --out " + quoted(folder / "page.html"), data = " --data " + quoted(data_set());
  check_report_refused("", "expected run folders, got none");
  check_report_refused(quoted(folder / "none") + data + out, "none: expected a run folder, got no folder");
  check_report_refused(quoted(folder.path()) + data + out, "without config.json");
  check_report_refused(quoted(fs::path(trained()).parent_path().string()) + data + out, "several runs");
  check_report_refused(quoted(trained()) + " " + quoted(trained() + "/") + data + out, "each run once");
  check_report_refused(quoted(trained()) + " --data " + quoted(folder / "none") + out, "none");
  check_report_refused(quoted(trained()) + data + " --protocol market" + out, "unknown protocol 'market'");
  check_report_refused(quoted(trained()) + data + " --precision f8" + out, "--precision");
  check_report_refused(quoted(trained()) + " " + quoted(trained("2")) + data + " --features x" + out, "--features");
  check_report_refused(quoted(trained()) + data + " --out " + quoted(folder / "no/page.html"), "there is no folder");
  const std::string input = trained() + "/log.jsonl", before = read_text(input);
  check_report_refused(quoted(trained()) + data + " --out " + quoted(input), "a file of a run");
  CHECK(read_text(input) == before);
  for (const char* name : {"/lock", "/log.csv", "/provenance.json"})
    check_report_refused(quoted(trained()) + data + " --out " + quoted(trained() + name), "a file of a run");
  check_report_refused(quoted(trained()) + data + " --out " + quoted(data_set() + "/exp/test_id.txt"),
                       "a list of --data");
  check_report_refused(quoted(trained()) + data + " --out " + quoted(data_set() + "/drawn.txt"), "a file of --data");
  const std::string run = folder / "run";
  fs::copy(trained(), run);
  write_file(run + "/log.jsonl", "{}\n");
  check_report_refused(quoted(run) + data + out, "log.jsonl: line 1: kind");
  fs::remove(run + "/log.jsonl");
  fs::remove(run + "/best.safetensors");
  fs::remove(run + "/last.safetensors");
  check_report_refused(quoted(run) + data + out, "got neither");
  CHECK(!fs::exists(folder / "page.html"));
}
