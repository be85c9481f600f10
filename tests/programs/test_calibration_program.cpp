// mpanet-eval --calibrate-share and --calibrate-ids: what the result counts, and what mpanet-compare and mpanet-report
// read of it.
#include <filesystem>

#include "core/base/sha256.h"
#include "mpanet/evaluation/calibration.h"
#include "tests/support/trained_run.h"

using namespace mpanet;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr int kIdentities = Trained::kIdentities, kHeld = 3;  // of the test set; to calibrate on

std::string quoted(const std::string& word) { return "'" + word + "'"; }

// Without a calibration, which each test makes.
const Trained& trained() {
  static const Trained made;
  fs::remove(made.calibration());
  return made;
}

// A batch of one picture: an embedding does not depend on which others are embedded.
Result eval(const std::string& options) {
  return run_program("mpanet-eval", trained().network() + " --batch 1 " + options);
}

json result_of(const Result& done, const std::string& file) {
  REQUIRE_MESSAGE(done.code == 0, done.err);
  return json::parse(read_text(file));
}

std::set<int> identities_in(const json& paths) {
  std::set<int> identities;
  for (const std::string path : paths) identities.insert(std::stoi(path.substr(path.find('/') + 1)));  // cam3/0006/...
  return identities;
}

void check_eval_refused(const std::string& options, const std::string& words) {
  CHECK(not_refused("mpanet-eval", trained().network() + " " + options, words) == "");
}

}  // namespace

TEST_CASE("the result is that of a test set without the identities of the calibration" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  const std::string file = folder / "result.json", ids = folder / "ids.txt";
  const Trained& model = trained();
  const json result = result_of(eval("--calibrate-share 0.5 --json " + quoted(file)), file);
  const std::string stored = read_text(model.calibration());
  CHECK(json::parse(stored) == result["calibration"]);
  CHECK(result["calibration"]["checkpoint_sha256"] == sha256_of_file(model.checkpoint()));
  const std::vector<int> held = result["calibration"]["identities"];
  CHECK(held.size() == kHeld);

  // The same pictures with a list of the other identities alone.
  const std::string less = folder / "less";
  fs::create_directories(less + "/exp");
  for (const auto& entry : fs::directory_iterator(model.data()))
    if (entry.path().filename() != "exp")
      fs::create_directory_symlink(entry.path(), less + "/" + entry.path().filename().string());
  for (const auto& entry : fs::directory_iterator(model.data() + "/exp"))
    fs::copy(entry.path(), less + "/exp/" + entry.path().filename().string());
  std::string list, held_list;
  const std::set<int> left = identities_in(result["queries"].front());
  CHECK(left.size() == kIdentities - kHeld);
  for (const int identity : left) list += std::to_string(identity) + ",";
  for (const int identity : held) {
    held_list += std::to_string(identity) + "\n";
    CHECK(!left.contains(identity));
  }
  list.back() = '\n';
  write_file(less + "/exp/test_id.txt", list);
  const Result alone = run_program("mpanet-eval", "--checkpoint " + quoted(model.checkpoint()) + " --data " +
                                                      quoted(less) + " --batch 1 --json " + quoted(file));
  const json expected = result_of(alone, file);
  CHECK(expected["calibration"].is_null());
  CHECK(result["results"] == expected["results"]);
  CHECK(result["queries"] == expected["queries"]);

  // The file of identities, and the same draw again.
  write_file(ids, held_list);
  const Result listed = eval("--calibrate-ids " + quoted(ids) + " --json " + quoted(file));
  CHECK(result_of(listed, file) == result);
  CHECK(has(listed.out, "without 3 identities, on whose pairs the distance was calibrated"));
  CHECK(has(listed.out, "the prior is 0.5"));
  CHECK(read_text(model.calibration()) == stored);
  CHECK(result_of(eval("--calibrate-share 0.5 --json " + quoted(file)), file) == result);
  const json other = result_of(eval("--calibrate-share 0.5 --calibrate-seed 1 --json " + quoted(file)), file);
  CHECK(other["calibration"]["identities"] != result["calibration"]["identities"]);
  CHECK(other["results"] != result["results"]);
}

