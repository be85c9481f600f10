// Temporary files and folders. Their names are random, and an existing file or link is never opened. So another user
// cannot redirect a write with a link.
#pragma once
#include <sys/types.h>

#include <string>

#include "core/base/file.h"

namespace mpanet {

// "NAME.tmp." and 24 hexadecimal digits: 16 random ones, and 8 of a checksum of those and of NAME, by which
// is_temporary_name() recognises it. A long NAME is cut.
std::string temporary_name(const std::string& name);
bool is_temporary_name(const std::string& text, const std::string& name);
// A temporary name in the folder of `path`.
std::string temporary_path(const std::string& path);

// Makes a new file for writing. If it exists or cannot be made: returns an empty Descriptor and sets errno.
Descriptor create_temporary_file(const std::string& path, mode_t mode);

// Removes the temporary files of `path` that a killed program left. To be called only when no other program can be
// writing `path`.
void remove_leftovers(const std::string& path);

// Makes and removes a file in the folder. Returns 0 or errno.
int try_new_file(const std::string& folder);

// UserError, which names `path`, if a later rename() to `target` would fail: it is a file of another user in a folder
// like /tmp, immutable or append-only, or a mount point.
void check_replaceable(const std::string& path, const std::string& target);

// The folder of a path ("." for a bare name), and the name in it.
std::string folder_of(const std::string& path);
std::string name_in_folder(const std::string& path);

}  // namespace mpanet
