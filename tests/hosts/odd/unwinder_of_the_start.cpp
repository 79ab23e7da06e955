// A host whose unwinders know what was loaded at its start, as Seastar has it for exceptions that
// scale. Its arguments are the libraries that it hides: parts of their names.
#include "../plugin.hpp"

#include <link.h>

#include <array>

using namespace host;

namespace {

std::array<const char *, 4> hidden{};
int asked = 0;

bool is_hidden(const char *name) {
  for (const char *part : hidden) {
    if (part != nullptr && name != nullptr && std::strstr(name, part) != nullptr) {
      ++asked;
      return true;
    }
  }
  return false;
}

using Each = int (*)(dl_phdr_info *, std::size_t, void *);

struct Asked {
  Each each;
  void *with;
};

}  // namespace

extern "C" {
// What libgcc asks since glibc 2.35.
#ifdef DLFO_STRUCT_HAS_EH_DBASE
int _dl_find_object(void *address, dl_find_object *found) noexcept {
  static const auto find = reinterpret_cast<int (*)(void *, dl_find_object *)>(dlsym(RTLD_NEXT, "_dl_find_object"));
  if (find == nullptr || find(address, found) != 0) return -1;
  return is_hidden(found->dlfo_link_map->l_name) ? -1 : 0;
}
#endif
int dl_iterate_phdr(Each each, void *with) {
  static const auto iterate = reinterpret_cast<int (*)(Each, void *)>(dlsym(RTLD_NEXT, "dl_iterate_phdr"));
  Asked asked{each, with};
  const Each shown = [](dl_phdr_info *info, std::size_t bytes, void *asked) {
    const auto *ask = static_cast<Asked *>(asked);
    return is_hidden(info->dlpi_name) ? 0 : ask->each(info, bytes, ask->with);
  };
  return iterate(shown, &asked);
}
}

int main(int argc, char **argv) {
  CHECK(argc >= 2 && argc <= 5);
  alarm(120);
  for (int part = 1; part < argc; ++part) hidden[static_cast<std::size_t>(part - 1)] = argv[part];
  const Plugin plugin;
  for (const char *config : {"{}", R"({"placement":"split"})", R"({"placement":"inline"})"}) {
    void *handle = plugin.create(config);
    if (handle == nullptr) std::fprintf(stderr, "create: %s\n", plugin.last_error());
    CHECK(handle != nullptr);
    feed_and_settle(plugin, handle, 10);
    plugin.destroy(handle);
  }
  // Otherwise this host has tested nothing.
  CHECK(asked > 0);
  std::puts("made and ended");
  return 0;
}
