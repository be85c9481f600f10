// The readers of RegDB, LLCM and CSV manifests on small folders. They open no picture, so most pictures do not exist.
#include <filesystem>

#include "core/base/error.h"
#include "core/base/file.h"
#include "data/sets/csv.h"
#include "data/sets/dataset.h"
#include "data/sets/text_list.h"
#include "data/sets/verify.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text.h"
// clang-format off: last, because its CHECK replaces the engine's
#include <doctest/doctest.h>
// clang-format on

using namespace mpanet;
namespace fs = std::filesystem;
using Images = std::vector<ImageRecord>;

namespace {

class Folder : public TemporaryFolder {
 public:
  void file(const std::string& relative, const std::string& text) {
    fs::create_directories(fs::path(*this / relative).parent_path());
    write_file(*this / relative, text);
  }
  std::string refusal(DatasetKind kind, Split split = Split::Both, int number = 1) {
    const std::string message = error_of([&] { read_dataset(kind, path(), split, number); });
    CHECK(message.find('\n') == message.npos);
    return message;
  }
};

// Identities 12 and 7 for training, 3 and 100 for the test; split 2 is the reverse.
class RegDb : public Folder {
 public:
  RegDb() {
    const std::string a = "Visible/12/a.bmp 0\nVisible/7/b.bmp 1\n", b = "Visible/3/c.bmp 0\nVisible/100/d.bmp 1\n";
    const auto thermal = [](std::string text) {
      for (size_t at; (at = text.find("Visible")) != text.npos;) text.replace(at, 7, "Thermal");
      return text;
    };
    for (const auto& [split, train, test] : {std::tuple(1, a, b), std::tuple(2, b, a)}) {
      file(fmt::format("idx/train_visible_{}.txt", split), train);
      file(fmt::format("idx/train_thermal_{}.txt", split), thermal(train));
      file(fmt::format("idx/test_visible_{}.txt", split), test);
      file(fmt::format("idx/test_thermal_{}.txt", split), thermal(test));
    }
  }
  std::string with(const std::string& list, const std::string& text, Split split = Split::Both) {
    const std::string before = read_text(*this / list);
    file(list, text);
    const std::string message = refusal(DatasetKind::RegDb, split);
    file(list, before);
    return message;
  }
};

class Manifest : public Folder {
 public:
  static constexpr const char* kGood =
      "path,identity,camera,modality,split\n"
      "a/1.jpg,10,1,visible,train\n"
      "a/2.jpg,10,2,infrared,train\n"
      "a/3.jpg,20,1,visible,gallery\n"
      "a/4.jpg,20,2,infrared,query\n";
  std::string of(const std::string& text, Split split = Split::Both) {
    file("manifest.csv", text);
    return refusal(DatasetKind::Csv, split);
  }
};

}  // namespace

TEST_CASE("RegDB: identities by folder, classes ascending, splits") {
  RegDb folder;
  const Dataset data = read_dataset(DatasetKind::RegDb, folder.path());
  CHECK(data.classes == 2);
  CHECK(data.train == Images{{"Visible/7/b.bmp", 7, 2, false, 0},
                             {"Thermal/7/b.bmp", 7, 3, true, 0},
                             {"Visible/12/a.bmp", 12, 2, false, 1},
                             {"Thermal/12/a.bmp", 12, 3, true, 1}});
  CHECK(data.test == Images{{"Thermal/100/d.bmp", 100, 3, true},
                            {"Thermal/3/c.bmp", 3, 3, true},
                            {"Visible/100/d.bmp", 100, 2, false},
                            {"Visible/3/c.bmp", 3, 2, false}});
  const Dataset other = read_dataset(DatasetKind::RegDb, folder.path(), Split::Train, 2);
  CHECK(other.train.front().identity == 3);
  CHECK(other.test.empty());
  CHECK(has(folder.refusal(DatasetKind::RegDb, Split::Both, 3), "idx/train_visible_3.txt: cannot open"));
  CHECK(find_dataset_kind(folder.path()) == DatasetKind::RegDb);
  CHECK(has(error_of([&] { check_pictures(data, data.train); }),
            "Visible/7/b.bmp: no such picture (4 of the 4 that the data set lists are missing)"));
}

