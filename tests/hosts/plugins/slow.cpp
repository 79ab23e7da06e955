// A plugin whose constructor, under `dlopen`, waits until its host says go on: the
// word is at the address that the environment has.
#include <unistd.h>

#include <atomic>
#include <cstdlib>

namespace {

struct Slow {
  Slow() {
    auto *word = reinterpret_cast<std::atomic<int> *>(
        std::strtoull(std::getenv("SIGNAL_TEST_WORD"), nullptr, 16));
    *word = 1;
    for (int look = 0; look < 20000 && *word == 1; ++look) usleep(1000);
    // Nobody came: 3.
    int expected = 1;
    word->compare_exchange_strong(expected, 3);
  }
} slow;

}  // namespace
