// What is done to the library's files while it writes them: people and programs delete, cut and rename
// them, and a file system over a network says only at a close what it has lost.
#include "disk.hpp"
#include "folder.hpp"
#include "plugin.hpp"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iterator>

using namespace host;
using namespace host::disk;

namespace {

std::size_t count(const std::string &all, const std::string &what) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = all.find(what, at)) != std::string::npos; at += what.size()) ++found;
  return found;
}

void copy(const std::string &from, const std::string &to) { std::ofstream(to) << text(from); }

// Lines behind the head of a capture, or of the report's log.
void check_lines(const std::string &path, const char *head) {
  const std::string all = text(path);
  if (all.rfind(head, 0) != 0) std::fprintf(stderr, "%s: %s\n", path.c_str(), all.substr(0, 200).c_str());
  CHECK_EQ(all.rfind(head, 0), 0u);
  CHECK_EQ(count(all, head), 1u);
  CHECK_EQ(std::count(all.begin(), all.end(), '\0'), 0);
}
// A copy of a file that is being written may end within a line.
void check_part(const std::string &capture, const std::string &log) {
  check_lines(capture, "type,ts_ns,");
  check_lines(log, "#[Histogram log format");
}
void check_end(const std::string &capture, const std::string &log) {
  check_part(capture, log);
  CHECK_EQ(text(capture).back(), '\n');
  CHECK_EQ(text(log).back(), '\n');
}

// A handle with a capture and a report, and events that flow.
struct Recording {
  Folder folder;
  const std::string capture = folder.at("c.csv"), report = folder.at("report"),
                    log = folder.at("report/latency.hlog");
  const Plugin &plugin;
  Engine engine;
  int given = 0;

  explicit Recording(const Plugin &plugin, const char *placement = "inline")
      : plugin(plugin), engine(plugin, config(placement).c_str()) {}
  std::string config(const char *placement) const {
    return R"({"placement":")" + std::string(placement) + R"(","capture":{"file":")" + capture +
           R"("},"latency":{"interval_ms":10,"dir":")" + report + "\"}}";
  }
  void play() {
    engine.feed(depth("btc_usdt", ++given, 10.0, 11.0));
    engine.drain();
    sleep_us(1000);
  }
  // Whether this holds after some more events.
  template <typename Done> bool comes(Done done) {
    return wait_for([&] {
      play();
      return done();
    });
  }
  // Until both files have lines of events.
  void begin() {
    CHECK(comes([&] {
      return count(text(capture), "\ndepth,") > 2 && count(text(log), "\nTag=") > 2;
    }));
  }
  // Plays until everything that was given is written, or known not to be.
  void settle() {
    CHECK(wait_for([&] {
      const signal_stats_t stats = engine.stats();
      return stats.capture_written + stats.capture_failed == static_cast<std::uint64_t>(given);
    }));
  }
  bool is_degraded(const std::string &path, const char *why) {
    if (plugin.health(engine.handle) != SIGNAL_HEALTH_DEGRADED) return false;
    const std::string error = plugin.last_error();
    return error.find(path) != std::string::npos && error.find(why) != std::string::npos;
  }
};

}  // namespace

// logrotate's copytruncate. Each part can be read by itself, and one line per file says what is wrong.
SCENARIO(files_that_are_cut) {
  Plugin plugin;
  for (const char *placement : {"inline", "split"}) {
    Recording recording(plugin, placement);
    const std::string lines = said([&] {
      recording.begin();
      for (const char *end : {".1", ".2"}) {
        for (const std::string &file : {recording.capture, recording.log}) {
          copy(file, file + end);
          CHECK_EQ(truncate(file.c_str(), 0), 0);
        }
        recording.begin();
        check_part(recording.capture + end, recording.log + end);
      }
      CHECK(recording.comes([&] { return recording.is_degraded(recording.capture, "rename it instead"); }));
      CHECK(recording.comes([&] { return recording.is_degraded(recording.log, "copytruncate"); }));
      recording.settle();
      CHECK_EQ(recording.engine.stats().capture_failed, 0u);
      CHECK_EQ(recording.engine.stats().report_ended, 0u);
      recording.engine.destroy();
    });
    check_end(recording.capture, recording.log);
    CHECK_EQ(count(text(recording.report + "/summary.json"), "someone cut it"), 2u);
    CHECK_EQ(count(lines, "someone cut it"), 2u);
    CHECK_EQ(count(lines, recording.capture + ": someone cut it"), 1u);
    CHECK_EQ(count(lines, recording.log + ": someone cut it"), 1u);
  }
  return 0;
}