TEST_CASE("RegDB: lists as they are met, and lists that are wrong") {
  RegDb folder;
  const std::string list = "idx/train_visible_1.txt";
  CHECK(folder.with(list, "\xef\xbb\xbf\r\n./Visible/12/a b.bmp\t 0 \r\n\r\nVisible//7/b.bmp 1") == "");
  CHECK(has(folder.with(list, ""), list + ": expected lines \"path label\", got none"));
  CHECK(has(folder.with(list, "Visible/12/a.bmp 0\nVisible/7/b.bmp"), list + " line 2: expected a path and a label"));
  CHECK(has(folder.with(list, "\nVisible/12/a.bmp one"), list + " line 2: expected a label in 0..999999"));
  CHECK(has(folder.with(list, "Visible/12/a.bmp -1"), "expected a label in 0..999999 after the path, got \"-1\""));
  CHECK(has(folder.with(list, "Visible/12/a.bmp 99999999999999999999"), "expected a label"));
  CHECK(has(folder.with(list, "../12/a.bmp 0"), list + " line 1: the path leaves the data set's folder"));
  CHECK(has(folder.with(list, "Visible/../../12/a.bmp 0"), "the path leaves the data set's folder"));
  CHECK(has(folder.with(list, "/Visible/12/a.bmp 0"), "expected a path inside the data set's folder"));
  CHECK(has(folder.with(list, fmt::format("{:x>5000} 0", "")), "expected a path of at most 4096 bytes, got 5000"));
  CHECK(has(folder.with(list, "Visible/12/a.bmp 0\nVisible/12/./a.bmp 0"),
            list + " line 2: \"Visible/12/a.bmp\" is already in line 1"));
  CHECK(has(folder.with(list, "Visible/x/a.bmp 0"), list + " line 1: expected the identity's number as the name"));
  CHECK(has(folder.with(list, "a.bmp 0"), "expected the identity's number as the name"));
  CHECK(has(folder.with(list, "Visible/12/a.bmp 0\nVisible/12/b.bmp 1"),
            list + " line 2: expected the label 0 for identity 12 as in the lines before, got 1"));
  CHECK(has(folder.with(list, "Visible/12/a.bmp 0\nVisible/7/b.bmp 0"),
            list + " line 2: the label 0 stands for identity 12 in the lines before, here for 7"));
  CHECK(has(folder.with("idx/train_thermal_1.txt", "Thermal/12/a.bmp 1\n"),
            "idx/train_thermal_1.txt line 1: expected the label 0 for identity 12"));
  CHECK(has(folder.with(list, "Thermal/12/a.bmp 0"), list + " line 1: expected a visible picture"));
  CHECK(folder.with(list, "Visible/12/a.PnG 0\nVisible/7/b.JPEG 1") == "");
  for (const char* name : {"a.gif", "a", ".a.bmp", "a.bmp.part"})
    CHECK(has(folder.with(list, fmt::format("Visible/7/b.bmp 1\nVisible/12/{} 0", name)),
              fmt::format("{} line 2: expected a picture, whose name ends in .jpg, .jpeg, .png or .bmp, got "
                          "\"Visible/12/{}\"",
                          list, name)));
  folder.file("idx/train_thermal_1.txt", "x/12/a.bmp 0\n");
  CHECK(has(folder.with(list, "x/12/a.bmp 0"), "idx/train_thermal_1.txt line 1: \"x/12/a.bmp\" stands in "));
  folder.file("idx/train_thermal_1.txt", "Thermal/5/a.bmp 5\n");
  CHECK(has(folder.refusal(DatasetKind::RegDb), "split 1: no training identity has both visible and infrared images"));
}

