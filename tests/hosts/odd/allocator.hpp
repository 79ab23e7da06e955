// Replaces the C library's allocator, for the library too, by one that can refuse. The program says
// when, in `refuse`.
#pragma once

#include <cerrno>
#include <cstddef>

bool refuse();

extern "C" {
void *__libc_malloc(std::size_t);
void *__libc_calloc(std::size_t, std::size_t);
void *__libc_realloc(void *, std::size_t);
void *__libc_memalign(std::size_t, std::size_t);
}

extern "C" {
void *malloc(std::size_t bytes) noexcept { return refuse() ? nullptr : __libc_malloc(bytes); }
void *calloc(std::size_t count, std::size_t bytes) noexcept { return refuse() ? nullptr : __libc_calloc(count, bytes); }
void *realloc(void *before, std::size_t bytes) noexcept { return refuse() ? nullptr : __libc_realloc(before, bytes); }
void *memalign(std::size_t align, std::size_t bytes) noexcept {
  return refuse() ? nullptr : __libc_memalign(align, bytes);
}
void *aligned_alloc(std::size_t align, std::size_t bytes) noexcept { return memalign(align, bytes); }
int posix_memalign(void **to, std::size_t align, std::size_t bytes) noexcept {
  *to = memalign(align, bytes);
  return *to == nullptr ? ENOMEM : 0;
}
}
