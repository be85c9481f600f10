// The files that a program reads, so that no output replaces one of them.
#pragma once
#include <string>
#include <string_view>

namespace mpanet {

// From now on an OutputFile or AppendFile that leads to the same file, also by a link, is a UserError, which names it
// by `name` ("--init"). Nothing happens for an empty path and for one that leads to no regular file. A program
// registers its inputs before it opens its outputs; a file that is to be replaced by its own new content stays out.
void register_input(const std::string& path, const std::string& name);

// The same for every regular file in `folder` or below it whose name `counts`, with the links of folders followed. For
// the pictures of a data set: a program need not list those that it does not read.
void register_inputs_below(const std::string& folder, bool (*counts)(std::string_view name), const std::string& name);

// UserError, which begins with `path`, if the file `target` is a registered input. OutputFile and AppendFile call it;
// a program calls it for outputs that it opens only after long work.
void check_no_input(const std::string& path, const std::string& target);

}  // namespace mpanet
