#include "mpanet/files/pickle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/base/text.h"
#include "mpanet/files/pickle_objects.h"

namespace mpanet::pickle {
namespace {

constexpr uint64_t kLongest = uint64_t{64} << 20;  // bytes of a pickle
constexpr size_t kMostValues = 2'000'000;
constexpr size_t kBuffer = 1 << 16;
constexpr size_t kLongestName = 1000;  // of a module or a class
using Kind = Value::Kind;

class Machine {
 public:
  explicit Machine(Source& source) : source_(source), start_(source.begin), buffer_start_(source.begin) {
    for (const Kind kind : {Kind::None, Kind::Bool, Kind::Bool, Kind::List}) document_.values.push_back({kind});
    document_.values[kTrue].integer = document_.values[kEmptyTuple].integer = 1;
  }

  Document run() {
    if (byte() != 0x80) refuse("expected a pickle of protocol 2 to 5");
    protocol();
    while (true) {
      const uint8_t opcode = byte();
      if (opcode == '.') break;
      if (!number(opcode) && !text(opcode) && !container(opcode) && !object(opcode) && !stack(opcode))
        refuse(fmt::format("opcode 0x{:02x} builds no weights", opcode));
    }
    document_.root = pop();
    source_.begin = position();
    return std::move(document_);
  }

 private:
  // The first values of every document.
  static constexpr Ref kNone = 0, kFalse = 1, kTrue = 2, kEmptyTuple = 3;

  uint64_t position() const { return buffer_start_ + at_; }
  [[noreturn]] void refuse(const std::string& what) const {
    fail("{}: pickle, byte {}: {}", source_.name, position() - start_, what);
  }

  // ---- bytes
  void fill() {
    buffer_start_ += at_;
    at_ = 0;
    buffer_.resize(static_cast<size_t>(std::min<uint64_t>(kBuffer, source_.end - buffer_start_)));
    if (buffer_.empty()) refuse("ends early");
    if (buffer_start_ - start_ > kLongest) refuse(fmt::format("longer than {} bytes", kLongest));
    if (source_.read(buffer_.data(), buffer_.size(), buffer_start_) < buffer_.size()) refuse("ends early");
  }
  uint8_t byte() {
    if (at_ == buffer_.size()) fill();
    return buffer_[at_++];
  }
  void bytes(uint8_t* to, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] = byte();
  }
  uint64_t little_endian(int count) {
    uint64_t value = 0;
    for (int i = 0; i < count; i++) value |= uint64_t{byte()} << (8 * i);
    return value;
  }
  std::string take(uint64_t length) {
    if (length > source_.end - position() || length > kLongest) refuse(fmt::format("{} bytes are not there", length));
    std::string text(static_cast<size_t>(length), '\0');
    bytes(reinterpret_cast<uint8_t*>(text.data()), text.size());
    return text;
  }
  std::string line() {
    std::string text;
    for (uint8_t next = byte(); next != '\n'; next = byte()) {
      if (text.size() == kLongestName) refuse("a name is too long");
      text += static_cast<char>(next);
    }
    return text;
  }
  void protocol() {
    const int version = byte();
    if (version < 2 || version > 5) refuse(fmt::format("expected protocol 2 to 5, got {}", version));
  }

