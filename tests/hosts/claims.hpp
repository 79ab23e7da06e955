// Claims of cores, as other processes see them.
#pragma once

#include "plugin.hpp"

#include <fcntl.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace host {

// Whether other processes see a claim of this core: record locks of one's own are seen by others alone.
inline bool others_see(const std::string &file, std::uint64_t core) {
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    struct flock claim{};
    claim.l_type = F_WRLCK, claim.l_whence = SEEK_SET, claim.l_len = 1;
    claim.l_start = static_cast<off_t>(core);
    CHECK_EQ(fcntl(open(file.c_str(), O_RDWR), F_GETLK, &claim), 0);
    _exit(claim.l_type == F_UNLCK ? 20 : 21);
  }
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) >= 20);
  return WEXITSTATUS(status) == 21;
}

}  // namespace host
