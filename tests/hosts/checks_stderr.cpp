// A host whose stderr accepts no more: the host continues, at once and without a signal.
#include "plugin.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>

using namespace host;

namespace {

// Fills the descriptor as far as a non-blocking writer can.
void fill(int descriptor) {
  const int flags = fcntl(descriptor, F_GETFL);
  CHECK_EQ(fcntl(descriptor, F_SETFL, flags | O_NONBLOCK), 0);
  static const char some[4096] = {};
  for (std::size_t chunk : {sizeof some, std::size_t{1}}) {
    while (write(descriptor, some, chunk) > 0) {
    }
  }
  CHECK_EQ(fcntl(descriptor, F_SETFL, flags), 0);
}

// Makes the library write lines to such a stderr, which the process must survive. Returns
// how many lines were lost.
std::uint64_t speak(const Plugin &plugin, int descriptor) {
  const int kept = dup(STDERR_FILENO), flags = fcntl(descriptor, F_GETFL);
  std::fflush(stderr);
  CHECK_EQ(dup2(descriptor, STDERR_FILENO), STDERR_FILENO);
  const std::uint64_t before = plugin.lost_lines();
  const double start = seconds();
  void *made = plugin.create(R"({"placement":"inline"})");
  void *refused = plugin.create(R"({"placement":"nope"})");
  const double took = seconds() - start;
  dup2(kept, STDERR_FILENO);
  close(kept);
  CHECK(made != nullptr && refused == nullptr);
  CHECK(took < 5.0);
  CHECK_EQ(fcntl(descriptor, F_GETFL), flags);
  plugin.destroy(made);
  return plugin.lost_lines() - before;
}

struct Terminal {
  int master, end;
};

Terminal terminal() {
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  CHECK(master >= 0);
  CHECK(grantpt(master) == 0 && unlockpt(master) == 0);
  const int end = open(ptsname(master), O_RDWR | O_NOCTTY);
  CHECK(end >= 0);
  return {master, end};
}

sig_atomic_t caught = 0;
void count(int) { caught = caught + 1; }

}  // namespace

SCENARIO(stderr_that_is_full) {
  alarm(120);
  Plugin plugin;
  int ends[2];
  CHECK_EQ(pipe(ends), 0);
  CHECK_EQ(speak(plugin, ends[1]), 0u);
  fill(ends[1]);
  CHECK_EQ(speak(plugin, ends[1]), 2u);
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  CHECK_EQ(speak(plugin, ends[1]), 0u);
  fill(ends[1]);
  CHECK_EQ(speak(plugin, ends[1]), 2u);
  const Terminal stopped = terminal();
  CHECK_EQ(speak(plugin, stopped.end), 0u);
  CHECK_EQ(tcflow(stopped.end, TCOOFF), 0);
  fill(stopped.end);
  CHECK_EQ(speak(plugin, stopped.end), 2u);
  return 0;
}

// A pipe that belongs to another user cannot be opened again.
SCENARIO(stderr_of_another_user) {
  alarm(120);
  Plugin plugin;
  if (!needs_root()) return 0;
  int ends[2];
  CHECK_EQ(pipe(ends), 0);
  CHECK_EQ(setuid(64321), 0);
  CHECK_EQ(open("/proc/self/fd/2", O_WRONLY | O_NOFOLLOW), -1);
  CHECK_EQ(speak(plugin, ends[1]), 0u);
  fill(ends[1]);
  CHECK_EQ(speak(plugin, ends[1]), 2u);
  return 0;
}

// Every disposition stays as it was, and a signal that a write raises reaches nobody.
SCENARIO(stderr_without_a_reader) {
  alarm(120);
  Plugin plugin;
  int ends[2];
  for (auto handler : {SIG_DFL, SIG_IGN, static_cast<void (*)(int)>(count)}) {
    signal(SIGPIPE, handler);
    CHECK_EQ(pipe(ends), 0);
    close(ends[0]);
    CHECK_EQ(speak(plugin, ends[1]), 2u);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    close(ends[0]);
    CHECK_EQ(speak(plugin, ends[1]), 2u);
  }
  CHECK_EQ(caught, 0);
  // The host's own pending signal still comes.
  sigset_t own;
  sigemptyset(&own);
  sigaddset(&own, SIGPIPE);
  CHECK_EQ(pthread_sigmask(SIG_BLOCK, &own, nullptr), 0);
  CHECK_EQ(pthread_kill(pthread_self(), SIGPIPE), 0);
  CHECK_EQ(pipe(ends), 0);
  close(ends[0]);
  CHECK_EQ(speak(plugin, ends[1]), 2u);
  CHECK_EQ(caught, 0);
  CHECK_EQ(pthread_sigmask(SIG_UNBLOCK, &own, nullptr), 0);
  CHECK_EQ(caught, 1);
  return 0;
}

// If a pipe's reader goes away during a write, only the mask helps, because the second open
// succeeds. The same holds for a file at this process's size limit.
SCENARIO(stderr_at_its_limit) {
  alarm(120);
  Plugin plugin;
  char name[] = "/tmp/signal-checks-XXXXXX";
  const int file = mkstemp(name);
  CHECK(file >= 0);
  CHECK_EQ(unlink(name), 0);
  rlimit none{};
  CHECK_EQ(getrlimit(RLIMIT_FSIZE, &none), 0);
  none.rlim_cur = 0;
  CHECK_EQ(setrlimit(RLIMIT_FSIZE, &none), 0);
  CHECK_EQ(speak(plugin, file), 2u);
  return 0;
}

// A background job of a terminal that stops such jobs when they write.
SCENARIO(stderr_of_a_background_job) {
  alarm(120);
  Plugin plugin;
  const int end = terminal().end;
  const pid_t session = fork();
  CHECK(session >= 0);
  if (session == 0) {
    CHECK(setsid() >= 0);
    CHECK_EQ(ioctl(end, TIOCSCTTY, 0), 0);
    termios mode{};
    CHECK_EQ(tcgetattr(end, &mode), 0);
    mode.c_lflag |= TOSTOP;
    CHECK_EQ(tcsetattr(end, TCSANOW, &mode), 0);
    const pid_t job = fork();
    if (job == 0) {
      CHECK_EQ(setpgid(0, 0), 0);
      CHECK_EQ(speak(plugin, end), 0u);
      _exit(0);
    }
    int status = 0;
    CHECK_EQ(waitpid(job, &status, WUNTRACED), job);
    if (WIFSTOPPED(status)) kill(job, SIGKILL);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
  }
  int status = 0;
  CHECK_EQ(waitpid(session, &status, 0), session);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  return 0;
}
