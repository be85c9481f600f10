// The reader of SYSU-MM01's layout on small folders made here (it never opens a picture, so they are empty files).
#include <doctest/doctest.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/base/file.h"
#include "data/sets/dataset.h"
#include "data/sets/picture_names.h"
#include "data/sets/sysu.h"
#include "data/sets/text_list.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text.h"

using namespace mpanet;
namespace fs = std::filesystem;

namespace {

class Folder : public TemporaryFolder {
 public:
  // Identities 9, 2 (training), 5 (validation), 7, 3 (test).
  Folder() {
    list("train", "9,2\n");
    list("val", "5\n");
    list("test", "7,3\n");
    for (int id : {9, 2, 5, 7, 3}) {
      image(fmt::format("cam1/{:04d}/0001.jpg", id));
      image(fmt::format("cam6/{:04d}/0001.jpg", id));
    }
  }
  void list(const std::string& name, const std::string& text) {
    fs::create_directories(*this / "exp");
    write_file(*this / ("exp/" + name + "_id.txt"), text);
  }
  void image(const std::string& relative) {
    fs::create_directories(fs::path(*this / relative).parent_path());
    write_file(*this / relative, "");
  }
};

std::string refusal(const std::string& root, Split split = Split::Both) {
  const std::string message = error_of([&] { read_dataset(DatasetKind::Sysu, root, split); });
  CHECK(message.find('\n') == message.npos);
  return message;
}

}  // namespace

TEST_CASE("training is train then val by position, test by ascending path") {
  Folder folder;
  folder.image("cam3/0009/0002.jpg");
  folder.image("cam3/0009/0001.jpg");
  folder.image("cam2/0003/0001.jpg");
  folder.image("cam4/0011/0001.jpg");  // in no list
  folder.image("cam3/0009/notes.txt");
  folder.image("cam3/0009/._0001.jpg");
  fs::create_directory(folder / "cam3/0009/folder.jpg");
  const Dataset data = read_dataset(parse_dataset_kind("sysu"), folder.path());
  CHECK(data.root == folder.path());
  CHECK(data.classes == 3);
  CHECK(data.notes ==
        std::vector<std::string>{"left aside 3 entries that are no pictures, the first is cam3/0009/._0001.jpg",
                                 "left aside 1 identity that no list names, 0011"});
  for (const char* other : {"cam1/9/0001.jpg", "cam7/0009/0001.jpg", "cam1/Thumbs.db", "cam10/x", "camera/x"})
    folder.image(other);
  for (const Split part : {Split::Train, Split::Test, Split::Both}) {
    const std::vector<std::string> notes = read_dataset(DatasetKind::Sysu, folder.path(), part).notes;
    CHECK(notes[notes.size() - 2] ==
          "left aside 4 entries that are no folders of a camera and an identity, the first is cam1/9");
    CHECK(notes.back() == "left aside 1 identity that no list names, 0011");
  }
  const std::vector<ImageRecord> train{{"cam1/0009/0001.jpg", 9, 1, false, 0}, {"cam3/0009/0001.jpg", 9, 3, true, 0},
                                       {"cam3/0009/0002.jpg", 9, 3, true, 0},  {"cam6/0009/0001.jpg", 9, 6, true, 0},
                                       {"cam1/0002/0001.jpg", 2, 1, false, 1}, {"cam6/0002/0001.jpg", 2, 6, true, 1},
                                       {"cam1/0005/0001.jpg", 5, 1, false, 2}, {"cam6/0005/0001.jpg", 5, 6, true, 2}};
  CHECK(data.train == train);
  const std::vector<ImageRecord> test{{"cam1/0003/0001.jpg", 3, 1, false, -1},
                                      {"cam1/0007/0001.jpg", 7, 1, false, -1},
                                      {"cam2/0003/0001.jpg", 3, 2, false, -1},
                                      {"cam6/0003/0001.jpg", 3, 6, true, -1},
                                      {"cam6/0007/0001.jpg", 7, 6, true, -1}};
  CHECK(data.test == test);
  const Dataset only_train = read_dataset(DatasetKind::Sysu, folder.path(), Split::Train);
  CHECK(only_train.train == train);
  CHECK(only_train.test.empty());
  const Dataset only_test = read_dataset(DatasetKind::Sysu, folder.path(), Split::Test);
  CHECK(only_test.test == test);
  CHECK(only_test.train.empty());
}

