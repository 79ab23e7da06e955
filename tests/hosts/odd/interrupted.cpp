// A host in which a signal interrupts each second call that makes, renames or removes a name, as file
// systems over a network let it. Prints which calls were interrupted, or why there is no handle.
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static struct Name {
  const char *name;
  int calls, interrupted;
} made{"mkdir", 0, 0}, renamed{"renameat", 0, 0}, removed{"unlinkat", 0, 0};

// A call without a path only asks whether this is the function that POSIX describes.
static bool interrupts(Name &name, const char *path) {
  if (*path == 0 || name.calls++ % 2 == 1) return false;
  ++name.interrupted;
  errno = EINTR;
  return true;
}

extern "C" {
int mkdir(const char *path, mode_t mode) noexcept {
  return interrupts(made, path) ? -1 : static_cast<int>(syscall(SYS_mkdir, path, mode));
}
int renameat(int from, const char *old_name, int to, const char *name) noexcept {
  if (interrupts(renamed, name)) return -1;
  return static_cast<int>(syscall(SYS_renameat, from, old_name, to, name));
}
int unlinkat(int folder, const char *name, int flags) noexcept {
  return interrupts(removed, name) ? -1 : static_cast<int>(syscall(SYS_unlinkat, folder, name, flags));
}
}

template <typename Function> static Function *found(void *library, const char *name) {
  return reinterpret_cast<Function *>(dlsym(library, name));
}

int main() {
  void *library = dlopen(getenv("SIGNAL_LIB_PATH"), RTLD_NOW);
  if (library == nullptr) return 2;
  void *handle = found<void *(const char *)>(library, "signal_create")(getenv("SIGNAL_TEST_CONFIG"));
  if (handle == nullptr) {
    printf("null: %s\n", found<const char *()>(library, "signal_last_error")());
    return 0;
  }
  found<void(void *)>(library, "signal_destroy")(handle);
  const Name *const all[] = {&made, &renamed, &removed};
  for (const Name *name : all) {
    if (name->interrupted > 0) printf("%s ", name->name);
  }
  printf("interrupted\n");
  return 0;
}
