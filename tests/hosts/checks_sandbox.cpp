// Hosts that may not do what others may: a sandbox forbids a system call.
#include "plugin.hpp"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <fstream>
#include <functional>
#include <thread>

using namespace host;

namespace {

// From now on, on this thread and those that it makes.
void forbid(int call, int error) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{4, filter};
  CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

// In a process of its own.
void apart(const std::function<void()> &doing) {
  std::fflush(nullptr);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(60);
    doing();
    _exit(0);
  }
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

std::string said(const std::function<void()> &doing) {
  std::FILE *file = std::tmpfile();
  const int kept = dup(STDERR_FILENO);
  std::fflush(stderr);
  CHECK_EQ(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
  doing();
  dup2(kept, STDERR_FILENO);
  close(kept);
  std::rewind(file);
  std::string text;
  for (int c; (c = std::fgetc(file)) != EOF;) text += static_cast<char>(c);
  std::fclose(file);
  std::fprintf(stderr, "%s", text.c_str());
  return text;
}

std::size_t count(const std::string &text, const std::string &part) {
  std::size_t times = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++times;
  return times;
}

}  // namespace

// Lanes run wherever they may, and one line says so.
SCENARIO(affinity_is_forbidden) {
  const std::pair<int, int> ways[] = {{SYS_sched_setaffinity, EPERM}, {SYS_sched_getaffinity, EINVAL}};
  for (const auto &[call, error] : ways) {
    apart([call = call, error = error] {
      Plugin plugin;
      forbid(call, error);
      for (const char *config : {R"({})", R"({"placement":"split"})", R"({"cores":[0]})"}) {
        void *handle = nullptr;
        const std::string line = said([&] { handle = plugin.create(config); });
        CHECK(handle != nullptr);
        CHECK_EQ(count(line, "\n"), 1u);
        CHECK_EQ(count(line, "lanes are not pinned: "), 1u);
        signal_lane_t lanes[8];
        const int have = plugin.lanes(handle, lanes, 8);
        CHECK(have > 0);
        for (int lane = 0; lane < have; ++lane) {
          CHECK_EQ(lanes[lane].core, SIGNAL_NO_CORE);
          CHECK(std::strstr(lanes[lane].name, "@any(") != nullptr);
        }
        plugin.destroy(handle);
        use(plugin, config);
      }
      const std::string line = said([&] { use(plugin, R"({"placement":"inline"})"); });
      CHECK_EQ(count(line, "pinned"), 0u);
    });
  }
  return 0;
}
