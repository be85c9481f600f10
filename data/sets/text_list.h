// The text files of data sets: lists of identities and lists of labelled pictures. All of them may begin with a byte
// order mark, end their lines with CR LF and hold blank lines.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mpanet {

// A file's text without the byte order mark. UserError for a file above 256 MiB, UTF-16, and a NUL byte (with its
// line): what such a file is, is no list.
std::string read_list_text(const std::string& path);

// Without spaces, tabs, CR and LF at both ends.
std::string_view trimmed(std::string_view text);

struct Line {
  size_t number = 0;  // from 1
  std::string_view text;
};
// The lines that are not blank, trimmed. They are views into `text`.
std::vector<Line> lines_of(std::string_view text);

// A path of a list in the form that names it once: with '/', no "." and nothing doubled. UserError that begins with
// `where` for an empty or absolute path, one that leaves the data set's folder by "..", and one above 4,096 bytes.
std::string checked_path(std::string_view path, const std::string& where);

// One line of comma-separated identities (each 1..9999), in file order; a comma at its end is harmless. UserError with
// the line's number for anything else, also for a number that stands twice.
std::vector<int> read_id_list(const std::string& path);

struct LabelledPath {
  std::string path;  // checked_path()
  int label = 0;
  size_t line = 0;
};
// Lines "path label"; a path may hold spaces. UserError with the line's number for anything else, for a label that is
// no number in 0..999,999, for a path that stands twice, and for a list without a line.
std::vector<LabelledPath> read_labelled_paths(const std::string& path);

// "exp/test_id.txt line 3"
std::string at_line(const std::string& path, size_t line);

}  // namespace mpanet
