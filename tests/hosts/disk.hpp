// Disks and file systems that are not as a program expects, for the files whose names contain a text.
#pragma once

#include <atomic>

namespace host::disk {

// No record of a file can be locked, because of this error.
inline std::atomic<int> record_lock_error{0};
// Someone removes this file just before each of so many claims in it.
inline std::atomic<const char *> claims{nullptr};
inline std::atomic<int> removals{0};
// Writes never return.
inline std::atomic<const char *> stuck{nullptr};
// Someone cuts the file just before the next write of some bytes, once; that write may fail, too.
inline std::atomic<const char *> cut_before_write{nullptr};
inline std::atomic<int> write_error{0};
// Closing fails after it has been done, as on NFS under a quota: each write went well, and what could
// not be written back is said at the close.
inline std::atomic<const char *> lost_at_close{nullptr};
inline std::atomic<int> lost{0};

}  // namespace host::disk
