// A bounded queue under a mutex. Full, it drops the newest item and counts it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace hf_live {

template <typename T> class Queue {
public:
  /// `notifies`: a consumer blocks in `wait_pop`.
  Queue(std::size_t capacity, bool notifies) : items_(capacity), notifies_(notifies) {}

  void push(T item) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      const std::size_t size = size_.load(std::memory_order_relaxed);
      if (size == items_.size()) {
        dropped_.fetch_add(1, std::memory_order_relaxed);
        return;
      }
      items_[(first_ + size) % items_.size()] = std::move(item);
      size_.store(size + 1, std::memory_order_release);
    }
    if (notifies_)
      ready_.notify_one();
  }

  /// No lock while there is nothing, so that a consumer that spins does not keep
  /// the producer out.
  bool try_pop(T &item) {
    if (size_.load(std::memory_order_acquire) == 0)
      return false;
    std::lock_guard<std::mutex> lock(mutex_);
    take(item);
    return true;
  }

  /// Blocks; false once the queue is closed.
  bool wait_pop(T &item) {
    std::unique_lock<std::mutex> lock(mutex_);
    ready_.wait(lock, [&] { return closed_ || size_.load(std::memory_order_relaxed) > 0; });
    if (closed_)
      return false;
    take(item);
    return true;
  }

  void close() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      closed_ = true;
    }
    ready_.notify_all();
  }

  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

private:
  // There is one consumer, so what `size_` said still holds under the lock.
  void take(T &item) {
    item = std::move(items_[first_]);
    first_ = (first_ + 1) % items_.size();
    size_.store(size_.load(std::memory_order_relaxed) - 1, std::memory_order_release);
  }

  std::mutex mutex_;
  std::condition_variable ready_;
  std::vector<T> items_;
  std::size_t first_ = 0;
  bool closed_ = false;
  const bool notifies_;
  alignas(64) std::atomic<std::size_t> size_{0};
  std::atomic<std::uint64_t> dropped_{0};
};

} // namespace hf_live
