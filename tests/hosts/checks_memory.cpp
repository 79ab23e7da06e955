// Memory that is refused, by a limit, by the machine or by a control group. Create returns
// null with the need and the limit, or a handle that works. The process survives.
#include "plugin.hpp"

#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fstream>

using namespace host;

namespace {

constexpr long kMib = 1 << 20;

// Returns whether a handle was made; `why` gets the reason if it was not.
bool makes(const Plugin &plugin, const char *config, std::string *why = nullptr) {
  void *handle = plugin.create(config);
  if (handle == nullptr) {
    CHECK(plugin.last_error() != nullptr);
    if (why != nullptr) *why = plugin.last_error();
    return false;
  }
  plugin.register_callback(handle, [](const char *, long long, const double *, int, void *) {}, nullptr);
  signal_stats_t stats{};
  stats.size = sizeof stats;
  const Depth d = depth("btc_usdt", 1, 10.0, 11.0);
  plugin.on_data(handle, kDepth, &d);
  CHECK(wait_for([&] { return plugin.stats(handle, &stats) == 0 && stats.in_flight == 0; }));
  CHECK_EQ(plugin.poll_callbacks(handle), 1);
  plugin.destroy(handle);
  return true;
}

// The result of a create in a separate process.
struct Outcome {
  bool made;
  std::string why;
};

Outcome within(const char *config, const std::function<void(const Plugin &)> &bounded) {
  int ends[2];
  CHECK_EQ(pipe(ends), 0);
  std::fflush(nullptr);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(120);
    Plugin plugin;
    bounded(plugin);
    std::string why;
    const bool made = makes(plugin, config, &why);
    CHECK_EQ(write(ends[1], why.data(), why.size()), static_cast<ssize_t>(why.size()));
    _exit(made ? 21 : 20);
  }
  close(ends[1]);
  Outcome outcome{};
  char part[512];
  for (ssize_t got; (got = read(ends[0], part, sizeof part)) > 0;) outcome.why.append(part, static_cast<std::size_t>(got));
  close(ends[0]);
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  if (!WIFEXITED(status)) std::fprintf(stderr, "%.200s: signal %d\n", config, WTERMSIG(status));
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 20 || WEXITSTATUS(status) == 21);
  outcome.made = WEXITSTATUS(status) == 21;
  return outcome;
}

// Functions that write the messages of an ONNX file.
std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
std::string field(std::uint64_t number, const std::string &bytes) {
  return varint(number << 3 | 2) + varint(bytes.size()) + bytes;
}
std::string field(std::uint64_t number, std::uint64_t value) { return varint(number << 3) + varint(value); }
std::string port(const char *name, std::uint64_t width) {
  const std::string shape = field(1, "") + field(1, field(1, width));
  return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)));
}
std::string ones(const char *name, std::uint64_t rows, std::uint64_t columns) {
  std::string numbers;
  const float one = 1;
  for (std::uint64_t number = 0; number < rows * columns; ++number) {
    numbers.append(reinterpret_cast<const char *>(&one), sizeof one);
  }
  return field(1, rows) + field(1, columns) + field(2, 1) + field(8, name) + field(9, numbers);
}
std::string node(const char *op, const std::vector<const char *> &from, const char *to) {
  std::string bytes;
  for (const char *name : from) bytes += field(1, name);
  return bytes + field(2, to) + field(4, op);
}

// Constants of a few kilobytes become a table of 1200 times 1200 numbers.
std::string expanding_onnx() {
  constexpr std::uint64_t kSide = 1200, kColumns = kSide * kSide / 3;
  const auto shape = [](const char *name, std::int64_t rows, std::int64_t columns) {
    const std::int64_t sizes[] = {rows, columns};
    const std::string bytes(reinterpret_cast<const char *>(sizes), sizeof sizes);
    return field(1, 2) + field(2, 7) + field(8, name) + field(9, bytes);
  };
  const std::string graph = field(5, ones("a", kSide, 1)) + field(5, ones("b", 1, kSide)) + field(5, ones("t", 3, 1)) +
                            field(5, shape("wide", 3, kColumns)) + field(5, shape("high", kColumns, 3)) +
                            field(1, node("Add", {"a", "b"}, "c")) + field(1, node("Relu", {"c"}, "r")) +
                            field(1, node("Reshape", {"r", "wide"}, "w")) + field(1, node("Reshape", {"r", "high"}, "u")) +
                            field(1, node("MatMul", {"u", "t"}, "v")) + field(1, node("MatMul", {"x", "w"}, "h")) +
                            field(1, node("MatMul", {"h", "v"}, "y")) +
                            field(11, port("x", 3)) + field(12, port("y", 1));
  return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17));
}

// Rows of a check file take many times their size in memory.
std::string check_rows(const char *row, int count) {
  std::string rows;
  for (int index = 0; index < count; ++index) rows += (index == 0 ? "" : ",") + std::string(row);
  return rows;
}

