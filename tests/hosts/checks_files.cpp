// Hosts whose descriptors, folders and disks are not as a program expects.
#include "descriptors.hpp"
#include "disk.hpp"
#include "folder.hpp"
#include "plugin.hpp"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <functional>
#include <sstream>

using namespace host;
using namespace host::disk;

namespace {

// For processes without stderr: the exit status shows the line.
#define REQUIRE(condition) \
  do {                     \
    if (!(condition)) _exit(__LINE__ % 200 + 20); \
  } while (0)

std::string config(const std::string &capture, const std::string &report, int interval_ms = 10) {
  std::string json = R"({"placement":"inline","model":"none","factors":"test0000")";
  if (!capture.empty()) json += R"(,"capture":{"file":")" + capture + "\"}";
  if (!report.empty()) json += R"(,"latency":{"interval_ms":)" + std::to_string(interval_ms) + R"(,"dir":")" + report + "\"}";
  return json + "}";
}

void play(const Plugin &plugin, void *handle, int events = 5) {
  plugin.register_callback(handle, [](const char *, long long, const double *, int, void *) {}, nullptr);
  for (int event = 0; event < events; ++event) {
    const Depth d = depth("btc_usdt", event, 10.0, 11.0);
    plugin.on_data(handle, kDepth, &d);
    plugin.poll_callbacks(handle);
    sleep_us(2000);
  }
}

// Makes the library write a line, which says that something is refused.
void say_something(const Plugin &plugin) { REQUIRE(plugin.create(R"({"model":"nope"})") == nullptr); }

bool is_whole(const std::string &capture) {
  const std::string all = text(capture);
  return all.rfind("type,ts_ns", 0) == 0 && all.find("signal:") == std::string::npos && all.back() == '\n';
}

}  // namespace

// A library file with descriptor 0, 1 or 2 would receive all that the host or the library prints.
SCENARIO(files_lie_above_the_standard_streams) {
  Folder folder;
  apart([&] {
    Plugin plugin;
    for (int file = 0; file < 3; ++file) close(file);
    void *handle = plugin.create(config(folder.at("c.csv"), folder.at("report")).c_str());
    REQUIRE(handle != nullptr);
    const std::uint64_t lost = plugin.lost_lines();
    REQUIRE(lost > 0);
    for (int file = 0; file < 3; ++file) REQUIRE(fcntl(file, F_GETFD) == -1 && errno == EBADF);
    play(plugin, handle);
    say_something(plugin);
    REQUIRE(plugin.lost_lines() > lost);
    plugin.destroy(handle);
    for (int file = 0; file < 3; ++file) REQUIRE(fcntl(file, F_GETFD) == -1 && errno == EBADF);
    REQUIRE(is_whole(folder.at("c.csv")));
    REQUIRE(text(folder.at("report/latency.hlog")).find("signal:") == std::string::npos);
    REQUIRE(text(folder.at("report/summary.json")).back() == '\n');
  });
  return 0;
}

// Descriptor 2 belongs to the host: it may be any file that the host opened after it closed stderr.
SCENARIO(stderr_that_has_become_another_file) {
  Folder folder;
  const std::string data = folder.at("data");
  int sockets[2];
  const std::function<int()> ways[] = {
      [&] { return open(data.c_str(), O_CREAT | O_RDWR, 0644); },
      [&] { return open(data.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0644); },
      [&] { return socket(AF_INET, SOCK_DGRAM, 0); },
      [&] {
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
        return sockets[0];
      },
  };
  for (const auto &way : ways) {
    apart([&] {
      Plugin plugin;
      close(STDERR_FILENO);
      REQUIRE(way() == STDERR_FILENO);
      struct stat about {};
      REQUIRE(fstat(STDERR_FILENO, &about) == 0);
      if (S_ISREG(about.st_mode)) REQUIRE(write(STDERR_FILENO, "DATA", 4) == 4);
      say_something(plugin);
      void *handle = plugin.create(config("", "").c_str());
      REQUIRE(handle != nullptr);
      play(plugin, handle);
      plugin.destroy(handle);
      REQUIRE(plugin.lost_lines() == 2);
      if (S_ISREG(about.st_mode)) REQUIRE(text(data) == "DATA");
      char byte;
      if (S_ISSOCK(about.st_mode) && sockets[1] > 2) REQUIRE(recv(sockets[1], &byte, 1, MSG_DONTWAIT) == -1);
    });
    unlink(data.c_str());
  }
  // Opened before the library is loaded: a file that is also read, or that exec closes, is
  // not stderr.
  for (const int flags : {O_RDWR, O_WRONLY | O_CLOEXEC}) {
    apart([&] {
      close(STDERR_FILENO);
      REQUIRE(open(data.c_str(), O_CREAT | O_TRUNC | flags, 0644) == STDERR_FILENO);
      Plugin plugin;
      say_something(plugin);
      REQUIRE(plugin.lost_lines() == 1);
      REQUIRE(text(data).empty());
    });
  }
  return 0;
}