TEST_CASE("RegDB: parts that do not fit together") {
  RegDb folder;
  folder.file("idx/test_thermal_1.txt", "Thermal/4/c.bmp 4\n");
  CHECK(has(folder.refusal(DatasetKind::RegDb),
            "split 1: no identity of the infrared test images is among the visible ones"));
  folder.file("idx/test_thermal_1.txt", "Thermal/3/c.bmp 0\nThermal/7/x.bmp 7\n");
  CHECK(
      has(folder.refusal(DatasetKind::RegDb), "split 1: identity 7 is in training and in the test (Thermal/7/x.bmp)"));
  fs::remove(folder / "idx/test_thermal_1.txt");
  CHECK(folder.refusal(DatasetKind::RegDb, Split::Train).empty());
  CHECK(has(folder.refusal(DatasetKind::RegDb, Split::Test), "idx/test_thermal_1.txt: cannot open"));
  CHECK(has(error_of([&] { read_dataset(DatasetKind::RegDb, folder / "absent"); }), "absent: no such folder"));
}

TEST_CASE("LLCM: training by list, the test by folder, near-infrared camera 3 absent") {
  Folder folder;
  folder.file("idx/train_vis.txt", "vis/0005/0005_c01_s1_vis.jpg 40\nvis/0009/0009_c12_s1_vis.jpg 2\n");
  folder.file("idx/train_nir.txt", "nir/cam4/0009/x.jpg 2\nnir/0005/0005_c02_s1_nir.jpg 40\n");
  folder.file("idx/test_id.txt", "7,2\n");
  folder.file("test_vis/cam3/0007/a.jpg", "");
  folder.file("test_vis/cam1/0002/b.jpg", "");
  folder.file("test_nir/cam9/0007/c.PNG", "");
  folder.file("test_nir/cam9/0007/Thumbs.db", "");
  folder.file("test_nir/cam3/0007/never.jpg", "");
  folder.file("test_vis/cam3/0008/unlisted.jpg", "");
  const Dataset data = read_dataset(DatasetKind::Llcm, folder.path());
  CHECK(data.classes == 2);
  CHECK(data.train == Images{{"nir/cam4/0009/x.jpg", 2, 4, true, 0},
                             {"vis/0009/0009_c12_s1_vis.jpg", 2, 12, false, 0},
                             {"vis/0005/0005_c01_s1_vis.jpg", 40, 1, false, 1},
                             {"nir/0005/0005_c02_s1_nir.jpg", 40, 2, true, 1}});
  CHECK(data.test == Images{{"test_nir/cam9/0007/c.PNG", 7, 9, true},
                            {"test_vis/cam1/0002/b.jpg", 2, 1, false},
                            {"test_vis/cam3/0007/a.jpg", 7, 3, false}});
  const std::vector<std::string> notes = {
      "left aside 1 entry that is no picture, test_nir/cam9/0007/Thumbs.db",
      "left aside 2 entries of the test that are no folders of a camera and a listed identity, the first is "
      "test_nir/cam3"};
  CHECK(data.notes == notes);
  CHECK(read_dataset(DatasetKind::Llcm, folder.path(), Split::Train).notes.empty());
  CHECK(read_dataset(DatasetKind::Llcm, folder.path(), Split::Test).notes == notes);
  CHECK(verify_dataset(DatasetKind::Llcm, folder.path(), "", 1, [](const std::string&) {}).notes == notes);
  CHECK(find_dataset_kind(folder.path()) == DatasetKind::Llcm);

  const auto refusal = [&](Split split = Split::Both) { return folder.refusal(DatasetKind::Llcm, split); };
  folder.file("idx/test_id.txt", "7,2,5\n");
  CHECK(has(refusal(), "idx/test_id.txt: identity 5 is listed, but there is no picture"));
  folder.file("idx/test_id.txt", "2\n");
  CHECK(has(refusal(), "no infrared test image"));
  fs::remove(folder / "idx/test_id.txt");
  CHECK(has(refusal(), "idx/test_id.txt: cannot open"));
  CHECK(refusal(Split::Train) == "");
  folder.file("idx/train_nir.txt", "vis/0005/0005_c01_s1_vis.jpg 40\n");
  CHECK(has(refusal(), "idx/train_nir.txt line 1: \"vis/0005/0005_c01_s1_vis.jpg\" stands in idx/train_vis.txt too"));
  folder.file("idx/train_nir.txt", "nir/a.jpg 41\n");
  CHECK(has(refusal(), "no training identity has both visible and infrared images"));
}