TEST_CASE("lists of identities") {
  TemporaryFolder folder;
  const std::string path = folder / "ids.txt";
  const auto read = [&](const std::string& text) {
    write_file(path, text);
    return read_id_list(path);
  };
  const auto refused = [&](const std::string& text) {
    const std::string message = error_of([&] { read(text); });
    CHECK(message.find('\n') == message.npos);
    return message;
  };
  CHECK(read("3,1,2") == std::vector<int>{3, 1, 2});
  CHECK(read(" 3, 0012 ,2\r\n") == std::vector<int>{3, 12, 2});
  CHECK(read("4,5,\n") == std::vector<int>{4, 5});
  CHECK(read("\xef\xbb\xbf\r\n\n 3,1\r\n\r\n") == std::vector<int>{3, 1});
  CHECK(has(refused("1,2,x\n"), path + " line 1: expected one line of comma-separated identities 1..9999, got \"x\""));
  CHECK(has(refused("\n1,2\n\n3,4\n"), path + " line 4: expected one line of comma-separated identities, got another"));
  CHECK(has(refused(""), path + ": expected one line of comma-separated identities 1..9999, got none"));
  CHECK(has(refused(std::string("1,\0", 3) + "2"), path + " line 1: expected text, got a NUL byte"));
  CHECK(has(refused("\xff\xfe"
                    "1,2"),
            "got UTF-16"));
  CHECK(has(refused("1,2,,"), "got \"\""));
  CHECK(has(refused("1,,2"), "got \"\""));
  CHECK(has(refused("1,0"), "got \"0\""));
  CHECK(has(refused("-1"), "got \"-1\""));
  CHECK(has(refused("10000"), "got \"10000\""));
  CHECK(has(refused("99999999999999999999"), "got \"9999"));
  CHECK(has(refused("1.5"), "got \"1.5\""));
  CHECK(has(refused("1,2,1"), "identity 1 stands twice"));
  CHECK(has(refused(std::string(100000, 'z')), "expected one line"));
}

TEST_CASE("missing folder, list, image, modality: one line that names it") {
  TemporaryFolder empty;
  CHECK(has(refusal(empty / "absent"), (empty / "absent") + ": no such folder"));
  write_file(empty / "file", "x");
  CHECK(has(refusal(empty / "file"), "expected a folder"));
  CHECK(has(refusal(empty.path()), "exp/train_id.txt: cannot open: No such file"));
  {
    Folder folder;
    fs::remove(folder / "exp/val_id.txt");
    CHECK(has(refusal(folder.path()), (folder / "exp/val_id.txt") + ": cannot open"));
    CHECK(refusal(folder.path(), Split::Test).empty());
    fs::remove(folder / "exp/test_id.txt");
    CHECK(has(refusal(folder.path(), Split::Test), "exp/test_id.txt: cannot open"));
  }
  {
    Folder folder;
    fs::remove_all(folder / "cam1/0005");
    CHECK(refusal(folder.path()).empty());  // one camera is enough
    fs::remove_all(folder / "cam6/0005");
    CHECK(has(refusal(folder.path()), "identity 5 is listed, but there is no picture in cam1..cam6/0005"));
    CHECK(refusal(folder.path(), Split::Test).empty());
  }
  {
    Folder folder;
    fs::remove(folder / "cam1/0007/0001.jpg");
    fs::remove(folder / "cam6/0007/0001.jpg");
    CHECK(has(refusal(folder.path()), "exp/test_id.txt: identity 7 is listed"));
  }
  {
    Folder folder;
    fs::remove_all(folder / "cam6");
    CHECK(has(refusal(folder.path()), "no infrared training image"));
    CHECK(has(refusal(folder.path(), Split::Test), "no infrared test image"));
    Folder other;
    fs::remove_all(other / "cam1");
    CHECK(has(refusal(other.path()), "no visible training image"));
  }
  {
    Folder folder;
    fs::remove_all(folder / "cam1/0009");
    write_file(folder / "cam1/0009", "x");
    CHECK(has(refusal(folder.path()), "cam1/0009: cannot read the folder"));
  }
}

