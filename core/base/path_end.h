// Follows the links of a path. /dev/stdout, /dev/fd/N and /proc/self/fd/N lead to an open descriptor of this program.
// Opening such a path like a file would start at the file's beginning, replace an entry of /dev, or block
// for ever.
#pragma once
#include <string>

namespace mpanet {

struct PathEnd {
  enum class Kind {
    Nothing,     // the folder exists, the name in it does not
    File,        // a regular file
    Folder,      //
    Special,     // a pipe, a device, a socket, another program's descriptor
    Descriptor,  // one of this program's own
  } kind = Kind::Nothing;
  std::string path;     // without links
  int descriptor = -1;  // with Kind::Descriptor; it need not be open
};

// std::system_error (errno) when the path cannot be followed: the folder does not exist, or links form a circle.
PathEnd follow_path(const std::string& path);

}  // namespace mpanet
