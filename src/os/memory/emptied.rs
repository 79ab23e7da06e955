//! Pages that the kernel empties in a child: with `fork`'s handlers or without, and at no cost to the
//! code that reads there.

use std::ffi::c_void;

/// Has the kernel fill this with zeros in every child that gets a copy of this process' memory. False
/// if it cannot: before Linux 4.14, where it is refused, or where pages are larger than this assumes.
/// The child of `vfork`, or of `clone` with `CLONE_VM`, has no copy.
///
/// # Safety
///
/// `pages` has whole pages to itself. Zeros are valid for all that is there, and the child relies on
/// nothing that was stored there.
pub(crate) unsafe fn emptied_in_children<T: Sync>(pages: &'static T) -> bool {
    // SAFETY: the call has no preconditions.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let Ok(page @ 1..) = usize::try_from(page) else {
        return false;
    };
    let at = std::ptr::from_ref(pages);
    // The kernel rounds a length up.
    if !at.addr().is_multiple_of(page) || !size_of::<T>().is_multiple_of(page) {
        return false;
    }
    let at: *const c_void = at.cast();
    // SAFETY: the pages are the caller's; in this process the advice changes nothing.
    unsafe { libc::madvise(at.cast_mut(), size_of::<T>(), libc::MADV_WIPEONFORK) == 0 }
}