void put(const std::string &path, const std::string &bytes) {
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  file.close();
  CHECK(file.good());
}

struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/signal-memory-XXXXXX";
    CHECK(mkdtemp(name) != nullptr);
    path = name;
  }
  ~Folder() {
    const std::string remove = "rm -r " + path;
    CHECK_EQ(std::system(remove.c_str()), 0);
  }
};

}  // namespace

// The library checks for the memory that reading and compiling a model takes, whatever its
// file's size is. At each limit the create is refused by name, or works.
SCENARIO(memory_of_models) {
  const Folder folder;
  put(folder.path + "/m.onnx", expanding_onnx());
  put(folder.path + "/m.json", R"({"weights":[0,0,0],"bias":0})");
  put(folder.path + "/m.json.check.json", R"({"tolerance":1,"inputs":[)" + check_rows("[0,0,0]", 80000) +
                                              R"(],"outputs":[)" + check_rows("[0,0]", 80000) + "]}");
  for (const char *file : {"/m.onnx", "/m.json"}) {
    const std::string config = R"({"model":")" + folder.path + file + "\"}";
    for (const auto &[resource, used] : {std::pair{RLIMIT_AS, "VmSize:"}, std::pair{RLIMIT_DATA, "VmData:"}}) {
      int made = 0, refused = 0, for_model = 0;
      for (long mib = 4; mib <= 124; mib += 12) {
        const Outcome outcome = within(config.c_str(), [&, resource = resource, used = used](const Plugin &) {
          limit(resource, static_cast<rlim_t>(kib(used) / 1024 + mib) * kMib);
        });
        ++(outcome.made ? made : refused);
        if (outcome.made) continue;
        const char *name = resource == RLIMIT_AS ? "(RLIMIT_AS)" : "(RLIMIT_DATA)";
        if (outcome.why.find(name) == std::string::npos) std::fprintf(stderr, "%s\n", outcome.why.c_str());
        CHECK(outcome.why.find("memory: ") != std::string::npos && outcome.why.find(name) != std::string::npos);
        for_model += outcome.why.find(file) != std::string::npos;
      }
      std::fprintf(stderr, "%s: %d made, %d refused, %d of them for the model\n", config.c_str(), made, refused, for_model);
      CHECK(made > 0 && for_model > 0);
    }
  }
  return 0;
}

// A configuration with many names, which fill tables and which the report repeats.
SCENARIO(memory_of_a_configuration) {
  const Folder folder;
  std::string config = R"({"latency":{"dir":")" + folder.path + R"("},"assets":["btc_usdt")";
  for (int asset = 0; asset < 40000; ++asset) config += ",\"s" + std::to_string(asset) + "_usdt\"";
  config += "]}";
  int made = 0, named = 0;
  for (long mib = 10; mib <= 100; mib += 6) {
    const Outcome outcome = within(config.c_str(), [mib](const Plugin &) {
      limit(RLIMIT_AS, static_cast<rlim_t>(kib("VmSize:") / 1024 + mib) * kMib);
    });
    made += outcome.made;
    named += outcome.why.find("(RLIMIT_AS)") != std::string::npos;
    CHECK(outcome.made || outcome.why.find("(RLIMIT_AS)") != std::string::npos);
  }
  std::fprintf(stderr, "%d made, %d refused by name\n", made, named);
  CHECK(made > 0 && named > 0);
  return 0;
}

// The process already uses all but a few of the mappings that it may have.
SCENARIO(few_mappings) {
  const Folder folder;
  const std::string files = R"({"placement":"split","latency":{"dir":")" + folder.path + R"(/report"},"capture":{"file":")" +
                            folder.path + R"(/capture.csv"}})";
  for (const char *config : {"{}", R"({"placement":"split"})", files.c_str()}) {
    int made = 0, named = 0;
    for (int left = 0; left <= 100; left += left < 16 ? 4 : 20) {
      const Outcome outcome = within(config, [left](const Plugin &) {
        constexpr long kPage = 4096, kPages = 160000;
        void *const room = mmap(nullptr, kPages * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        CHECK(room != MAP_FAILED);
        char *const first = static_cast<char *>(room);
        long page = 1;
        while (page < kPages && mprotect(first + page * kPage, kPage, PROT_READ) == 0) page += 2;
        if (page >= kPages) _exit(20);  // This machine lets a process have more than that.
        for (int given = 0; given < left; given += 2) {
          page -= 2;
          CHECK_EQ(mprotect(first + page * kPage, kPage, PROT_NONE), 0);
        }
      });
      made += outcome.made;
      named += outcome.why.find("vm.max_map_count") != std::string::npos;
    }
    std::fprintf(stderr, "%s: %d made, %d refused by name\n", config, made, named);
    CHECK((made > 0 && named > 0) || (made == 0 && named == 0));
  }
  return 0;
}