TEST_CASE("an identity in two lists") {
  Folder folder;
  folder.list("val", "5,2");
  CHECK(has(refusal(folder.path()), "exp/val_id.txt: identity 2 stands in"));
  folder.list("val", "5");
  folder.list("test", "7,9");
  CHECK(has(refusal(folder.path()), "exp/test_id.txt: identity 9 stands in"));
}

TEST_CASE("the test images from the trial file alone") {
  TrialFile trials;
  for (int camera = 1; camera <= 6; camera++) trials.resize(camera, camera < 4 ? 3 : 12);
  const auto rows = [](int count) {
    std::vector<int32_t> numbers;
    for (int trial = 0; trial < 10; trial++)
      for (int i = 1; i <= count; i++) numbers.push_back(i);
    return numbers;
  };
  trials.set(2, 3, 2, rows(2));
  trials.set(6, 3, 1, rows(1));
  trials.set(4, 12, 1, rows(1));
  const std::vector<ImageRecord> images{{"cam2/0003/0001.jpg", 3, 2, false, -1},
                                        {"cam2/0003/0002.jpg", 3, 2, false, -1},
                                        {"cam4/0012/0001.jpg", 12, 4, false, -1},
                                        {"cam6/0003/0001.jpg", 3, 6, true, -1}};
  CHECK(sysu_test_images({12, 3}, trials) == images);
  CHECK(has(error_of([&] { sysu_test_images({3, 4}, trials); }), "identity 4 is listed"));
  CHECK(has(error_of([&] { sysu_test_images({400}, trials); }), "identity 400 is listed"));
}

TEST_CASE("kinds of data sets") {
  for (const DatasetKind kind : kDatasetKinds) CHECK(parse_dataset_kind(name_of(kind)) == kind);
  CHECK(has(error_of([] { parse_dataset_kind("sisu"); }), "expected one of sysu, regdb, llcm, csv, got \"sisu\""));
}

TEST_CASE("which files are pictures") {
  for (const char* name : {"0001.jpg", "0001.JPG", "a.JpEg", "b.png", "c.BMP", "d.e.jpg", "\xe4\xff.jpeg", "x y.Png"})
    CHECK_MESSAGE(is_picture_name(name), name);
  for (const char* name :
       {".jpg", ".hidden.jpg", "._0001.jpg", "0001", "0001.jpgx", "0001.gif", "Thumbs.db", "jpg", ""})
    CHECK_MESSAGE(!is_picture_name(name), name);
}

TEST_CASE("pictures in any format, links too") {
  Folder folder;
  for (const char* name : {"0002.JPG", "0003.jpeg", "0004.PNG", "0005.bmp", "\xff\xfe.jpg"})
    folder.image(std::string("cam2/0007/") + name);
  fs::create_symlink("0002.JPG", folder / "cam2/0007/0006.jpg");
  fs::create_symlink("nowhere", folder / "cam2/0007/0007.jpg");  // a missing picture is listed, not skipped
  const Dataset data = read_dataset(DatasetKind::Sysu, folder.path(), Split::Test);
  CHECK(data.test.size() == 4 + 7);
  CHECK(data.notes.empty());
  CHECK(has(error_of([&] { check_pictures(data, data.test); }),
            "cam2/0007/0007.jpg: no such picture (1 of the 11 that the data set lists are missing)"));
}

TEST_CASE("no identity in both modalities") {
  Folder folder;
  for (int id : {9, 2}) fs::remove_all(folder / fmt::format("cam1/{:04d}", id));
  fs::remove_all(folder / "cam6/0005");
  CHECK(has(refusal(folder.path()), "no training identity has both visible and infrared images"));
  CHECK(refusal(folder.path(), Split::Test).empty());
  fs::remove_all(folder / "cam1/0007");
  fs::remove_all(folder / "cam6/0003");
  CHECK(has(refusal(folder.path(), Split::Test), "no identity of the infrared test images is among the visible ones"));
}
