// The text files of data sets: lists of identities and lists of labelled pictures. They may begin with a byte order
// mark, end lines with CR LF and contain blank lines.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mpanet {

// A file's text without the byte order mark. UserError for a file above 256 MiB, UTF-16, and a NUL byte (with its
// line): such a file is no list.
std::string read_list_text(const std::string& path);

// A to Z as small letters; other bytes unchanged.
std::string lower(std::string text);

// The text without spaces, tabs, CR and LF at both ends.
std::string_view trimmed(std::string_view text);

struct Line {
  size_t number = 0;  // from 1
  std::string_view text;
};
// The lines that are not blank, trimmed. They are views into `text`.
std::vector<Line> lines_of(std::string_view text);

// The normal form of a path in a list: with '/', without "." and doubled '/'. UserError, which begins with `where`, for
// an empty or absolute path, a path out of the data set's folder by "..", a path of more than 4,096 bytes, and a name
// that no picture has (picture_names.h).
std::string checked_path(std::string_view path, const std::string& where);

// One line of comma-separated identities (each 1..9999), in file order; a comma at its end is allowed. UserError, with
// the line's number, for other content and for a number given twice.
std::vector<int> read_id_list(const std::string& path);

struct LabelledPath {
  std::string path;  // checked_path()
  int label = 0;
  size_t line = 0;
};
// Lines "path label"; a path may contain spaces. UserError, with the line's number, for other content, a label that is
// no number in 0..999,999, a path given twice, and an empty list.
std::vector<LabelledPath> read_labelled_paths(const std::string& path);

// "exp/test_id.txt line 3"
std::string at_line(const std::string& path, size_t line);

}  // namespace mpanet
