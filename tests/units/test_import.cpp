// Manifests of ordinary folder trees. The importer opens no picture, so they are empty files.
#include <filesystem>

#include "core/base/error.h"
#include "core/base/file.h"
#include "data/sets/dataset.h"
#include "data/sets/import.h"
#include "data/sets/import_pattern.h"
#include "data/sets/manifest.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text.h"
// clang-format off: last, because its CHECK replaces the engine's
#include <doctest/doctest.h>
// clang-format on

using namespace mpanet;
namespace fs = std::filesystem;

namespace {

class Tree : public TemporaryFolder {
 public:
  explicit Tree(const std::vector<std::string>& files) {
    for (const std::string& file : files) {
      fs::create_directories(fs::path(*this / file).parent_path());
      write_file(*this / file, "");
    }
  }
  ImportOptions options(const std::string& pattern) const {
    ImportOptions options;
    options.root = path();
    options.pattern = pattern;
    return options;
  }
  std::string manifest() const { return read_text(*this / kManifestName); }
  std::string refusal(const ImportOptions& options) const {
    const std::string message = error_of([&] { import_folder(options); });
    CHECK(message.find('\n') == message.npos);
    return message;
  }
};

}  // namespace

TEST_CASE("what a pattern fits") {
  const auto parts = [](const std::string& pattern, const std::string& path) {
    const auto found = PathPattern(pattern).match(path);
    return found ? found->identity + "|" + found->camera + "|" + found->modality + "|" + found->split : "none";
  };
  const std::string usual = "{modality}/{identity}_c{camera}_*.jpg";
  CHECK(parts(usual, "rgb/0012_c3_0001.jpg") == "0012|3|rgb|");
  CHECK(parts(usual, "RGB/a_b_C12_.JPG") == "a_b|12|RGB|");
  CHECK(parts(usual, "rgb/x/0012_c3_0001.jpg") == "none");
  CHECK(parts(usual, "rgb/0012_cx_0001.jpg") == "none");
  CHECK(parts(usual, "rgb/0012_c3_0001.png") == "none");
  CHECK(parts("{split}/{identity}/{identity}_?.p+g", "train/7/7_a.p+g") == "7|||train");
  CHECK(parts("{split}/{identity}/{identity}_?.p+g", "train/7/8_a.p+g") == "none");
  CHECK(parts("{identity}/*", "\xff\xfe/\xe4.jpg") == "\xff\xfe|||");
  // The time does not grow exponentially with the number of stars.
  CHECK(parts("{identity}*a*a*a*a*a*a*a*a*a*a*a*a*a*ab", std::string(3000, 'a')) == "none");
}

TEST_CASE("numbers stay, identities are divided evenly, other files are counted") {
  const Tree tree({"vis/01_c1_a.jpg", "vis/02_c1_a.jpg", "vis/3_c1_a.JPG", "vis/4_c2_a.jpg", "vis/5_c1_a.jpg",
                   "nir/01_c7_a.jpg", "nir/02_c7_a.jpg", "nir/3_c7_a.jpg", "nir/4_c7_a.jpg", "vis/other.jpg",
                   "vis/notes.txt", ".hidden/9_c1_a.jpg"});
  const ImportReport report = import_folder(tree.options("{modality}/{identity}_c{camera}_*.jpg"));
  CHECK(tree.manifest() ==
        "path,identity,camera,modality,split\n"
        "nir/01_c7_a.jpg,1,7,infrared,train\n"
        "nir/02_c7_a.jpg,2,7,infrared,query\n"
        "nir/3_c7_a.jpg,3,7,infrared,train\n"
        "nir/4_c7_a.jpg,4,7,infrared,query\n"
        "vis/01_c1_a.jpg,1,1,visible,train\n"
        "vis/02_c1_a.jpg,2,1,visible,gallery\n"
        "vis/3_c1_a.JPG,3,1,visible,train\n"
        "vis/4_c2_a.jpg,4,2,visible,gallery\n"
        "vis/5_c1_a.jpg,5,1,visible,train\n");
  REQUIRE(report.lines.size() == 3);
  CHECK(report.lines[0] == "left aside 1 picture that the pattern does not fit, such as vis/other.jpg");
  CHECK(report.lines[1] == "left aside 2 entries that are no pictures, the first is .hidden");
  CHECK(
      has(report.lines[2], "manifest.csv: 3 identities for training, 2 for the test, 5 visible and 4 infrared images"));
  const Dataset data = read_dataset(DatasetKind::Csv, tree.path());
  CHECK(data.classes == 3);
  CHECK(data.test.size() == 4);
  CHECK(has(tree.refusal(tree.options("{modality}/{identity}_c{camera}_*.jpg")), "manifest.csv: exists already"));
}