// The cut comes at the worst moment: the library has looked, and writes then. No line stays without the
// lines that a file begins with. If the disk is full besides, no gap of zeros stays.
SCENARIO(files_that_are_cut_just_before_a_write) {
  Plugin plugin;
  for (const int error : {0, ENOSPC}) {
    for (const char *name : {"c.csv", "latency.hlog"}) {
      Recording recording(plugin);
      const bool is_capture = std::strcmp(name, "c.csv") == 0;
      const std::string &cut = is_capture ? recording.capture : recording.log;
      int before = 0;
      const std::string lines = said([&] {
        recording.begin();
        recording.settle();
        before = recording.given;
        write_error = error;
        cut_before_write = name;
        CHECK(recording.comes([&] { return cut_before_write == nullptr; }));
        if (error == 0) {
          recording.begin();
          CHECK(recording.comes([&] { return recording.is_degraded(cut, "someone cut it"); }));
        } else {
          CHECK(recording.comes([&] {
            return is_capture ? recording.engine.stats().capture_failed > 0
                              : recording.is_degraded(recording.report, "No space left on device");
          }));
        }
        recording.settle();
        recording.engine.destroy();
      });
      write_error = 0;
      if (error == 0) {
        check_end(recording.capture, recording.log);
        CHECK_EQ(count(lines, ": someone cut it"), 1u);
        // Nothing is lost of what was written then.
        const int since = is_capture ? before : 0;
        CHECK_EQ(count(text(recording.capture), "\ndepth,"), static_cast<std::size_t>(recording.given - since));
      } else {
        CHECK_EQ(count(lines, "No space left on device"), 1u);
        CHECK_EQ(text(cut), "");
      }
    }
  }
  return 0;
}

// The capture ends, the report's log too; its other files are made at the end.
SCENARIO(files_that_are_deleted) {
  Plugin plugin;
  for (const bool are_replaced : {false, true}) {
    Recording recording(plugin);
    const std::string lines = said([&] {
      recording.begin();
      for (const std::string &file : {recording.capture, recording.log}) {
        const std::string other = file + ".other";
        std::ofstream(other) << "another's\n";
        CHECK_EQ(are_replaced ? rename(other.c_str(), file.c_str()) : unlink(file.c_str()), 0);
      }
      CHECK(recording.comes([&] { return recording.engine.stats().capture_failed > 0; }));
      CHECK(recording.is_degraded(recording.capture, "someone deleted or replaced it"));
      CHECK(recording.comes([&] { return recording.is_degraded(recording.log, "someone deleted or replaced it"); }));
      const std::size_t taken = recording.engine.got.size();
      recording.play();
      CHECK_EQ(recording.engine.got.size(), taken + 1);
      recording.settle();
      CHECK_EQ(recording.engine.stats().report_ended, 0u);
      recording.engine.destroy();
    });
    CHECK_EQ(count(lines, recording.capture + ": someone deleted or replaced it"), 1u);
    CHECK_EQ(count(lines, recording.log + ": someone deleted or replaced it"), 1u);
    CHECK_EQ(count(lines, "not written after an error"), 1u);
    for (const std::string &file : {recording.capture, recording.log}) {
      if (are_replaced) CHECK(text(file) == "another's\n");
      if (!are_replaced) CHECK_EQ(access(file.c_str(), F_OK), -1);
    }
    CHECK(text(recording.report + "/summary.json").find("\"hops\"") != std::string::npos);
    CHECK(text(recording.report + "/host.wait.hgrm").find("Percentile") != std::string::npos);
  }
  return 0;
}

