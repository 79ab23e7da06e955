// A library whose destructor calls what its host has put here: in `exit`, after all handlers.
#include <cstddef>

extern "C" {
void (*at_exit_call)() = nullptr;
}

__attribute__((destructor)) static void ends() {
  if (at_exit_call != nullptr) at_exit_call();
}
