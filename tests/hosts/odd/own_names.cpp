// A host with a function of its own whose name is one of the C library's (-DNAME, exported as programs
// export what their libraries use). Prints whether the library has called it, and why there is no
// handle, if there is none.
// Includes no header that declares the name.
#include <stddef.h>

extern "C" {
static bool is_live, was_called;
long NAME(long, long, long) {
  was_called |= is_live;
  return -5;
}

int printf(const char *, ...);
int fflush(void *);
void _exit(int);
char *getenv(const char *);
void *dlopen(const char *, int);
void *dlsym(void *, const char *);
}

template <typename Function> static Function *found(void *library, const char *name) {
  return reinterpret_cast<Function *>(dlsym(library, name));
}

int main() {
  void *library = dlopen(getenv("SIGNAL_LIB_PATH"), 1);
  if (library == nullptr) return 2;
  is_live = true;
  void *handle = found<void *(const char *)>(library, "signal_create")(getenv("SIGNAL_TEST_CONFIG"));
  if (handle == nullptr) {
    printf("null: %s\n", found<const char *()>(library, "signal_last_error")());
  } else {
    found<void(void *)>(library, "signal_destroy")(handle);
    printf("made, %s\n", was_called ? "with the host's" : "without the host's");
  }
  is_live = false;
  fflush(nullptr);
  _exit(0);
}
