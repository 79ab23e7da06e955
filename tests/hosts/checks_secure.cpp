// A host with rights that whoever starts it lacks, as a set-user-ID program has them: its caller
// chooses the environment, and must not have files written by it.
#include "folder.hpp"
#include "plugin.hpp"

#include <sys/auxv.h>
#include <sys/stat.h>

#include <algorithm>

using namespace host;

namespace {

void put(const std::string &path, const std::string &what, mode_t mode) {
  std::ofstream(path) << what;
  CHECK_EQ(chmod(path.c_str(), mode), 0);
}

mode_t mode_of(const std::string &path) {
  struct stat about {};
  CHECK_EQ(stat(path.c_str(), &about), 0);
  return about.st_mode & 0777;
}

constexpr const char *kVariables[] = {"SIGNAL_CONFIG", "SIGNAL_CORES", "SIGNAL_LATENCY_DIR", "SIGNAL_CORE_CLAIMS"};

int with_more_rights() {
  Plugin plugin;
  void *handle = nullptr;
  // Parks, so that it claims no core in the file that the processes of this machine share.
  const std::string lines = said([&] { handle = plugin.create(R"({"placement":"fused","idle":"park"})"); });
  if (handle == nullptr) std::fprintf(stderr, "create: %s\n", plugin.last_error());
  CHECK(handle != nullptr);
  for (const char *name : kVariables) CHECK(has(lines, name));
  // One line says so, and one what runs where.
  CHECK_EQ(std::count(lines.begin(), lines.end(), '\n'), 2);
  CHECK(has(lines, "ignored in the environment") && has(lines, "set-user-ID"));
  feed_and_settle(plugin, handle, 5);
  plugin.destroy(handle);
  return 0;
}

}  // namespace

SCENARIO(variables_of_a_caller_with_fewer_rights) {
  if (getauxval(AT_SECURE) != 0) return with_more_rights();
  if (!needs_root()) return 0;
  const Folder folder;
  const std::string secret = folder.at("secret"), claims = folder.at("claims"), config = folder.at("config.json");
  put(secret, "root's alone", 0600);
  put(claims, "", 0600);
  put(config, R"({"capture":{"file":")" + secret + "\"}}", 0644);
  CHECK_EQ(mkdir(folder.at("reports").c_str(), 0755), 0);
  in_child(0, [&] {
    const std::string reports = folder.at("reports");
    const char *values[] = {config.c_str(), "0", reports.c_str(), claims.c_str()};
    for (std::size_t at = 0; at < 4; ++at) CHECK_EQ(setenv(kVariables[at], values[at], 1), 0);
    // The kernel takes a program for one of more rights than its caller's where these differ.
    CHECK_EQ(setresuid(64321, 0, 0), 0);
    execl("/proc/self/exe", "checks", "variables_of_a_caller_with_fewer_rights", nullptr);
  });
  CHECK_EQ(text(secret), "root's alone");
  CHECK_EQ(mode_of(claims), static_cast<mode_t>(0600));
  // A folder with entries is not removed.
  CHECK_EQ(rmdir(folder.at("reports").c_str()), 0);
  return 0;
}