// The host replaces its stderr by a log later on.
SCENARIO(stderr_that_was_redirected) {
  Folder folder;
  const std::string log = folder.at("log");
  for (const bool keeps : {true, false}) {
    apart([&] {
      Plugin plugin;
      const int file = open(log.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0644);
      REQUIRE(dup2(file, STDERR_FILENO) == STDERR_FILENO);
      // Daemons do this: both streams go to the log.
      if (!keeps) REQUIRE(dup2(file, STDOUT_FILENO) == STDOUT_FILENO && close(file) == 0);
      say_something(plugin);
      REQUIRE(plugin.lost_lines() == 0);
      REQUIRE(text(log).rfind("signal: ", 0) == 0);
    });
  }
  // The log's descriptor may have any number.
  apart([&] {
    Plugin plugin;
    const int low = open(log.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0644);
    REQUIRE(fcntl(low, F_DUPFD, 400) == 400 && dup2(low, STDERR_FILENO) == STDERR_FILENO && close(low) == 0);
    say_something(plugin);
    REQUIRE(plugin.lost_lines() == 0);
    REQUIRE(text(log).rfind("signal: ", 0) == 0);
  });
  // Before the library is loaded, stderr may be replaced in any way.
  apart([&] {
    REQUIRE(std::freopen(log.c_str(), "w", stderr) != nullptr);
    Plugin plugin;
    say_something(plugin);
    REQUIRE(text(log).rfind("signal: ", 0) == 0);
  });
  return 0;
}

SCENARIO(files_stay_where_they_were_at_create) {
  Folder folder;
  Plugin plugin;
  CHECK_EQ(chdir(folder.path), 0);
  void *handle = plugin.create(config("c.csv", "report").c_str());
  CHECK(handle != nullptr);
  CHECK_EQ(rename("report", "renamed"), 0);
  CHECK_EQ(mkdir("report", 0755), 0);
  CHECK_EQ(chdir("/"), 0);
  play(plugin, handle);
  plugin.destroy(handle);
  CHECK(is_whole(folder.at("c.csv")));
  CHECK(text(folder.at("renamed/summary.json")).find("\"hops\"") != std::string::npos);
  CHECK(text(folder.at("renamed/host.wait.hgrm")).find("Percentile") != std::string::npos);
  CHECK_EQ(access(folder.at("report/summary.json").c_str(), F_OK), -1);
  return 0;
}

// A FIFO, a device, a socket or a folder where a file should be.
SCENARIO(files_that_are_none) {
  alarm(120);
  Folder folder;
  Plugin plugin;
  const std::string fifo = folder.at("fifo"), sock = folder.at("socket");
  CHECK_EQ(mkfifo(fifo.c_str(), 0644), 0);
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::strcpy(name.sun_path, sock.c_str());
  CHECK_EQ(bind(listener, reinterpret_cast<sockaddr *>(&name), sizeof name), 0);
  const auto refused = [&](const std::string &json, const char *kind, const std::string &path) {
    CHECK(plugin.create(json.c_str()) == nullptr);
    const std::string why = plugin.last_error();
    if (why.find(kind) == std::string::npos || why.find(path) == std::string::npos) {
      std::fprintf(stderr, "%s: %s\n", path.c_str(), why.c_str());
      CHECK(false);
    }
  };
  refused(config(fifo, ""), "a FIFO", fifo);
  refused(config(sock, ""), "a socket", sock);
  refused(config(folder.path, ""), "a folder", folder.path);
  refused(config("/dev/zero", ""), "a device", "/dev/zero");
  refused(R"({"model":")" + fifo + "\"}", "a FIFO", fifo);
  for (const char *file : {"latency.hlog", "summary.json", "host.wait.hgrm"}) {
    const std::string report = folder.at("report"), path = report + "/" + file;
    CHECK_EQ(mkdir(report.c_str(), 0755), 0);
    CHECK_EQ(mkfifo(path.c_str(), 0644), 0);
    refused(config("", report), "a FIFO", path);
    CHECK_EQ(std::system(("rm -r " + report).c_str()), 0);
  }
  CHECK_EQ(setenv("SIGNAL_CONFIG", fifo.c_str(), 1), 0);
  refused("{}", "a FIFO", fifo);
  return 0;
}