TEST_CASE("mpanet-compare and mpanet-report find the calibration" * doctest::skip(kLacking || !png_supported())) {
  const TemporaryFolder folder;
  const Trained& model = trained();
  const auto picture = [&](const std::string& camera) {
    return quoted(fs::directory_iterator(model.data() + camera)->path().string() + "/0001.jpg");
  };
  const std::string pair =
      "--checkpoint " + quoted(model.checkpoint()) + " " + picture("/cam1") + " " + picture("/cam3");
  const auto compare = [&](const std::string& options) {
    Result result = run_program("mpanet-compare", pair + options);
    REQUIRE_MESSAGE(result.code == 0, result.err);
    return result;
  };
  const std::string report =
      quoted(model.run()) + " --data " + quoted(model.data()) + " --no-pictures --out " + quoted(folder / "page.html");
  const Result before = compare("");
  CHECK(has(before.err, "has no calibration"));
  CHECK(!has(before.out, "probability"));
  REQUIRE(run_program("mpanet-report", report).code == 0);
  CHECK(!has(read_text(folder / "page.html"), "P = 0.5"));

  REQUIRE(eval("--calibrate-share 0.5").code == 0);
  const json curves = json::parse(read_text(model.calibration()))["curves"];
  for (const char* name : {"euclidean-unit", "euclidean", "cosine"}) {
    const Result after = compare(std::string(" --distance ") + name);
    const double distance = std::stod(after.out.substr(std::string("distance ").size()));
    const double intercept = curves[name]["intercept"], slope = curves[name]["slope"];
    // Both numbers are printed: the distance with six digits, the probability with four decimals.
    const std::string words = "same person with probability ";
    REQUIRE(has(after.out, words));
    CHECK(std::abs(std::stod(after.out.substr(after.out.find(words) + words.size())) -
                   1 / (1 + std::exp(-intercept - slope * distance))) < 1e-4);
    CHECK(has(after.out, "calibrated on 3 identities"));
  }
  const Result other = compare(" --size 48x24");
  CHECK(has(other.err, "the checkpoint's calibration is of pictures of 64x32"));
  CHECK(!has(other.out, "probability"));
  compare(" --sheet " + quoted(folder / "ab.png"));
  REQUIRE(run_program("mpanet-report", report).code == 0);
  const double threshold = curves["euclidean-unit"]["threshold"];
  const std::string html = read_text(folder / "page.html");
  CHECK(has(html, fmt::format("P = 0.5 at {:.4g}", threshold)));
  CHECK(has(html, "fitted on the pairs of 3 identities"));

  // Other weights: a stale calibration is refused by name, and calibrating again replaces it.
  const std::string kept = read_text(model.calibration());
  json stale = json::parse(kept);
  stale["checkpoint_sha256"] = sha256("other weights");
  write_file(model.calibration(), stale.dump());
  const std::string words = "best.safetensors.calibration.json: expected the calibration of";
  for (const auto& [program, arguments] : {std::pair("mpanet-compare", pair), std::pair("mpanet-report", report)}) {
    const Result refused = run_program(program, arguments);
    CHECK(refused.code == 2);
    CHECK(refused.out == "");
    CHECK_MESSAGE(has(refused.err, words), refused.err);
    CHECK(has(refused.err, sha256("other weights")));
  }
  REQUIRE(eval("--calibrate-share 0.5").code == 0);
  CHECK(read_text(model.calibration()) == kept);
}

TEST_CASE("calibrations that are refused" * doctest::skip(kLacking)) {
  const TemporaryFolder folder;
  const std::string ids = folder / "ids.txt";
  write_file(ids, "9999\n");
  check_eval_refused("--calibrate-ids " + quoted(ids), "ids.txt line 1: identity 9999 is not in the test set");
  check_eval_refused("--calibrate-ids " + quoted(folder / "none"), "none");
  check_eval_refused("--calibrate-ids " + quoted(ids) + " --calibrate-share 0.2", "not with --calibrate-ids");
  check_eval_refused("--calibrate-share 1", "--calibrate-share: expected a number in 0.001..0.999, got \"1\"");
  check_eval_refused("--calibrate-share 0.99", "expected identities that are left for the result, got all 6");
  check_eval_refused("--calibrate-seed 1", "--calibrate-seed: only with --calibrate-share");
  check_eval_refused("--calibrate-share 0.5 --parts global", "not with --parts");
  check_eval_refused("--calibrate-share 0.5 --feature before-bn", "not with --feature");
  check_eval_refused("--calibrate-share 0.5 --json " + quoted(trained().calibration()), "is --json too");
  CHECK(not_refused("mpanet-eval", "--chance 1 --calibrate-share 0.5 --data " + quoted(trained().data()),
                    "--calibrate-share: only with --checkpoint") == "");
  CHECK(!fs::exists(trained().calibration()));
}
