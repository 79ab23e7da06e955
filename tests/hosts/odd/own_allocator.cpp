// A host with an allocator of its own, which takes back its own blocks alone. Its first argument says
// how the library is loaded, "as usual" or "deep" (RTLD_DEEPBIND: the library's allocator is then the
// C library's). Each further one is a configuration. Compiled with MINIMAL, it has the four functions
// alone that glibc asks for; with LARGEST, no larger alignment is given.
#include "../plugin.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

using namespace host;

namespace {

constexpr std::uint64_t kMine = 0xabcdef0123456789u;

// What precedes a block.
struct Head {
  std::uint64_t mark;
  std::size_t bytes;
};
static_assert(sizeof(Head) == 16);

constexpr std::size_t kRoom = std::size_t{4} << 30;

// Blocks are never used again: the room is only reserved.
void *take(std::size_t bytes, std::size_t align) {
  static char *const room = static_cast<char *>(
      mmap(nullptr, kRoom, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  static std::atomic<std::size_t> used{0};
  const std::size_t most = sizeof(Head) + align + bytes;
  const std::size_t begin = used.fetch_add((most + 15) / 16 * 16);
  if (room == MAP_FAILED || bytes > kRoom || begin + most > kRoom) return nullptr;
  const auto at = (reinterpret_cast<std::uintptr_t>(room + begin) + sizeof(Head) + align - 1) / align * align;
  new (reinterpret_cast<Head *>(at) - 1) Head{kMine, bytes};
  return reinterpret_cast<void *>(at);
}

Head &head(void *block) {
  Head &head = static_cast<Head *>(block)[-1];
  if (head.mark != kMine) {
    static const char text[] = "the host's allocator gets a block that is not its own\n";
    [[maybe_unused]] const auto written = write(2, text, sizeof text - 1);
    _exit(1);
  }
  return head;
}

}  // namespace

extern "C" {
void *malloc(std::size_t bytes) noexcept { return take(bytes, 16); }
void *calloc(std::size_t count, std::size_t bytes) noexcept {
  std::size_t all;
  return __builtin_mul_overflow(count, bytes, &all) ? nullptr : take(all, 16);
}
void free(void *block) noexcept {
  if (block != nullptr) head(block).mark = 0;
}
void *realloc(void *before, std::size_t bytes) noexcept {
  void *after = take(bytes, 16);
  if (before == nullptr || after == nullptr) return after;
  std::memcpy(after, before, std::min(bytes, head(before).bytes));
  free(before);
  return after;
}
#ifndef LARGEST
#define LARGEST 4096
#endif
#ifndef MINIMAL
void *memalign(std::size_t align, std::size_t bytes) noexcept { return take(bytes, std::max(align, std::size_t{16})); }
void *aligned_alloc(std::size_t align, std::size_t bytes) noexcept { return memalign(align, bytes); }
int posix_memalign(void **to, std::size_t align, std::size_t bytes) noexcept {
  if (align > LARGEST) return EINVAL;
  *to = memalign(align, bytes);
  return *to == nullptr ? ENOMEM : 0;
}
#endif
}

int main(int argc, char **argv) {
  CHECK(argc > 2);
  alarm(120);
  const bool is_deep = std::string(argv[1]) == "deep";
  const char *path = std::getenv("SIGNAL_LIB_PATH");
  CHECK(path != nullptr);
  const Plugin plugin(path, RTLD_NOW | (is_deep ? RTLD_DEEPBIND : 0));
  for (int config = 2; config < argc; ++config) {
    void *handle = plugin.create(argv[config]);
    if (handle == nullptr) std::fprintf(stderr, "create: %s\n", plugin.last_error());
    CHECK(handle != nullptr);
    feed_and_settle(plugin, handle, 10);
    plugin.destroy(handle);
  }
  std::printf("%d handles\n", argc - 2);
  return 0;
}