// A host that locks all its mappings: checking for memory fills none of it, and the error
// names the limit that was reached.
SCENARIO(locked_memory) {
  constexpr int kAll = MCL_CURRENT | MCL_FUTURE;
  apart([] {
    Plugin plugin;
    if (mlockall(kAll) != 0) {
      std::fprintf(stderr, "skipped: mlockall is not allowed here\n");
      return;
    }
    const long before = kib("VmHWM:");
    void *handle = plugin.create("{}");
    CHECK(handle != nullptr);
    const long filled = kib("VmHWM:") - before;
    std::fprintf(stderr, "create fills %ld KiB\n", filled);
    CHECK(filled < 16 << 10);
    plugin.destroy(handle);
  });
  const Outcome outcome = within("{}", [](const Plugin &) {
    rlimit most{};
    CHECK_EQ(getrlimit(RLIMIT_MEMLOCK, &most), 0);
    limit(RLIMIT_MEMLOCK, static_cast<rlim_t>(kib("VmSize:") + 2048) << 10);
    // Root may lock any amount.
    if (geteuid() == 0) CHECK_EQ(setuid(64321), 0);
    if (mlockall(kAll) != 0) _exit(20);
  });
  CHECK(!outcome.made);
  CHECK(outcome.why.empty() || outcome.why.find("(RLIMIT_MEMLOCK)") != std::string::npos);
  return 0;
}

namespace {

// A control group for this process, of either version, if one can be made.
struct Group {
  std::string path, limit;
  Group() {
    const std::string name = "/signal-test-" + std::to_string(getpid());
    for (const auto &[above, file] : {std::pair{"/sys/fs/cgroup/memory", "/memory.limit_in_bytes"},
                                      std::pair{"/sys/fs/cgroup", "/memory.max"}}) {
      path = above + name;
      if (mkdir(path.c_str(), 0755) != 0) continue;
      limit = path + file;
      if (std::ifstream(limit).good() && set("max")) return;
      rmdir(path.c_str());
    }
    path.clear();
  }
  ~Group() {
    // Its last process may still be ending.
    if (!path.empty()) CHECK(wait_for([&] { return rmdir(path.c_str()) == 0; }));
  }
  bool set(const std::string &bytes) const {
    std::ofstream file(limit);
    file << (limit.find("limit_in_bytes") != std::string::npos && bytes == "max" ? "-1" : bytes) << std::flush;
    return file.good();
  }
};

}  // namespace

// The library checks the control group's limit too: beyond it the kernel ends the process.
SCENARIO(memory_of_a_control_group) {
  const Group group;
  if (group.path.empty()) {
    std::fprintf(stderr, "skipped: no control group can be made here\n");
    return 0;
  }
  const auto enter = [&](const Plugin &) {
    std::ofstream file(group.path + "/cgroup.procs");
    file << getpid() << std::flush;
    CHECK(file.good());
  };
  CHECK(group.set(std::to_string(64 * kMib)));
  CHECK(within("{}", enter).made);
  const Outcome large = within(R"({"instruments":{"max":200000}})", enter);
  CHECK(!large.made);
  for (const char *part : {"memory: an engine of this configuration needs ", "its control group leaves ", " of 64 MiB (/"}) {
    if (large.why.find(part) == std::string::npos) std::fprintf(stderr, "%s\n", large.why.c_str());
    CHECK(large.why.find(part) != std::string::npos);
  }
  for (long mib = 4; mib < 32; mib += 4) {
    CHECK(group.set(std::to_string(mib * kMib)));
    within("{}", enter);
  }
  return 0;
}

// A namespace of its own hides the names of the groups above from the process, but not the mount.
SCENARIO(memory_of_a_group_in_a_namespace) {
  const Group group;
  const auto enter = [&](const Plugin &) {
    std::ofstream file(group.path + "/cgroup.procs");
    file << getpid() << std::flush;
    CHECK(file.good());
    CHECK_EQ(unshare(CLONE_NEWCGROUP), 0);
    std::ifstream mounts("/proc/self/mountinfo");
    const std::string text(std::istreambuf_iterator<char>(mounts), {});
    CHECK(text.find(" /.. ") != std::string::npos || text.find(" /../") != std::string::npos);
  };
  if (group.path.empty()) {
    std::fprintf(stderr, "skipped: no control group can be made here\n");
    return 0;
  }
  CHECK(group.set(std::to_string(64 * kMib)));
  CHECK(within("{}", enter).made);
  const Outcome large = within(R"({"instruments":{"max":200000}})", enter);
  CHECK(!large.made);
  CHECK(large.why.find(" of 64 MiB (" + group.limit) != std::string::npos);
  return 0;
}