  // ---- values and the stack
  Ref add(Value value) {
    if (document_.values.size() >= kMostValues) refuse(fmt::format("more than {} values", kMostValues));
    document_.values.push_back(std::move(value));
    return static_cast<Ref>(document_.values.size() - 1);
  }
  void push(Ref ref) { stack_.push_back(ref); }
  void push_new(Value value) { push(add(std::move(value))); }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Ref pop() {
    if (stack_.size() <= floor()) refuse("the stack is empty");
    const Ref ref = stack_.back();
    stack_.pop_back();
    return ref;
  }
  // Pops the last mark and returns the values above it.
  std::vector<Ref> pop_to_mark() {
    if (marks_.empty()) refuse("there is no mark on the stack");
    const std::vector<Ref> items(stack_.begin() + static_cast<ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  Value& top() {
    if (stack_.size() <= floor()) refuse("the stack is empty");
    return document_.values[stack_.back()];
  }
  void append(std::vector<Ref>& to, const std::vector<Ref>& items) { to.insert(to.end(), items.begin(), items.end()); }

  // ---- opcodes, by kind; false: not one of these
  bool number(uint8_t opcode) {
    switch (opcode) {
      case 'N':
        return push(kNone), true;
      case 0x88:
        return push(kTrue), true;
      case 0x89:
        return push(kFalse), true;
      case 'K':
        return push_new({Kind::Int, byte()}), true;
      case 'M':
        return push_new({Kind::Int, static_cast<int64_t>(little_endian(2))}), true;
      case 'J':
        return push_new({Kind::Int, static_cast<int32_t>(little_endian(4))}), true;
      case 0x8a:
        return whole_number(byte()), true;
      case 0x8b:
        return whole_number(little_endian(4)), true;
      case 'G': {
        uint64_t bits = 0;
        for (int i = 0; i < 8; i++) bits = bits << 8 | byte();  // big endian
        return push_new({Kind::Float, 0, std::bit_cast<double>(bits)}), true;
      }
      default:
        return false;
    }
  }
  // An integer of any length, two's complement. If int64 is too small it becomes a text.
  void whole_number(uint64_t length) {
    const std::string digits = take(length);
    if (digits.size() > 8) {
      std::string hex;
      for (size_t i = digits.size(); i-- > 0 && hex.size() < 40;)
        hex += fmt::format("{:02x}", static_cast<uint8_t>(digits[i]));
      return push_new({Kind::Other, 0, 0, nullptr, "0x" + hex});
    }
    uint64_t value = !digits.empty() && (digits.back() & 0x80) ? ~uint64_t{0} : 0;
    std::memcpy(&value, digits.data(), digits.size());
    push_new({Kind::Int, static_cast<int64_t>(value)});
  }

  bool text(uint8_t opcode) {
    const auto push_text = [&](Kind kind, int length_bytes) {
      push_new({kind, 0, 0, nullptr, take(little_endian(length_bytes))});
      return true;
    };
    switch (opcode) {
      case 0x8c:
      case 'U':
        return push_text(Kind::Text, 1);
      case 'X':
      case 'T':
        return push_text(Kind::Text, 4);
      case 0x8d:
        return push_text(Kind::Text, 8);
      case 'C':
        return push_text(Kind::Bytes, 1);
      case 'B':
        return push_text(Kind::Bytes, 4);
      case 0x8e:
      case 0x96:
        return push_text(Kind::Bytes, 8);
      default:
        return false;
    }
  }

  Value& growing(Kind kind, const char* what) {
    Value& value = top();
    if (value.kind != kind || value.integer != 0) refuse(fmt::format("expected {} to add to", what));
    return value;
  }
  void tuple(std::vector<Ref> items) { push_new({Kind::List, 1, 0, nullptr, {}, std::move(items)}); }
  void short_tuple(size_t count) {
    std::vector<Ref> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    tuple(std::move(items));
  }
  void add_pairs(Value& dict, const std::vector<Ref>& items) {
    if (items.size() % 2 != 0) refuse("a key without a value");
    append(dict.items, items);
  }

  bool container(uint8_t opcode) {
    switch (opcode) {
      case ')':
        return push(kEmptyTuple), true;
      case 0x85:
      case 0x86:
      case 0x87:
        return short_tuple(opcode - 0x84u), true;
      case 't':
      case 0x91:  // a frozen set
        return tuple(pop_to_mark()), true;
      case ']':
      case 0x8f:  // a set
        return push_new({Kind::List}), true;
      case 'l':
        return push_new({Kind::List, 0, 0, nullptr, {}, pop_to_mark()}), true;
      case 'a': {
        const Ref item = pop();
        return growing(Kind::List, "a list").items.push_back(item), true;
      }
      case 'e':
      case 0x90: {
        const auto items = pop_to_mark();
        return append(growing(Kind::List, "a list").items, items), true;
      }
      case '}':
        return push_new({Kind::Dict}), true;
      case 's': {
        const Ref value = pop(), key = pop();
        return append(growing(Kind::Dict, "a dictionary").items, {key, value}), true;
      }
      case 'u': {
        const auto items = pop_to_mark();
        return add_pairs(growing(Kind::Dict, "a dictionary"), items), true;
      }
      default:
        return false;
    }
  }

  void global(const std::string& module, const std::string& name) {
    const Global* known = find_global(module, name);
    if (!known)
      fail("{}: refused: its pickle asks for {}, which builds no tensor, number, text, list or dictionary{}",
           source_.name, quote(module + "." + name),
           module.find('.') == module.npos ? "" : "; if a whole module was saved, save its state_dict()");
    push_new({Kind::Global, 0, 0, known});
  }
  // function(arguments); nothing is called.
  void reduce() {
    const Ref arguments = pop(), function = pop();
    const Value& callee = document_.values[function];
    if (callee.kind != Kind::Global || document_.values[arguments].kind != Kind::List)
      refuse("expected a function and its arguments");
    Objects objects{document_, [this](Value value) { return add(std::move(value)); },
                    [this](const std::string& what) { refuse(what); }, spent_};
    push(objects.make(*callee.global, arguments));
  }
  void persistent() {
    const std::vector<Ref> items = document_.values[pop()].items;
    const bool storage = (items.size() == 5 || items.size() == 6) && document_.values[items[0]].kind == Kind::Text &&
                         document_.values[items[0]].text == "storage";
    if (!storage) refuse("expected a storage of PyTorch (a module saved with its source code is refused)");
    push_new({Kind::Storage, 0, 0, nullptr, {}, items});
  }

  bool object(uint8_t opcode) {
    switch (opcode) {
      case 'c': {
        const std::string module = line();
        return global(module, line()), true;
      }
      case 0x93: {
        const Ref name = pop(), module = pop();
        const Value &n = document_.values[name], &m = document_.values[module];
        if (n.kind != Kind::Text || m.kind != Kind::Text) refuse("expected a name");
        return global(std::string(m.text, 0, kLongestName), std::string(n.text, 0, kLongestName)), true;
      }
      case 'R':
      case 0x81:
        return reduce(), true;
      case 'b': {
        const Ref state = pop();
        if (!set_state(document_, top(), state)) refuse("a state for something that has none");
        return true;
      }
      case 'Q':
        return persistent(), true;
      default:
        return false;
    }
  }

  // Memo indices have no gaps, so no index exceeds the number of bytes before it.
  void remember(uint64_t index) {
    if (stack_.size() <= floor()) refuse("the stack is empty");
    if (index > position() - start_) refuse(fmt::format("remembers value {} too early", index));
    if (index >= memo_.size()) memo_.resize(static_cast<size_t>(index) + 1, kNothing);
    memo_[static_cast<size_t>(index)] = stack_.back();
  }
  void recall(uint64_t index) {
    if (index >= memo_.size() || memo_[static_cast<size_t>(index)] == kNothing)
      refuse(fmt::format("value {} was not remembered", index));
    push(memo_[static_cast<size_t>(index)]);
  }

  bool stack(uint8_t opcode) {
    switch (opcode) {
      case '(':
        return marks_.push_back(static_cast<uint32_t>(stack_.size())), true;
      case '0':
        return pop(), true;
      case '1':
        return pop_to_mark(), true;
      case '2':
        return top(), push(stack_.back()), true;
      case 'q':
        return remember(byte()), true;
      case 'r':
        return remember(little_endian(4)), true;
      case 0x94:
        return remember(memo_.size()), true;
      case 'h':
        return recall(byte()), true;
      case 'j':
        return recall(little_endian(4)), true;
      case 0x80:
        return protocol(), true;
      case 0x95:  // the length of a frame, which is not needed
        return little_endian(8), true;
      default:
        return false;
    }
  }

  static constexpr Ref kNothing = ~Ref{0};
  Source& source_;
  uint64_t start_, buffer_start_;
  std::vector<uint8_t> buffer_;
  size_t at_ = 0;
  Document document_;
  std::vector<Ref> stack_, memo_;
  std::vector<uint32_t> marks_;
  size_t spent_ = 0;
};

}  // namespace

Document read_pickle(Source& source) { return Machine(source).run(); }

std::string describe(const Document& document, Ref ref) {
  constexpr size_t kShown = 40;
  const Value& value = document.at(ref);
  switch (value.kind) {
    case Kind::None:
      return "None";
    case Kind::Bool:
      return value.integer ? "True" : "False";
    case Kind::Int:
      return std::to_string(value.integer);
    case Kind::Float:
      return fmt::format("{}", value.real);
    case Kind::Text:
      return quote(value.text.size() > kShown ? fmt::format("{:.{}}...", value.text, kShown) : value.text);
    case Kind::Bytes:
      return counted(value.text.size(), "byte");
    case Kind::List:
      return fmt::format("{} of {}", value.integer ? "tuple" : "list", value.items.size());
    case Kind::Dict:
      return fmt::format("dictionary of {}", value.items.size() / 2);
    case Kind::Global:
      return fmt::format("{}.{}", value.global->module, value.global->name);
    case Kind::Storage:
      return "a storage";
    case Kind::Tensor:
      return "a tensor";
    case Kind::Dtype:
      return "numpy dtype " + quote(value.text);
    case Kind::Other:
      return value.text;
  }
  return "";
}

}  // namespace mpanet::pickle
