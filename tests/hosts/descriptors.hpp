// A host that closes all descriptors that it does not know, and whose next files get their numbers.
#pragma once

#include "folder.hpp"
#include "plugin.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

namespace host {

constexpr int kFirstReplaced = 3, kEndReplaced = 64;

// Long enough that a host can replace its descriptors between two writes of a report.
constexpr int kReportIntervalMs = 400;

inline std::string replaced(const Folder &folder, int file) {
  return folder.at("host's ") + std::to_string(file);
}

// Returns just after an interval of a report was written to this log, for which events are needed. Nobody
// can replace a file that another thread is writing at that moment. Under load its thread could be in the
// middle of a write for seconds: it gives way to everything.
template <typename Event> void await_interval(const std::string &log, Event event) {
  const auto size = [&] {
    struct stat about {};
    return stat(log.c_str(), &about) == 0 ? about.st_size : off_t{0};
  };
  hurry();
  // The interval in which it was hurried may have begun before.
  for (int interval = 0; interval < 2; ++interval) {
    const off_t before = size();
    CHECK(wait_for([&] {
      event();
      return size() > before;
    }));
    sleep_us(50000);
  }
}

// Each descriptor becomes a locked file of the host's. One call closes the old file and opens the new
// one: another thread that opens a file in between would get the number.
inline void replace_descriptors(const Folder &folder) {
  struct flock whole {};
  whole.l_type = F_WRLCK;
  for (int file = kFirstReplaced; file < kEndReplaced; ++file) {
    const int opened = open(replaced(folder, file).c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    CHECK(opened >= 0);
    if (opened != file) {
      CHECK_EQ(dup3(opened, file, O_CLOEXEC), file);
      CHECK_EQ(close(opened), 0);
    }
    CHECK_EQ(fcntl(file, F_SETLK, &whole), 0);
    CHECK_EQ(flock(file, LOCK_EX | LOCK_NB), 0);
  }
}

// Nothing was written there, closed or unlocked. Does not ask what the files are.
inline void check_replaced(const Folder &folder) {
  for (int file = kFirstReplaced; file < kEndReplaced; ++file) CHECK_EQ(lseek(file, 0, SEEK_END), off_t{0});
  // A process that closes a file loses its record locks on it, so another one asks.
  in_child(0, [&] {
    struct flock found {};
    for (int file = kFirstReplaced; file < kEndReplaced; ++file) {
      found.l_type = F_WRLCK;
      CHECK_EQ(fcntl(file, F_GETLK, &found), 0);
      CHECK_EQ(found.l_type, static_cast<short>(F_WRLCK));
      CHECK_EQ(found.l_start, 0);
      const int again = open(replaced(folder, file).c_str(), O_RDWR | O_CLOEXEC);
      CHECK(again >= kEndReplaced);
      CHECK_EQ(flock(again, LOCK_EX | LOCK_NB), -1);
    }
    _exit(0);
  });
}

}  // namespace host