TEST_CASE("LLCM: entries of the test folders that are not read are counted, once") {
  Folder folder;
  folder.file("idx/test_id.txt", "1\n");
  for (const char* file : {"test_vis/cam1/0001/a.jpg", "test_nir/cam2/0001/a.jpg"}) folder.file(file, "");
  const auto notes = [&] { return read_dataset(DatasetKind::Llcm, folder.path(), Split::Test).notes; };
  CHECK(notes().empty());
  const std::string one = "left aside 1 entry of the test that is no folder of a camera and a listed identity, ";
  for (const char* other : {"test_vis/cam1/1", "test_vis/cam10", "test_nir/cam3", "test_vis/cam01",
                            "test_vis/cam1/00001", "test_nir/cam9/0002", "test_vis/x.jpg"}) {
    folder.file(std::string(other) + "/a.jpg", "");
    CHECK(notes() == std::vector<std::string>{one + other});
    fs::remove_all(folder / other);
  }
  folder.file("test_vis/cam10/0001/a.jpg", "");
  folder.file("test_vis/cam1/1/a.jpg", "");
  CHECK(notes() == std::vector<std::string>{"left aside 2 entries of the test that are no folders of a camera and a "
                                            "listed identity, the first is test_vis/cam1/1"});
}

TEST_CASE("LLCM: training lists that name the test, the other modality or another identity") {
  Folder folder;
  const std::string good = "vis/0005/a.jpg 0\nvis/0009/a.jpg 1\n";
  folder.file("idx/train_nir.txt", "nir/0005/a.jpg 0\nnir/0009/a.jpg 1\n");
  const auto refusal = [&](const std::string& more) {
    folder.file("idx/train_vis.txt", good + more);
    return folder.refusal(DatasetKind::Llcm, Split::Train);
  };
  CHECK(refusal("train_vis/0011/a.jpg 2\nelsewhere/b.jpg 1\n") == "");
  const std::string line = folder / "idx/train_vis.txt line 3: ";
  for (const char* path : {"test_vis/cam1/0007/a.jpg", "test_nir/cam1/0007/a.jpg", "./vis/../test_vis/cam1/0007/a.jpg",
                           "Test_Vis/cam1/0007/a.jpg"})
    CHECK(refusal(fmt::format("{} 2", path)) ==
          line + fmt::format("expected a training picture, got one of the test: \"{}\"",
                             fs::path(path).lexically_normal().string()));
  CHECK(refusal("nir/0005/b.jpg 0") == line + "expected a visible picture, got \"nir/0005/b.jpg\"");
  CHECK(refusal("train_nir/0005/b.jpg 0") == line + "expected a visible picture, got \"train_nir/0005/b.jpg\"");
  CHECK(refusal("vis/0005/b.jpg 1") == line + "expected the label 0 for identity 5 as in the lines before, got 1");
  CHECK(refusal("vis/0006/b.jpg 1") == line + "the label 1 stands for identity 9 in the lines before, here for 6");
  CHECK(has(refusal("vis/0006/b.gif 2"), "line 3: expected a picture, whose name ends in"));
  // The lists of both modalities have the same labels.
  folder.file("idx/train_nir.txt", "nir/0005/a.jpg 1\n");
  CHECK(refusal("") ==
        folder / "idx/train_nir.txt line 1: expected the label 0 for identity 5 as in the lines before, " + "got 1");
}