// With its folder all of the report is lost, also if another folder has the name.
SCENARIO(files_that_are_deleted_with_their_folder) {
  Plugin plugin;
  for (const bool is_replaced : {false, true}) {
    Recording recording(plugin);
    const std::string lines = said([&] {
      recording.begin();
      // Nothing is written while both go.
      recording.settle();
      sleep_us(100000);
      CHECK_EQ(unlink(recording.log.c_str()), 0);
      CHECK_EQ(rmdir(recording.report.c_str()), 0);
      if (is_replaced) CHECK_EQ(mkdir(recording.report.c_str(), 0755), 0);
      CHECK(recording.comes([&] { return recording.is_degraded(recording.log, "its folder is gone too"); }));
      recording.engine.destroy();
    });
    CHECK_EQ(count(lines, recording.log + ": someone deleted or replaced it"), 1u);
    CHECK_EQ(count(lines, recording.report + ": someone removed this folder while it was in use"), 1u);
    CHECK_EQ(count(lines, "other files are made"), 0u);
    // An empty folder, or none.
    CHECK_EQ(rmdir(recording.report.c_str()) == 0, is_replaced);
  }
  return 0;
}

// Writing follows the file, without a word.
SCENARIO(files_that_are_renamed) {
  Plugin plugin;
  Recording recording(plugin);
  const std::string lines = said([&] {
    recording.begin();
    for (const std::string &file : {recording.capture, recording.log}) {
      CHECK_EQ(rename(file.c_str(), (file + ".1").c_str()), 0);
    }
    const std::size_t before = count(text(recording.log + ".1"), "\nTag=");
    CHECK(recording.comes([&] { return count(text(recording.log + ".1"), "\nTag=") > before + 2; }));
    recording.settle();
    CHECK_EQ(plugin.health(recording.engine.handle), SIGNAL_HEALTH_OK);
    recording.engine.destroy();
  });
  check_end(recording.capture + ".1", recording.log + ".1");
  CHECK_EQ(count(text(recording.capture + ".1"), "\ndepth,"), static_cast<std::size_t>(recording.given));
  CHECK_EQ(access(recording.capture.c_str(), F_OK), -1);
  CHECK(lines.find("rename it instead") == std::string::npos);
  return 0;
}

// What each file's end loses is said, and nothing that is not whole takes an earlier file's place.
SCENARIO(what_is_lost_at_a_close_is_said) {
  Plugin plugin;
  for (const char *name : {"c.csv", "latency.hlog", "summary.json", "host.wait.hgrm"}) {
    Recording recording(plugin);
    const std::string lines = said([&] {
      recording.begin();
      recording.settle();
      lost_at_close = name;
      recording.engine.destroy();
      lost_at_close = nullptr;
    });
    CHECK(lost.exchange(0) > 0);
    CHECK_EQ(count(lines, "Disk quota exceeded"), 1u);
    CHECK_EQ(count(lines, recording.folder.path), 1u);
    const std::string summary = text(recording.report + "/summary.json");
    const bool is_replaced = std::strcmp(name, "c.csv") == 0 || std::strcmp(name, "latency.hlog") == 0;
    if (is_replaced) {
      CHECK_EQ(count(lines, name), 1u);
      CHECK(summary.find("\"hops\"") != std::string::npos);
    } else {
      CHECK(lines.find("cannot write the latency report") != std::string::npos);
      // It is made before the tables.
      CHECK_EQ(summary.empty(), std::strcmp(name, "summary.json") == 0);
    }
    // The capture has ended by then, so the summary tells of it.
    if (std::strcmp(name, "c.csv") == 0) CHECK(summary.find("Disk quota exceeded") != std::string::npos);
    // No half-made file stays behind.
    CHECK_EQ(std::system(("test -z \"$(find " + recording.report + " -name '.*.*')\"").c_str()), 0);
    // The files may be written again.
    use(plugin, recording.config("inline").c_str());
  }
  return 0;
}
