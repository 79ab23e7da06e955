// What not to do: a libsignal.so whose own scan thread calls the host's callback directly,
// as the library did that this one replaces. The churn host must detect it.
#include <atomic>
#include <chrono>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

namespace {

using Callback = void (*)(const char *, long long, const double *, int, void *);
constexpr int kDepth = 101;
constexpr std::size_t kSymbolAt = 16, kSymbolBytes = 32, kTimeAt = 64, kBidAt = 73;

struct Event {
  char symbol[kSymbolBytes + 1];
  long long time;
  double bid;
};

class Scanner {
public:
  Scanner() : thread_([this] { scan(); }) {}
  ~Scanner() {
    stop_ = true;
    thread_.join();
  }
  void set(Callback callback, void *user_data) {
    const std::lock_guard<std::mutex> lock(mutex_);
    callback_ = callback;
    user_data_ = user_data;
  }
  void push(const char *data) {
    Event event{};
    std::memcpy(event.symbol, data + kSymbolAt, kSymbolBytes);
    std::memcpy(&event.time, data + kTimeAt, sizeof event.time);
    std::memcpy(&event.bid, data + kBidAt, sizeof event.bid);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (events_.size() < 4096) events_.push_back(event);
  }

private:
  void scan() {
    while (!stop_) {
      std::unique_lock<std::mutex> lock(mutex_);
      if (events_.empty() || callback_ == nullptr) {
        lock.unlock();
        std::this_thread::sleep_for(std::chrono::microseconds(10));
        continue;
      }
      const Event event = events_.front();
      events_.pop_front();
      const Callback callback = callback_;
      void *user_data = user_data_;
      lock.unlock();
      callback(event.symbol, event.time, &event.bid, 1, user_data);
    }
  }

  std::mutex mutex_;
  std::deque<Event> events_;
  Callback callback_ = nullptr;
  void *user_data_ = nullptr;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace

extern "C" {
void *signal_create(const char *) { return new Scanner; }
void signal_register_callback(void *handle, Callback callback, void *user_data) {
  static_cast<Scanner *>(handle)->set(callback, user_data);
}
void signal_on_data(void *handle, int type, const void *data) {
  if (type == kDepth) static_cast<Scanner *>(handle)->push(static_cast<const char *>(data));
}
int signal_poll_callbacks(void *) { return 0; }
void signal_destroy(void *handle) { delete static_cast<Scanner *>(handle); }
}