TEST_CASE("a manifest: rows, roles, the folder or the file") {
  Manifest folder;
  CHECK(folder.of(Manifest::kGood) == "");
  const Images train{{"a/1.jpg", 10, 1, false, 0}, {"a/2.jpg", 10, 2, true, 0}};
  const Images test{{"a/3.jpg", 20, 1, false, -1, Role::Gallery}, {"a/4.jpg", 20, 2, true, -1, Role::Query}};
  for (const std::string& root : {folder.path(), folder / "manifest.csv"}) {
    const Dataset data = read_dataset(DatasetKind::Csv, root);
    CHECK(data.root == folder.path());
    CHECK(data.classes == 1);
    CHECK(data.train == train);
    CHECK(data.test == test);
    CHECK(data.notes.empty());
    CHECK(find_dataset_kind(root) == DatasetKind::Csv);
  }
  // The same rows as spreadsheets and people write them.
  folder.file("manifest.csv",
              "\xef\xbb\xbf\r\nSplit, Modality ,camera,\"identity\",colour,path,,\r\n"
              "TRAIN,Visible,1,10,red,./a//1.jpg,,\r\n\r\n,,,,,\r\n"
              "train,infrared,2,10,\"a \"\"b\"\",\r\nc\",\"a/2.jpg\"\r\n"
              "gallery,visible,01,20,,a/3.jpg\r\nquery,infrared,2,20,,a/4.jpg");
  const Dataset data = read_dataset(DatasetKind::Csv, folder.path());
  CHECK(data.train == train);
  CHECK(data.test == test);
  CHECK(data.notes == std::vector<std::string>{"left aside 1 column of the manifest: \"colour\""});
}

TEST_CASE("a manifest with one part alone") {
  Manifest folder;
  const std::string header = "path,identity,camera,modality,split\n";
  const std::string train = "a.jpg,1,1,visible,train\nb.jpg,1,2,infrared,train\n";
  const std::string test = "c.jpg,2,1,visible,gallery\nd.jpg,2,2,infrared,query\n";
  const auto notes = [&] { return read_dataset(DatasetKind::Csv, folder.path(), Split::Present).notes; };
  const auto problems = [&] {
    std::vector<std::string> said;
    verify_dataset(DatasetKind::Csv, folder.path(), "", 1, [&](const std::string& line) { said.push_back(line); });
    std::erase_if(said, [](const std::string& line) { return has(line, "cannot open"); });  // the pictures
    return said;
  };
  CHECK(has(folder.of(header + train), "manifest.csv: no test image"));
  CHECK(folder.of(header + train, Split::Train) == "");
  CHECK(notes() == std::vector<std::string>{"the manifest has no row for the test: training needs eval_interval=0"});
  CHECK(problems().empty());
  CHECK(has(folder.of(header + test), "no infrared training image"));
  CHECK(folder.of(header + test, Split::Test) == "");
  CHECK(notes() == std::vector<std::string>{"the manifest has no row for training"});
  CHECK(problems().empty());
  CHECK(folder.of(header + train + test) == "");
  CHECK(notes().empty());
  CHECK(has(folder.of(header, Split::Present), "no infrared training image"));
  CHECK(has(folder.of(header + "a.jpg,1,1,visible,train\n", Split::Present), "no infrared training image"));
  CHECK(has(folder.of(header + "d.jpg,2,2,infrared,query\n", Split::Present), "no gallery image"));
  CHECK(problems() == std::vector<std::string>{folder / "manifest.csv: no gallery image",
                                               folder / "manifest.csv: no infrared training image"});
}