TEST_CASE("names, splits, words and cameras of one's own; a manifest above the tree") {
  const Tree tree({"data/train/anna, b/lepton.jpg", "data/train/anna, b/webcam.jpg", "data/test/zoe/webcam.jpg",
                   "data/test/zoe/lepton.jpg"});
  ImportOptions options = tree.options("{split}/{identity}/{modality}.jpg");
  options.root = tree / "data";
  options.out = tree / kManifestName;
  CHECK(has(tree.refusal(options),
            "test/zoe/lepton.jpg: expected a modality such as visible or infrared, got \"lepton\""));
  options.infrared = {"Lepton"};
  options.visible = {"webcam"};
  options.query_visible = true;
  import_folder(options);
  CHECK(tree.manifest() ==
        "path,identity,camera,modality,split,name\n"
        "data/test/zoe/lepton.jpg,2,2,infrared,gallery,zoe\n"
        "data/test/zoe/webcam.jpg,2,1,visible,query,zoe\n"
        "\"data/train/anna, b/lepton.jpg\",1,2,infrared,train,\"anna, b\"\n"
        "\"data/train/anna, b/webcam.jpg\",1,1,visible,train,\"anna, b\"\n");
  CHECK(read_dataset(DatasetKind::Csv, tree.path()).notes.empty());

  const Tree by_camera({"1_c1.jpg", "1_c3.jpg", "2_c1.jpg", "2_c3.jpg"});
  ImportOptions cameras = by_camera.options("{identity}_c{camera}.jpg");
  CHECK(has(by_camera.refusal(cameras), "--infrared-cameras"));
  cameras.infrared_cameras = {3};
  import_folder(cameras);
  CHECK(has(by_camera.manifest(), "2_c1.jpg,2,1,visible,gallery\n2_c3.jpg,2,3,infrared,query\n"));
}

TEST_CASE("a share for the test that leaves one part empty") {
  const std::vector<std::string> files = {"vis/1_c1.jpg", "nir/1_c2.jpg", "vis/2_c1.jpg", "nir/2_c2.jpg",
                                          "vis/3_c1.jpg", "nir/3_c2.jpg", "vis/4_c1.jpg"};
  const auto with_share = [](const Tree& tree, double share) {
    ImportOptions options = tree.options("{modality}/{identity}_c{camera}.jpg");
    options.test_share = share;
    return options;
  };
  {
    const Tree tree(files);
    CHECK(import_folder(with_share(tree, 0)).lines.back() ==
          "no row is for the test, so training needs eval_interval=0");
    const Dataset data = read_dataset(DatasetKind::Csv, tree.path(), Split::Train);
    CHECK(data.classes == 4);
    CHECK(data.train.size() == 7);
    CHECK(read_dataset(DatasetKind::Csv, tree.path(), Split::Present).test.empty());
  }
  {
    const Tree tree(files);
    CHECK(import_folder(with_share(tree, 1)).lines.back() == "no row is for training");
    const Dataset data = read_dataset(DatasetKind::Csv, tree.path(), Split::Test);
    CHECK(data.test.size() == 7);
    CHECK(read_dataset(DatasetKind::Csv, tree.path(), Split::Present).train.empty());
  }
  const Tree tree(files);
  const std::string expected =
      "--test-share: expected a share that leaves identities for training and for the test, got ";
  CHECK(has(tree.refusal(with_share(tree, 0.1)),
            expected + "0.1: 0 of 3 identities with both modalities would be for the test"));
  CHECK(has(tree.refusal(with_share(tree, 0.999999999999)), "3 of 3 identities with both modalities"));
  const Tree visible({"vis/1_c1.jpg", "vis/2_c1.jpg"}), single({"vis/1_c1.jpg", "nir/1_c2.jpg"});
  CHECK(has(visible.refusal(with_share(visible, 0.5)), expected + "0.5: 0 of 0 identities with both"));
  CHECK(has(single.refusal(with_share(single, 0.5)), expected + "0.5: 0 of 1 identity with both"));
  // Nothing could be trained on or tested with these.
  CHECK(has(visible.refusal(with_share(visible, 0)), "no infrared training image"));
  CHECK(has(visible.refusal(with_share(visible, 1)), "no query image"));
  const Tree parts({"train/1/vis.jpg", "train/1/nir.jpg", "query/2/nir.jpg"});
  CHECK(has(parts.refusal(parts.options("{split}/{identity}/{modality}.jpg")), "no gallery image"));
  for (const Tree* refused : {&tree, &visible, &single, &parts}) CHECK(!fs::exists(*refused / kManifestName));
}

