// A plugin whose constructor waits, during `dlopen`, until its host tells it to continue.
// The environment has the address of the word that they use.
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
    // 3 means that nobody came.
    int expected = 1;
    word->compare_exchange_strong(expected, 3);
  }
} slow;

}  // namespace
