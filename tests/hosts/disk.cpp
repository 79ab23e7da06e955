// Replaces functions of the C library. As a library of its own, preloaded into any program, it takes a
// name from SIGNAL_CHECKS_LOST_AT_CLOSE.
#include "disk.hpp"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace host::disk;

namespace {

[[maybe_unused]] const bool is_told = (lost_at_close = std::getenv("SIGNAL_CHECKS_LOST_AT_CLOSE"), true);

bool is_named(int file, const char *name) {
  if (name == nullptr) return false;
  char link[64], target[4096] = {};
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  return readlink(link, target, sizeof target - 1) > 0 && std::strstr(target, name) != nullptr;
}

}  // namespace

extern "C" int fcntl(int file, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  const long argument = va_arg(arguments, long);
  va_end(arguments);
  if (command == F_SETLK && record_lock_error != 0) {
    errno = record_lock_error;
    return -1;
  }
  if (command == F_SETLK && removals > 0) {
    const auto *record = reinterpret_cast<const struct flock *>(argument);
    // Behind the cores' bytes is one that is locked to see whether that is possible.
    if (record->l_type == F_WRLCK && record->l_start < 2 * CPU_SETSIZE) {
      --removals;
      unlink(claims);
    }
  }
  return static_cast<int>(syscall(SYS_fcntl, file, command, argument));
}

extern "C" ssize_t write(int file, const void *bytes, size_t length) {
  if (is_named(file, stuck)) {
    for (;;) pause();
  }
  if (length > 0 && is_named(file, cut_before_write)) {
    cut_before_write = nullptr;
    if (ftruncate(file, 0) != 0) _exit(99);
    if (write_error != 0) {
      errno = write_error;
      return -1;
    }
  }
  return syscall(SYS_write, file, bytes, length);
}

extern "C" int close(int file) {
  const bool is_lost = is_named(file, lost_at_close);
  const int answer = static_cast<int>(syscall(SYS_close, file));
  if (!is_lost) return answer;
  ++lost;
  errno = EDQUOT;
  return -1;
}
