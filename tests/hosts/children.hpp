// Ways to make a child, and what makes the kernel keep the pages that it empties there.
#pragma once

#include "plugin.hpp"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>
#include <functional>

namespace host {

// Why a child's calls refuse its parent's handle.
constexpr const char *kWhy = "made before fork() or clone()";

// A way to make a child; each copies the memory.
struct Way {
  const char *name;
  pid_t (*make)();
};

inline pid_t by_fork_without_handlers() {
  static const auto make = reinterpret_cast<pid_t (*)()>(dlsym(RTLD_DEFAULT, "_Fork"));
  // glibc has it since 2.34.
  return make == nullptr ? static_cast<pid_t>(syscall(SYS_fork)) : make();
}
inline pid_t by_fork_call() { return static_cast<pid_t>(syscall(SYS_fork)); }
inline pid_t by_clone() { return static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }
inline pid_t by_clone3() {
  clone_args args{};
  args.exit_signal = SIGCHLD;
  const long child = syscall(SYS_clone3, &args, sizeof args);
  // A sandbox may not know it.
  return child < 0 && errno == ENOSYS ? by_clone() : static_cast<pid_t>(child);
}

// The first runs the handlers.
constexpr Way kWays[] = {{"fork()", fork},
                         {"_Fork", by_fork_without_handlers},
                         {"fork", by_fork_call},
                         {"clone", by_clone},
                         {"clone3", by_clone3}};

// The child of the parent; in the child 0, and a child that hangs ends by itself.
inline pid_t made(const Way &way) {
  std::fflush(nullptr);
  const pid_t child = way.make();
  CHECK(child >= 0);
  if (child == 0) alarm(120);
  return child;
}

inline void ends(const Way &way, pid_t child, int code) {
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  if (WIFSIGNALED(status)) std::fprintf(stderr, "%s: signal %d\n", way.name, WTERMSIG(status));
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), code);
}

inline void in_child_by(const Way &way, int code, const std::function<void()> &body) {
  const pid_t child = made(way);
  if (child == 0) {
    body();
    _exit(99);
  }
  ends(way, child, code);
}

// From now on, the kernel keeps the pages that a thread of this process wants emptied in children.
inline void keep_pages() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_WIPEONFORK, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{sizeof filter / sizeof *filter, filter};
  CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

}  // namespace host