// What is in the way of an output is named, and nothing is left behind.
SCENARIO(outputs_with_something_else_in_the_way) {
  const Folder folder;
  const auto refused = [](const Plugin &plugin, const std::string &json, const char *why) {
    CHECK(plugin.create(json.c_str()) == nullptr);
    if (!has(plugin.last_error(), why)) std::fprintf(stderr, "%s\n", plugin.last_error());
    CHECK(has(plugin.last_error(), why));
  };
  std::ofstream(folder.at("file")) << "kept";
  refused(Plugin(), config("", folder.at("file")), "it is a regular file; expected a folder");
  CHECK(text(folder.at("file")) == "kept");
  apart([&] {
    CHECK(mkdir(folder.at("gone").c_str(), 0755) == 0 && chdir(folder.at("gone").c_str()) == 0);
    CHECK_EQ(rmdir(folder.at("gone").c_str()), 0);
    Plugin plugin;
    for (const auto &json : {config("c.csv", ""), config("", "report")})
      refused(plugin, json, "the working directory is gone; expected an absolute path");
  });
  apart([&] {
    const std::string name(200, 'x');
    CHECK_EQ(chdir(folder.path), 0);
    for (int depth = 0; depth < 25; ++depth) CHECK(mkdir(name.c_str(), 0755) == 0 && chdir(name.c_str()) == 0);
    Plugin plugin;
    for (const auto &json : {config("c.csv", ""), config("", "report")})
      refused(plugin, json, "the working directory's own path is too long; expected an absolute path");
  });
  apart([&] {
    Plugin plugin;
    CHECK_EQ(chmod(folder.path, 0777), 0);
    if (geteuid() == 0) CHECK_EQ(setuid(65534), 0);
    for (const mode_t mask : {0277, 0777}) {
      umask(mask);
      for (const auto &json : {config("", folder.at("new")), config(folder.at("new/c.csv"), "")})
        refused(plugin, json, "the umask takes the owner's own rights from a new folder");
      CHECK(access(folder.at("new").c_str(), F_OK) != 0);
    }
  });
  return 0;
}

// After a fork, the child has the descriptors of all files, and the locks on them.
SCENARIO(files_are_unlocked_though_a_child_holds_them) {
  Folder folder;
  Plugin plugin;
  const std::string json = config(folder.at("c.csv"), folder.at("report"));
  void *first = plugin.create(json.c_str());
  CHECK(first != nullptr);
  CHECK(plugin.create(json.c_str()) == nullptr);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    pause();
    _exit(0);
  }
  plugin.destroy(first);
  void *second = plugin.create(json.c_str());
  if (second == nullptr) std::fprintf(stderr, "%s\n", plugin.last_error());
  CHECK(second != nullptr);
  CHECK_EQ(kill(child, SIGKILL), 0);
  CHECK_EQ(waitpid(child, nullptr, 0), child);
  // The child had the first handle's files, but its end has unlocked nothing.
  CHECK(plugin.create(json.c_str()) == nullptr);
  plugin.destroy(second);
  return 0;
}

// A host closes all descriptors that it does not know, and its next files get the numbers
// of ours. The library writes nothing there, releases none of the host's locks and closes
// nothing.
SCENARIO(descriptors_that_the_host_has_closed) {
  Folder folder;
  Plugin plugin;
  const std::string json = config(folder.at("c.csv"), folder.at("report"), kReportIntervalMs);
  void *handle = plugin.create(json.c_str());
  CHECK(handle != nullptr);
  play(plugin, handle);
  // The handle has claimed a core, if there is one.
  void *spinning = plugin.create(R"({"placement":"fused","idle":"spin","capture":{"file":"/dev/null"}})");
  CHECK(spinning != nullptr);
  await_interval(folder.at("report/latency.hlog"), [&] { play(plugin, handle, 1); });
  replace_descriptors(folder);
  const std::string lines = said([&] {
    play(plugin, handle);
    CHECK(wait_for([&] { return plugin.health(handle) == SIGNAL_HEALTH_DEGRADED; }));
    plugin.destroy(spinning);
    plugin.destroy(handle);
  });
  CHECK(lines.find("Bad file descriptor") != std::string::npos);
  check_replaced(folder);
  use(plugin, json.c_str());
  return 0;
}

