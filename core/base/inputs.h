// The files that a program reads, so that no output replaces one of them.
#pragma once
#include <string>

namespace mpanet {

// From now on an OutputFile or AppendFile that leads to the same file, also by a link, is a UserError, which names it
// by `name` ("--init"). Nothing happens for an empty path and for one that leads to no regular file. A program
// registers its inputs before it opens its outputs; a file that is to be replaced by its own new content stays out.
void register_input(const std::string& path, const std::string& name);

// UserError, which begins with `path`, if the file `target` is a registered input. OutputFile and AppendFile call it;
// a program calls it for outputs that it opens only after long work.
void check_no_input(const std::string& path, const std::string& target);

}  // namespace mpanet
