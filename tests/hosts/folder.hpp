// A folder for what a scenario writes, and the text of a file in it.
#pragma once

#include "plugin.hpp"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

namespace host {

// A folder that is removed with all its contents when the scenario ends.
struct Folder {
  char path[64] = "/tmp/signal-checks-XXXXXX";
  Folder() { CHECK(mkdtemp(path) != nullptr); }
  ~Folder() { CHECK_EQ(std::system((std::string("rm -r ") + path).c_str()), 0); }
  std::string at(const char *name) const { return std::string(path) + "/" + name; }
};

inline std::string text(const std::string &path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace host