// As `daemon` does it: the parent leaves without `signal_destroy`, and the child makes the
// same handle again.
SCENARIO(files_of_a_daemon) {
  Folder folder;
  int done[2];
  CHECK_EQ(pipe(done), 0);
  in_child(0, [&] {
    Plugin plugin;
    const std::string json = config(folder.at("c.csv"), folder.at("report"));
    void *handle = plugin.create(json.c_str());
    CHECK(handle != nullptr);
    const pid_t parent = getpid();
    if (fork() != 0) _exit(0);
    alarm(120);
    CHECK(wait_for([&] { return getppid() != parent; }));
    CHECK_EQ(plugin.poll_callbacks(handle), SIGNAL_ERROR_HANDLE);
    plugin.destroy(handle);
    use(plugin, json.c_str());
    CHECK_EQ(write(done[1], "y", 1), 1);
    _exit(0);
  });
  close(done[1]);
  char answer = 'n';
  CHECK_EQ(read(done[0], &answer, 1), 1);
  CHECK_EQ(answer, 'y');
  CHECK(is_whole(folder.at("c.csv")));
  CHECK_EQ(access(folder.at("report/summary.json").c_str(), R_OK), 0);
  return 0;
}

SCENARIO(files_that_cannot_be_locked) {
  Folder folder;
  Plugin plugin;
  for (const int error : {EOPNOTSUPP, ENOLCK, ENOSYS, EINVAL}) {
    forbid(SYS_flock, error);
    void *handle = nullptr;
    const std::string line =
        said([&] { handle = plugin.create(config(folder.at("c.csv"), folder.at("report")).c_str()); });
    CHECK(handle != nullptr);
    const std::size_t at = line.find("cannot be locked");
    // The line comes only once.
    CHECK_EQ(at != std::string::npos, error == EOPNOTSUPP);
    CHECK(line.find("cannot be locked", at + 1) == std::string::npos || at == std::string::npos);
    play(plugin, handle);
    plugin.destroy(handle);
    CHECK(is_whole(folder.at("c.csv")));
    CHECK_EQ(access(folder.at("report/summary.json").c_str(), R_OK), 0);
  }
  return 0;
}

// The disk acts like a server that is gone. Everything else that the engine writes is written.
SCENARIO(disk_that_never_answers) {
  Plugin plugin;
  std::string all = "rm -r";
  for (const char *name : {"latency.hlog", "c.csv", "summary.json"}) {
    auto *folder = new Folder;  // The thread that is left behind still uses it.
    all += std::string(" ") + folder->path;
    void *handle = plugin.create(config(folder->at("c.csv"), folder->at("report")).c_str());
    CHECK(handle != nullptr);
    play(plugin, handle);
    stuck = name;
    play(plugin, handle, 20);
    const double start = seconds();
    const std::string lines = said([&] { plugin.destroy(handle); });
    const double took = seconds() - start;
    CHECK(took > 4.0 && took < 10.0);
    CHECK(lines.find("the disk does not respond") != std::string::npos);
    CHECK(lines.find(folder->path) != std::string::npos);
    // The stuck thread may write again some day, so nobody else may use the files until then.
    CHECK(plugin.create(config(folder->at("c.csv"), folder->at("report")).c_str()) == nullptr);
    if (std::strcmp(name, "c.csv") != 0) {
      CHECK(is_whole(folder->at("c.csv")));
    } else {
      CHECK(lines.find("latency report") == std::string::npos);
      CHECK_EQ(access(folder->at("report/summary.json").c_str(), R_OK), 0);
    }
    stuck = nullptr;
    // The host continues.
    use(plugin, kConfigs[0]);
  }
  _exit(std::system(all.c_str()));
}

namespace {

void *read_from = nullptr;
std::atomic<bool> is_interrupted{false}, may_go_on{false}, has_read{false};

void sleep_in_a_handler(int) {
  is_interrupted = true;
  while (!may_go_on) {
    const timespec some{0, 1000000};
    nanosleep(&some, nullptr);
  }
}

}  // namespace

