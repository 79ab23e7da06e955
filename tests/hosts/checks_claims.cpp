// Cores that processes on one machine leave to each other, and what the threads of one process do.
#include "claims.hpp"
#include "disk.hpp"
#include "plugin.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <functional>
#include <thread>

using namespace host;

namespace {

// A separate file of claims for this test.
struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/signal-checks-XXXXXX";
    CHECK(mkdtemp(name) != nullptr);
    path = name;
    CHECK_EQ(chmod(name, 01777), 0);
    use("claims");
  }
  void use(const char *file) const { setenv("SIGNAL_CORE_CLAIMS", (path + "/" + file).c_str(), 1); }
  ~Folder() { CHECK_EQ(std::system(("rm -r " + path).c_str()), 0); }
};

std::vector<int> allowed() {
  cpu_set_t set;
  CHECK_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

// With more cores one would be free. A mask does not help, because the library looks past it.
bool needs_two_cores() { return needs(allowed().size() == 2, "a machine, or a cpuset, of exactly two cores"); }

void run_on(const std::vector<int> &cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int core : cores) CPU_SET(core, &set);
  CHECK_EQ(sched_setaffinity(0, sizeof set, &set), 0);
}

// The only lane of a handle, and its core.
signal_lane_t lane(const Plugin &plugin, void *handle) {
  signal_lane_t lanes[8];
  CHECK_EQ(plugin.lanes(handle, lanes, 8), 1);
  return lanes[0];
}
bool spins(const signal_lane_t &lane) { return has(lane.name, "(spin)"); }

// Whether other processes see the claim of a lane's core.
bool others_see(const std::string &file, const signal_lane_t &lane) { return host::others_see(file, lane.core); }

// Descriptors of files whose paths begin with this one.
int descriptors_of(const std::string &file) {
  int found = 0;
  each_descriptor([&](std::string_view target) { found += target.rfind(file, 0) == 0; });
  return found;
}

// Another process that does something once it is told to, and then stays.
struct Other {
  pid_t process;
  int go, done;
  Other(const std::function<void()> &begin) {
    int to[2], from[2];
    CHECK(pipe(to) == 0 && pipe(from) == 0);
    std::fflush(nullptr);
    process = fork();
    CHECK(process >= 0);
    if (process == 0) {
      close(to[1]);
      char byte = 0;
      begin();
      CHECK_EQ(write(from[1], "", 1), 1);
      CHECK(read(to[0], &byte, 1) >= 0);
      _exit(0);
    }
    close(to[0]);
    close(from[1]);
    go = to[1], done = from[0];
    char byte = 0;
    CHECK_EQ(read(done, &byte, 1), 1);
  }
  void end(int how) {
    kill(process, how);
    int status = 0;
    CHECK_EQ(waitpid(process, &status, 0), process);
  }
};

}  // namespace

SCENARIO(cores_of_another_process) {
  const Folder folder;
  Plugin plugin;
  const std::vector<int> cores = allowed();
  if (!needs_two_cores()) return 0;
  Other other([&] { CHECK(spins(lane(plugin, plugin.create("{}")))); });
  void *second = nullptr;
  const std::string line = said([&] { second = plugin.create("{}"); });
  CHECK(second != nullptr);
  CHECK(!spins(lane(plugin, second)));
  CHECK(has(line, "has a lane of process " + std::to_string(other.process) + " ("));
  void *inlined = plugin.create(R"({"deliver":"on_data"})");
  signal_lane_t lanes[8];
  CHECK_EQ(plugin.lanes(inlined, lanes, 8), 0);
  plugin.destroy(inlined);
  // A configured core is used all the same, and a line warns about it.
  const std::string chosen = R"({"idle":"spin","cores":[)" + std::to_string(cores[1]) + "]}";
  void *third = nullptr;
  const std::string warned = said([&] { third = plugin.create(chosen.c_str()); });
  CHECK(spins(lane(plugin, third)));
  CHECK(has(warned, "process " + std::to_string(other.process)) ||
        has(warned, "other lanes of this process"));
  plugin.destroy(third);
  plugin.destroy(second);
  other.end(SIGKILL);
  void *free = plugin.create("{}");
  CHECK(spins(lane(plugin, free)));
  plugin.destroy(free);
  return 0;
}