TEST_CASE("nothing is guessed: placeholders side by side, words of both modalities, numbers with zeros before them") {
  const Tree tree({"vis/1_c1.jpg", "ir/001_c2.jpg", "vis/2_c1.jpg", "ir/2_c2.jpg"});
  for (const char* pattern : {"{modality}/{identity}{camera}.jpg", "{modality}/{identity}*{camera}.jpg",
                              "{modality}/{identity}?{camera}.jpg", "{modality}/{identity}*?{camera}.jpg"})
    CHECK(tree.refusal(tree.options(pattern)) ==
          "--pattern: expected text between \"{identity}\" and \"{camera}\", which would be divided by guess, got \"" +
              std::string(pattern) + "\"");
  ImportOptions options = tree.options("{modality}/{identity}_c{camera}.jpg");
  CHECK(tree.refusal(options) ==
        "vis/1_c1.jpg: identity \"1\" is the same number as \"001\" of ir/001_c2.jpg; write both alike if they are one "
        "person");
  options.visible = {"IR"};
  CHECK(tree.refusal(options) == "--visible: \"IR\" is a word for infrared");
  options.visible = {"lepton"};
  options.infrared = {"Lepton"};
  CHECK(tree.refusal(options) == "--visible: \"lepton\" is a word for infrared");
  options.visible.clear();
  options.infrared = {"rgb"};
  CHECK(tree.refusal(options) == "--infrared: \"rgb\" is a word for visible");
  CHECK(!fs::exists(tree / kManifestName));
}

TEST_CASE("trees and patterns that are refused") {
  const Tree tree({"train/1/vis.jpg", "train/1/ir.jpg", "test/1/vis.jpg", "val/2/vis.jpg"});
  const auto refused = [&](const std::string& pattern) { return tree.refusal(tree.options(pattern)); };
  CHECK(has(refused("{modality}.jpg"), "--pattern: expected one with {identity}"));
  CHECK(has(refused("{person}.jpg"),
            "--pattern: expected {identity}, {camera}, {modality} or {split}, got \"{person}\""));
  CHECK(has(refused("{identity.jpg"), "a brace is not closed"));
  CHECK(has(refused("/{identity}.jpg"), "expected a path below the folder"));
  CHECK(has(refused("*/{identity}/{modality}.png"),
            "no picture fits \"*/{identity}/{modality}.png\", such as test/1/vis.jpg"));
  CHECK(has(refused("{identity}/{modality}.jpg"), "no picture fits"));
  CHECK(has(refused("{split}/{identity}/{modality}.jpg"),
            "val/2/vis.jpg: expected train, test, query or gallery as split, got \"val\""));
  for (const auto& [pattern, words] :
       {std::pair("{split}/{identity}/{modality}.jpg", "--test-share: expected a pattern without {split}"),
        std::pair("*/{identity}/{modality}_{camera}.jpg", "--infrared-cameras: expected a pattern without {modality}"),
        std::pair("*/{identity}/{camera}.jpg", "--visible and --infrared: expected a pattern with {modality}")}) {
    ImportOptions options = tree.options(pattern);
    options.infrared_cameras = {3};
    if (pattern[1] == 's') options.test_share = 0.5;
    if (std::string_view(pattern).find("modality") == std::string_view::npos) options.visible = {"webcam"};
    CHECK(has(tree.refusal(options), words));
  }
  fs::remove_all(tree / "val");
  CHECK(has(refused("{split}/{identity}/{modality}.jpg"),
            "identity \"1\" is in train here and in gallery by test/1/vis.jpg"));
  ImportOptions elsewhere = tree.options("train/{identity}/{modality}.jpg");
  elsewhere.out = tree / "train/1/m.csv";
  CHECK(has(tree.refusal(elsewhere), "m.csv: expected a manifest in "));
  ImportOptions absent = elsewhere;
  absent.root = tree / "absent";
  CHECK(has(tree.refusal(absent), "absent: no such folder"));
  CHECK(!fs::exists(tree / kManifestName));
}