TEST_CASE("a manifest that is wrong: file, line, what") {
  Manifest folder;
  const std::string header = "path,identity,camera,modality,split\n", good = Manifest::kGood;
  const std::string file = folder / "manifest.csv";
  CHECK(has(folder.of(""), file + ": expected the header path,identity,camera,modality,split, got no line"));
  CHECK(has(folder.of("a/1.jpg,10,1,visible,train\n"), file + " line 1: expected a header with the columns"));
  CHECK(has(folder.of("path,identity,camera,modality\n"), "got no column split"));
  CHECK(has(folder.of("path,identity,camera,modality,split,Path\n"), "line 1: the column path stands twice"));
  CHECK(has(folder.of(good + "b.jpg,x,1,visible,train\n"),
            file + " line 6: expected a whole number in 0..999999999 as identity, got \"x\""));
  CHECK(has(folder.of(good + "b.jpg,1.5,1,visible,train\n"), "as identity, got \"1.5\""));
  CHECK(has(folder.of(good + "b.jpg,-1,1,visible,train\n"), "as identity, got \"-1\""));
  CHECK(has(folder.of(good + "b.jpg,99999999999999,1,visible,train\n"), "as identity"));
  CHECK(has(folder.of(good + "b.jpg,1,one,visible,train\n"),
            "line 6: expected a whole number in 0..999999999 as camera"));
  CHECK(has(folder.of(good + "b.jpg,1,1,thermal,train\n"),
            "line 6: expected visible or infrared as modality, got \"thermal\""));
  CHECK(has(folder.of(good + "b.jpg,1,1,visible,val\n"),
            "line 6: expected train, query or gallery as split, got \"val\""));
  CHECK(has(folder.of(good + "b.jpg,1,1,visible\n"), "line 6: the field split is empty"));
  CHECK(has(folder.of(good + ",1,1,visible,train\n"), "line 6: the field path is empty"));
  CHECK(has(folder.of(good + "b.jpg,1,1,visible,train,x\n"), "line 6: expected 5 fields as in the header, got 6"));
  CHECK(has(folder.of(good + "\n\"b\nb.jpg\",1,1,visible,train\n/c.jpg,1,1,visible,train\n"),
            "line 9: expected a path inside the data set's folder, got \"/c.jpg\""));
  CHECK(has(folder.of(good + "../b.jpg,1,1,visible,train\n"), "line 6: the path leaves the data set's folder"));
  CHECK(has(folder.of(good + "b.gif,1,1,visible,train\n"), "line 6: expected a picture, whose name ends in"));
  CHECK(has(folder.of(good + "a/./1.jpg,10,1,visible,train\n"), "line 6: \"a/1.jpg\" is already in line 2"));
  CHECK(has(folder.of(good + "b.jpg,10,1,visible,query\n"),
            "line 6: identity 10 is in the test here and for training in line 2"));
  CHECK(has(folder.of(good + "\"b.jpg,10,1,visible,train\n"), "line 6: the quote that opens here is never closed"));
  CHECK(has(folder.of(good + "\"b\".jpg,10,1,visible,train\n"),
            "line 6: expected a comma after the closing quote of \"b\""));
  CHECK(has(folder.of(std::string("p\0th", 4)), "line 1: expected text, got a NUL byte"));
  CHECK(has(folder.of("\xfe\xff"), "got UTF-16"));
  CHECK(has(folder.of(header + "a.jpg,1,1,visible,train\n"), "no infrared training image"));
  CHECK(has(folder.of(header + "a.jpg,1,1,visible,query\n", Split::Test), "no gallery image"));
  CHECK(has(folder.of(header + "a.jpg,1,1,visible,query\nb.jpg,2,1,infrared,gallery\n", Split::Test),
            "no identity of the queries is among the gallery images"));
  CHECK(has(folder.of(header + "a.jpg,1,1,visible,train\nb.jpg,2,1,infrared,train\n", Split::Train),
            "no training identity has both"));
  CHECK(has(error_of([&] { read_dataset(DatasetKind::Csv, folder / "absent.csv"); }), "absent.csv: cannot open"));
}

TEST_CASE("fields are quoted where they have to be, and read as they were") {
  TemporaryFolder folder;
  const std::vector<std::string> fields = {"plain",    "a,b",      "say \"x\"", "two\nlines",
                                           " spaced ", "\xff\xfe", "\r",        "x"};
  std::string line;
  for (const std::string& field : fields) line += (line.empty() ? "" : ",") + csv_field(field);
  write_file(folder / "x.csv", line + "\n");
  const auto rows = read_csv(folder / "x.csv");
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].fields == fields);
  // One row at a time.
  write_file(folder / "x.csv", "\"a,\"\"b\" , c ,,\n\n\"a\nb\"\n\"a\"b,c");
  std::vector<CsvRow> taken;
  CHECK(has(error_of([&] { read_csv(folder / "x.csv", [&](CsvRow row) { taken.push_back(std::move(row)); }); }),
            "x.csv line 5: expected a comma after the closing quote of \"a\""));
  REQUIRE(taken.size() == 2);
  CHECK(taken[0].fields == std::vector<std::string>{"a,\"b", "c"});
  CHECK(taken[1].fields == std::vector<std::string>{"a\nb"});
  CHECK(taken[1].line == 3);
  CHECK(csv_field("plain") == "plain");
  CHECK(csv_field("a,\"b") == "\"a,\"\"b\"");
}
