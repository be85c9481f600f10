// Temporary files and folders. Their names cannot be guessed, and nothing that stands there already is opened or
// followed, so nobody can plant a link where we will write.
#pragma once
#include <sys/types.h>

#include <string>

#include "core/base/file.h"

namespace mpanet {

// "NAME.tmp." and 24 hexadecimal digits: 16 random ones, and 8 of a checksum of those and of NAME. So a name shows
// whether it was made here. A long NAME is cut.
std::string temporary_name(const std::string& name);
bool is_temporary_name(const std::string& text, const std::string& name);
// The same beside a path.
std::string temporary_path(const std::string& path);

// Makes a file that was not there, for writing; no descriptor, with errno, when it cannot.
Descriptor create_temporary_file(const std::string& path, mode_t mode);

// Removes the temporary files for `path` that a killed program left. Only for a path that no other program can be
// writing now.
void remove_leftovers(const std::string& path);

// 0, or the errno that keeps files from being made in the folder: one is made and removed.
int try_new_file(const std::string& folder);

// UserError, about `path`, for what rename() to `target` would refuse only after the work: a file of another user in a
// folder like /tmp, one that is immutable or append-only, a mount point.
void check_replaceable(const std::string& path, const std::string& target);

// The folder of a path, "." where it has none, and the name in it.
std::string folder_of(const std::string& path);
std::string name_in_folder(const std::string& path);

}  // namespace mpanet