// A claim belongs to its process: it ends with the process although a child lives on, and
// with the handle while the process lives on.
SCENARIO(claims_end_with_their_owner) {
  const Folder folder;
  Plugin plugin;
  if (!needs_two_cores()) return 0;
  int child_of_other[2];
  CHECK_EQ(pipe(child_of_other), 0);
  Other other([&] {
    CHECK(spins(lane(plugin, plugin.create("{}"))));
    const pid_t child = fork();
    if (child == 0) {
      for (;;) pause();
    }
    CHECK_EQ(write(child_of_other[1], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  });
  pid_t child = 0;
  CHECK_EQ(read(child_of_other[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  void *handle = plugin.create("{}");
  CHECK(!spins(lane(plugin, handle)));
  plugin.destroy(handle);
  other.end(SIGKILL);
  handle = plugin.create("{}");
  CHECK(spins(lane(plugin, handle)));
  plugin.destroy(handle);
  kill(child, SIGKILL);
  Other kind([&] {
    void *own = plugin.create("{}");
    CHECK(spins(lane(plugin, own)));
    plugin.destroy(own);
  });
  handle = plugin.create("{}");
  CHECK(spins(lane(plugin, handle)));
  plugin.destroy(handle);
  kind.end(SIGTERM);
  return 0;
}

// When one copy goes, the other copy's claim stays, even if both use the same core.
SCENARIO(claims_of_two_copies) {
  const Folder folder;
  Plugin plugin;
  const std::vector<int> cores = allowed();
  if (!needs_two_cores()) return 0;
  const std::string copy = folder.path + "/copy.so";
  std::ofstream(copy, std::ios::binary) << std::ifstream(std::getenv("SIGNAL_LIB_PATH"), std::ios::binary).rdbuf();
  const std::string config = R"({"idle":"spin","cores":[)" + std::to_string(cores[1]) + "]}";
  void *handle = plugin.create(config.c_str());
  CHECK(handle != nullptr);
  Plugin second(copy.c_str(), RTLD_LAZY | RTLD_NODELETE);
  CHECK(second.library != plugin.library);
  for (int round = 0; round < 3; ++round) {
    void *other = second.create(round == 0 ? "{}" : config.c_str());
    CHECK(other != nullptr);
    second.destroy(other);
    apart([&plugin] {
      void *third = plugin.create("{}");
      CHECK(third != nullptr && !spins(lane(plugin, third)));
    });
  }
  plugin.destroy(handle);
  return 0;
}

// The contents of a folder that everyone may write to are not trusted, and a lost claims
// file is made again.
SCENARIO(claims_that_cannot_be_had) {
  const Folder folder;
  Plugin plugin;
  if (!needs_two_cores()) return 0;
  // Lanes park, and cores that the configuration names are used all the same.
  const auto is_not_known = [&](const char *why) {
    void *handle = nullptr;
    const std::string line = said([&] { handle = plugin.create("{}"); });
    CHECK(has(line, why));
    CHECK(!spins(lane(plugin, handle)));
    plugin.destroy(handle);
    handle = plugin.create(("{\"cores\":[" + std::to_string(allowed()[0]) + "]}").c_str());
    CHECK(spins(lane(plugin, handle)));
    plugin.destroy(handle);
  };
  CHECK_EQ(symlink((folder.path + "/victim").c_str(), (folder.path + "/link").c_str()), 0);
  CHECK_EQ(mkfifo((folder.path + "/fifo").c_str(), 0666), 0);
  for (const char *file : {"link", "fifo", ".", "none/claims"}) {
    folder.use(file);
    is_not_known("which cores other processes use is not known");
  }
  CHECK(access((folder.path + "/victim").c_str(), F_OK) != 0);
  // Nobody else would find a file of such a name, so none is made.
  for (const char *path : {"claims", "'/tmp/claims'", "/tmp/claims\r"}) {
    setenv("SIGNAL_CORE_CLAIMS", path, 1);
    is_not_known("SIGNAL_CORE_CLAIMS: the path \"");
    CHECK(access(path, F_OK) != 0);
  }
  folder.use("claims");
  // A file system, or a sandbox, without record locks.
  for (const int error : {ENOLCK, ENOSYS, EPERM, EACCES}) {
    host::disk::record_lock_error = error;
    is_not_known("the file of claims takes no record locks");
  }
  host::disk::record_lock_error = 0;
  void *handle = plugin.create("{}");
  CHECK(spins(lane(plugin, handle)));
  // The host closes descriptors that it does not know, and somebody deletes the file.
  CHECK_EQ(unlink((folder.path + "/claims").c_str()), 0);
  for (int descriptor = 3; descriptor < 64; ++descriptor) close(descriptor);
  CHECK(plugin.health(handle) != SIGNAL_HEALTH_OK);
  CHECK(has(plugin.last_error(), "has closed the descriptor of the file of claims"));
  void *second = plugin.create(R"({"placement":"inline"})");
  apart([&plugin] { CHECK(!spins(lane(plugin, plugin.create("{}")))); });
  plugin.destroy(second);
  plugin.destroy(handle);
  return 0;
}

// The host opens the file of claims and closes it, which ends every lock of its process there. The
// next look, at create, at health or by the report's thread, takes the claims again.
SCENARIO(claims_that_the_host_has_ended) {
  const Folder folder;
  Plugin plugin;
  if (!needs_two_cores()) return 0;
  const std::string file = folder.path + "/claims";
  const auto end_claims = [&] { CHECK_EQ(close(open(file.c_str(), O_RDONLY)), 0); };
  void *handle = plugin.create("{}");
  const signal_lane_t first = lane(plugin, handle);
  CHECK(spins(first));
  const auto is_claimed = [&] { return others_see(file, first); };
  CHECK(is_claimed());
  end_claims();
  CHECK(!is_claimed());
  plugin.health(handle);
  CHECK(is_claimed());
  end_claims();
  plugin.destroy(plugin.create(R"({"placement":"inline"})"));
  CHECK(is_claimed());
  const std::string report = R"({"placement":"inline","latency":{"interval_ms":10,"dir":")" + folder.path + "/report\"}}";
  void *reporting = plugin.create(report.c_str());
  CHECK(reporting != nullptr);
  end_claims();
  CHECK(wait_for(is_claimed));
  plugin.destroy(reporting);

  // Another process is faster. Both lanes spin on one core then, so health may be worse than degraded.
  // Health looks at claims once a second, however often it is asked.
  end_claims();
  const std::string same = R"({"idle":"spin","cores":[)" + std::to_string(first.core) + "]}";
  Other other([&] { CHECK(spins(lane(plugin, plugin.create(same.c_str())))); });
  const std::string holder = "has a lane of process " + std::to_string(other.process);
  const auto says = [&](const std::string &what) {
    return plugin.health(handle) != SIGNAL_HEALTH_OK && has(plugin.last_error(), what);
  };
  CHECK(wait_for([&] { return says(holder); }));
  CHECK(says(holder) && says("has closed a descriptor of the file of claims"));
  const auto create = [&] { plugin.destroy(plugin.create(R"({"placement":"inline"})")); };
  CHECK(has(said(create), holder));
  CHECK(!has(said(create), holder));
  other.end(SIGKILL);
  CHECK(wait_for([&] { return plugin.health(handle) == SIGNAL_HEALTH_OK; }));
  CHECK(is_claimed());
  // A handle that has ended claims nothing again.
  plugin.destroy(handle);
  create();
  CHECK(!is_claimed());
  return 0;
}

// Someone removes the file of claims, while a create claims cores or while they are held. What others
// would not see is claimed again in the file that they find.
SCENARIO(claims_in_a_file_that_is_removed) {
  const Folder folder;
  Plugin plugin;
  if (allowed().size() != 2) return 0;
  const std::string file = folder.path + "/claims";
  host::disk::claims = file.c_str();
  host::disk::removals = 1;
  void *handle = plugin.create("{}");
  CHECK_EQ(host::disk::removals.load(), 0);
  const signal_lane_t first = lane(plugin, handle);
  CHECK(spins(first) && others_see(file, first));
  const auto is_said = [&] {
    return plugin.health(handle) != SIGNAL_HEALTH_OK && has(plugin.last_error(), "the file of claims was removed: ");
  };
  const auto create = [&] { plugin.destroy(plugin.create(R"({"placement":"inline"})")); };
  for (const bool is_replaced : {false, true}) {
    CHECK(wait_for([&] { return plugin.health(handle) == SIGNAL_HEALTH_OK; }));
    if (is_replaced) {
      CHECK_EQ(rename(file.c_str(), (file + ".old").c_str()), 0);
      apart([&plugin] { CHECK(spins(lane(plugin, plugin.create("{}")))); });
    } else {
      CHECK_EQ(unlink(file.c_str()), 0);
    }
    CHECK(wait_for(is_said));
    CHECK(has(said(create), "the file of claims was removed and is made again"));
    CHECK(others_see(file, first));
    CHECK_EQ(said(create).find("the file of claims"), std::string::npos);
  }
  // A file is closed once it has no name. One that was renamed stays open as long as a core is claimed there.
  for (int removal = 0; removal < 9; ++removal) {
    CHECK_EQ(descriptors_of(file), 2);
    CHECK_EQ(unlink(file.c_str()), 0);
    create();
    CHECK(others_see(file, first));
  }
  plugin.destroy(handle);
  CHECK_EQ(descriptors_of(file), 1);
  // A create does not try for ever.
  host::disk::removals = 1000;
  handle = plugin.create("{}");
  CHECK(host::disk::removals.load() > 900);
  host::disk::removals = 0;
  CHECK(spins(lane(plugin, handle)));
  CHECK(wait_for(is_said));
  plugin.destroy(handle);
  return 0;
}

// Another process has the lock of the file of claims and does not give it back, as one that is stopped in
// its create.
SCENARIO(a_lock_of_claims_that_another_process_keeps) {
  const Folder folder;
  Plugin plugin;
  use(plugin, "{}");
  const std::string file = folder.path + "/claims";
  Other other([&] { CHECK_EQ(flock(open(file.c_str(), O_RDWR), LOCK_EX), 0); });
  double shortest = 60.0;
  for (const bool is_first : {true, false, false}) {
    void *handle = nullptr;
    const std::string line = said([&] { handle = plugin.create(R"({"placement":"fused","idle":"spin"})"); });
    CHECK_EQ(has(line, "cores are chosen without the lock (flock) on the file of claims: another process"), is_first);
    CHECK(others_see(file, lane(plugin, handle)));
    const double start = seconds();
    plugin.destroy(handle);
    shortest = std::min(shortest, seconds() - start);
  }
  // It waits for a second.
  CHECK(shortest > 0.9 && shortest < 1.8);
  other.end(SIGKILL);
  return 0;
}

// A process of another user sees the claim and can make one.
SCENARIO(claims_of_another_user) {
  const Folder folder;
  Plugin plugin;
  if (!needs_two_cores() || !needs_root()) return 0;
  umask(077);
  void *handle = plugin.create("{}");
  CHECK(spins(lane(plugin, handle)));
  Other other([&] {
    CHECK_EQ(setuid(64321), 0);
    void *own = nullptr;
    const std::string line = said([&] { own = plugin.create("{}"); });
    CHECK(!has(line, "not known") && has(line, "has a lane of process"));
    CHECK(!spins(lane(plugin, own)));
  });
  other.end(SIGTERM);
  plugin.destroy(handle);
  return 0;
}

// A thread that does not exist in the child has the claims in its hands.
SCENARIO(fork_beside_another_threads_claims) {
  const Folder folder;
  Plugin plugin;
  use(plugin, "{}");
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) plugin.destroy(plugin.create(R"({"placement":"split"})"));
  });
  for (int round = 0; round < 30; ++round) {
    in_child(17, [&] {
      void *handle = nullptr;
      const std::string line = said([&] { handle = plugin.create("{}"); });
      CHECK(handle != nullptr);
      CHECK(!has(line, "keeps them to itself"));
      plugin.destroy(handle);
      _exit(17);
    });
    sleep_us(1000);
  }
  stop = true;
  other.join();
  return 0;
}

SCENARIO(two_creates_at_once_share_no_core) {
  const Folder folder;
  Plugin plugin;
  use(plugin, "{}");
  for (int round = 0; round < 40; ++round) {
    void *handles[2] = {};
    std::thread one([&] { handles[0] = plugin.create("{}"); });
    std::thread two([&] { handles[1] = plugin.create("{}"); });
    one.join();
    two.join();
    const signal_lane_t first = lane(plugin, handles[0]), second = lane(plugin, handles[1]);
    const bool share = first.core == second.core && spins(first) && spins(second);
    if (share) std::fprintf(stderr, "round %d: %s | %s\n", round, first.name, second.name);
    CHECK(!share);
    CHECK(allowed().size() != 2 || !(spins(first) && spins(second)));
    for (void *handle : handles) plugin.destroy(handle);
  }
  return 0;
}

SCENARIO(lanes_leave_a_core_for_the_host) {
  const Folder folder;
  Plugin plugin;
  const std::vector<int> cores = allowed();
  std::vector<std::uint64_t> busy;
  std::vector<void *> handles;
  // More handles than cores, each made on a core that an earlier handle's lane may have.
  for (std::size_t index = 0; index <= cores.size(); ++index) {
    run_on({cores[(cores.size() - 1 + index) % cores.size()]});
    run_on(cores);
    handles.push_back(plugin.create("{}"));
    const signal_lane_t one = lane(plugin, handles.back());
    if (spins(one)) busy.push_back(one.core);
  }
  std::sort(busy.begin(), busy.end());
  CHECK(std::adjacent_find(busy.begin(), busy.end()) == busy.end());
  CHECK(busy.size() < cores.size());
  for (void *handle : handles) plugin.destroy(handle);
  return 0;
}

// A thread with a table of descriptors of its own does not have the file of claims. The others do, so claims
// stand until these have closed it.
SCENARIO(claims_of_threads_with_descriptors_of_their_own) {
  const Folder folder;
  Plugin plugin;
  std::atomic<void *> made{nullptr};
  std::atomic<bool> may_close{false}, may_end{false};
  std::thread maker([&] {
    CHECK_EQ(unshare(CLONE_FILES), 0);
    made = plugin.create(R"({"placement":"fused","idle":"spin"})");
    CHECK(made != nullptr);
    CHECK(wait_for([&] { return may_close.load(); }));
    for (int descriptor = 3; descriptor < 64; ++descriptor) close(descriptor);
    CHECK(wait_for([&] { return may_end.load(); }));
    plugin.destroy(made);
  });
  CHECK(wait_for([&] { return made != nullptr; }));
  const auto is_said = [&] {
    return plugin.health(made) != SIGNAL_HEALTH_OK && has(plugin.last_error(), "closed the descriptor of the file of claims");
  };
  CHECK(others_see(folder.path + "/claims", lane(plugin, made)));
  for (int look = 0; look < 3; ++look) {
    CHECK(!is_said());
    sleep_us(600'000);
  }
  may_close = true;
  CHECK(wait_for(is_said));
  may_end = true;
  maker.join();
  return 0;
}
