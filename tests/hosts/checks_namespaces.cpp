// Hosts that have made namespaces, as container tools do.
#include "folder.hpp"
#include "plugin.hpp"

#include <dirent.h>
#include <sched.h>
#include <sys/stat.h>

using namespace host;

// The kernel makes no thread for a process whose children are to have another PID namespace.
SCENARIO(namespace_of_children) {
  Plugin plugin;
  if (!needs_root()) return 0;
  use(plugin, "{}");
  if (!needs(unshare(CLONE_NEWPID) == 0, "PID namespaces")) return 0;
  // Before the namespace has a process, and with one.
  for (int round = 0; round < 2; ++round) {
    CHECK(plugin.create(R"({"placement":"split"})") == nullptr);
    const std::string why = plugin.last_error();
    CHECK(has(why, "PID or time namespace") && has(why, "child process"));
    CHECK(!has(why, "RLIMIT_NPROC"));
    if (round == 1) break;
    in_child(17, [&] {
      use(plugin, R"({"placement":"split"})");
      _exit(17);
    });
  }
  return 0;
}

// Two containers that write into one folder may each have a process 1, in the same moment.
SCENARIO(reports_of_containers) {
  static const Plugin plugin;
  if (!needs_root()) return 0;
  static const Folder folder;
  const auto container = [] {
    CHECK_EQ(setenv("SIGNAL_LATENCY_DIR", folder.path, 1), 0);
    use(plugin, "{}");
    struct stat about {};
    CHECK_EQ(stat("/proc/thread-self/ns/pid", &about), 0);
    const std::string number = std::to_string(about.st_ino);
    int found = 0;
    DIR *entries = opendir(folder.path);
    CHECK(entries != nullptr);
    while (const dirent *entry = readdir(entries)) found += has(entry->d_name, number);
    closedir(entries);
    CHECK_EQ(found, 1);
    _exit(17);
  };
  // With its first process, the namespace ends, and whoever has made it can start no other.
  in_child(0, [&] {
    if (needs(unshare(CLONE_NEWPID) == 0, "PID namespaces")) in_child(17, container);
    _exit(0);
  });
  return 0;
}
