#include "data/sets/text_list.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <unordered_map>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/number.h"
#include "core/base/temporary.h"
#include "data/sets/picture_names.h"

namespace mpanet {
namespace {

constexpr uint64_t kLongestList = uint64_t{256} << 20;
constexpr size_t kLongestPath = 4096;
constexpr int kMaxIdentity = 9999;  // folder names have four digits
constexpr int kMaxLabel = 999999;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

int parse_identity(const std::string& where, std::string_view text) {
  const auto id = parse_whole<int>(trimmed(text));
  if (!id || *id < 1 || *id > kMaxIdentity)
    fail("{}: expected one line of comma-separated identities 1..{}, got {}", where, kMaxIdentity,
         quote(trimmed(text)));
  return *id;
}

LabelledPath parse_labelled(const std::string& path, const Line& line) {
  const std::string where = at_line(path, line.number);
  const size_t space = line.text.find_last_of(" \t");
  if (space == line.text.npos) fail("{}: expected a path and a label, got {}", where, quote(line.text));
  const auto label = parse_whole<int>(line.text.substr(space + 1));
  if (!label || *label < 0 || *label > kMaxLabel)
    fail("{}: expected a label in 0..{} after the path, got {}", where, kMaxLabel, quote(line.text.substr(space + 1)));
  return {checked_path(trimmed(line.text.substr(0, space)), where), *label, line.number};
}

}  // namespace

std::string at_line(const std::string& path, size_t line) { return fmt::format("{} line {}", path, line); }

std::string read_list_text(const std::string& path) {
  const InputFile file(path);
  if (file.size() > kLongestList)
    fail("{}: expected a list of at most {} bytes, got {}", path, kLongestList, file.size());
  std::string text(file.size(), '\0');
  text.resize(file.read(text.data(), text.size(), 0));
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff"))
    fail("{}: expected text in UTF-8 or another encoding of single bytes, got UTF-16", path);
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  if (const size_t nul = text.find('\0'); nul != text.npos)
    fail("{}: expected text, got a NUL byte",
         at_line(path,
                 1 + static_cast<size_t>(std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(nul), '\n'))));
  return text;
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  for (size_t number = 1; !text.empty(); number++) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (const std::string_view line = trimmed(text.substr(0, end)); !line.empty()) lines.push_back({number, line});
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string checked_path(std::string_view path, const std::string& where) {
  if (path.empty()) fail("{}: the path is empty", where);
  if (path.size() > kLongestPath)
    fail("{}: expected a path of at most {} bytes, got {}", where, kLongestPath, path.size());
  if (path.front() == '/') fail("{}: expected a path inside the data set's folder, got {}", where, quote(path));
  const std::string normal = std::filesystem::path(path).lexically_normal().string();
  if (normal == ".." || normal.starts_with("../"))
    fail("{}: the path leaves the data set's folder: {}", where, quote(path));
  if (normal == "." || normal.ends_with('/')) fail("{}: expected the path of a picture, got {}", where, quote(path));
  if (!is_picture_name(name_in_folder(normal)))
    fail("{}: expected a picture, whose name ends in .jpg, .jpeg, .png or .bmp, got {}", where, quote(path));
  return normal;
}

std::vector<int> read_id_list(const std::string& path) {
  const std::string text = read_list_text(path);
  const std::vector<Line> lines = lines_of(text);
  if (lines.empty()) fail("{}: expected one line of comma-separated identities 1..{}, got none", path, kMaxIdentity);
  if (lines.size() > 1)
    fail("{}: expected one line of comma-separated identities, got another line: {}", at_line(path, lines[1].number),
         quote(lines[1].text));
  const std::string where = at_line(path, lines[0].number);
  std::string_view rest = lines[0].text;
  if (rest.ends_with(',')) rest.remove_suffix(1);
  std::vector<int> ids;
  std::set<int> seen;
  for (bool more = true; more;) {
    const size_t comma = rest.find(',');
    more = comma != rest.npos;
    ids.push_back(parse_identity(where, rest.substr(0, comma)));
    if (!seen.insert(ids.back()).second) fail("{}: identity {} stands twice", where, ids.back());
    if (more) rest.remove_prefix(comma + 1);
  }
  return ids;
}

std::vector<LabelledPath> read_labelled_paths(const std::string& path) {
  const std::string text = read_list_text(path);
  std::vector<LabelledPath> images;
  std::unordered_map<std::string, size_t> known;
  for (const Line& line : lines_of(text)) {
    images.push_back(parse_labelled(path, line));
    const auto [first, fresh] = known.emplace(images.back().path, line.number);
    if (!fresh)
      fail("{}: {} is already in line {}", at_line(path, line.number), quote(images.back().path), first->second);
  }
  if (images.empty()) fail("{}: expected lines \"path label\", got none", path);
  return images;
}

}  // namespace mpanet