// A reading thread is interrupted for longer than destroy waits for it.
SCENARIO(reader_that_is_interrupted) {
  alarm(120);
  static Plugin plugin;
  Folder folder;
  signal(SIGUSR2, sleep_in_a_handler);
  for (const char *placement : {"inline", "split"}) {
    const std::string json = R"({"placement":")" + std::string(placement) + R"(","capture":{"file":")" +
                             folder.at("c.csv") + R"("},"latency":{"dir":")" + folder.at("report") + "\"}}";
    is_interrupted = may_go_on = has_read = false;
    Engine engine(plugin, json.c_str());
    for (int event = 0; event < 20; ++event) engine.feed(depth("btc_usdt", event, 10.0, 11.0));
    engine.drain();
    read_from = engine.handle;
    pthread_t reader;
    CHECK_EQ(pthread_create(&reader, nullptr, [](void *) -> void * {
      signal_lane_t rows[16];
      while (plugin.lanes(read_from, rows, 16) >= 0) has_read = true;
      return nullptr;
    }, nullptr), 0);
    CHECK(wait_for([] { return has_read.load(); }));
    // The signal may hit the reader inside or outside a call.
    std::string lines;
    const std::size_t threads_before = threads().size();
    CHECK(threads_before >= 2);
    CHECK_EQ(pthread_kill(reader, SIGUSR2), 0);
    CHECK(wait_for([] { return is_interrupted.load(); }));
    const double start = seconds();
    lines = said([&] { engine.destroy(); });
    CHECK(seconds() - start < 20.0);
    const bool was_inside = lines.find("its memory is kept") != std::string::npos;
    std::fprintf(stderr, "%s: %s a call\n", placement, was_inside ? "inside" : "outside");
    // In both cases everything is finished, and the files may be written again.
    CHECK(is_whole(folder.at("c.csv")));
    const std::string captured = text(folder.at("c.csv"));
    CHECK_EQ(std::count(captured.begin(), captured.end(), '\n'), 21);
    CHECK(text(folder.at("report/summary.json")).find("\"delivered\": 20") != std::string::npos);
    CHECK(text(folder.at("report/host.wait.hgrm")).find("Total count    =           20") != std::string::npos);
    void *again = plugin.create(json.c_str());
    if (again == nullptr) std::fprintf(stderr, "%s\n", plugin.last_error());
    CHECK(again != nullptr);
    may_go_on = true;
    CHECK_EQ(pthread_join(reader, nullptr), 0);
    plugin.destroy(again);
  }
  return 0;
}

// An empty log has lost what the host said, and a program whose file is emptied ends with SIGBUS.
SCENARIO(outputs_that_the_process_needs_as_they_are) {
  Folder folder;
  const std::string copy = folder.at("copy.so"), report = folder.at("report");
  std::ofstream(copy, std::ios::binary) << std::ifstream(std::getenv("SIGNAL_LIB_PATH"), std::ios::binary).rdbuf();
  const std::string code = text(copy);
  apart([&] {
    Plugin plugin(copy.c_str(), RTLD_LAZY | RTLD_NODELETE);
    const auto refused = [&](const std::string &json, const std::string &why) {
      REQUIRE(plugin.create(json.c_str()) == nullptr);
      REQUIRE(std::string(plugin.last_error()).find(why) != std::string::npos);
    };
    refused(config(copy, ""), "capture.file " + copy + " is a file that the program runs from");
    refused(config("/proc/self/comm", ""), "the kernel's own file systems");
    refused(config("", "/proc/self/report"), "the kernel's own file systems");
    for (const int stream : {0, 1, 2}) {
      const std::string log = folder.at("host's ") + std::to_string(stream);
      const int file = open(log.c_str(), O_CREAT | O_RDWR, 0644);
      REQUIRE(write(file, "kept\n", 5) == 5);
      REQUIRE(dup2(file, stream) == stream);
      const std::string why = std::string("is the program's standard ") +
                              (stream == 0 ? "input" : stream == 1 ? "output" : "error");
      refused(config(log, ""), why);
      refused(config("/proc/self/fd/" + std::to_string(stream), ""), why);
      for (const char *name : {"latency.hlog", "summary.json"}) {
        mkdir(report.c_str(), 0755);
        REQUIRE(link(log.c_str(), (report + "/" + name).c_str()) == 0);
        refused(config("", report), "latency.dir's " + report + "/" + name + " " + why);
        REQUIRE(unlink((report + "/" + name).c_str()) == 0);
      }
      REQUIRE(text(log).rfind("kept\n", 0) == 0);
    }
  });
  CHECK(text(copy) == code);
  return 0;
}
