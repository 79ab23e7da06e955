//! Queues of C++ libraries (`benches/cpp/queues.cpp`). Each call is one through a pointer.

use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;
use std::sync::Arc;

use signal_bench::echo::{Copied, Message, Rx, Tx};

/// A library that the build may have found.
pub struct Library {
    /// That has its headers on Debian.
    package: &'static CStr,
    pub in_place: Option<&'static str>,
    pub copied_out: &'static str,
    pub how: &'static str,
}

pub const LIBRARIES: [Library; 3] = [
    Library {
        package: c"libboost-dev",
        in_place: Some("Boost spsc_queue, in place"),
        copied_out: "Boost spsc_queue, copied out",
        how: "C++, capacity<1024>; push; front, then pop; or pop",
    },
    Library {
        package: c"libreaderwriterqueue-dev",
        in_place: Some("ReaderWriterQueue, in place"),
        copied_out: "ReaderWriterQueue, copied out",
        how: "moodycamel, C++, 1023 messages in one block; try_enqueue; peek, then pop; or try_dequeue",
    },
    Library {
        package: c"libatomic-queue-dev",
        in_place: None,
        copied_out: "atomic_queue",
        how: "C++, AtomicQueue2 with SPSC; try_push, try_pop",
    },
];

/// The peers that this build lacks, and why.
pub fn absent() -> Vec<String> {
    let why = |library: &Library| match cfg!(feature = "cpp") {
        true => format!(
            "install {}, then cargo clean -p signal-bench",
            library.package.to_string_lossy()
        ),
        false => "built without the feature cpp".to_owned(),
    };
    let all = LIBRARIES.iter();
    all.filter(|library| calls::<8>(library).is_none())
        .map(|library| format!("{} ({})", library.copied_out, why(library)))
        .collect()
}

/// As in `queues.cpp`. Messages are aligned to a cache line.
#[repr(C)]
pub struct Calls {
    make: unsafe extern "C" fn() -> *mut c_void,
    drop: unsafe extern "C" fn(*mut c_void),
    push: unsafe extern "C" fn(*mut c_void, *const c_void) -> bool,
    pop: unsafe extern "C" fn(*mut c_void, *mut c_void) -> bool,
    front: unsafe extern "C" fn(*mut c_void) -> *const c_void,
    skip: unsafe extern "C" fn(*mut c_void),
}

#[cfg(feature = "cpp")]
unsafe extern "C" {
    fn hop_queue(package: *const c_char, words: usize) -> Option<&'static Calls>;
}

#[cfg(not(feature = "cpp"))]
unsafe fn hop_queue(_: *const c_char, _: usize) -> Option<&'static Calls> {
    None
}

/// The queue of a library for messages of `W` words, if the build has it.
pub fn calls<const W: usize>(library: &Library) -> Option<&'static Calls> {
    // SAFETY: the text is NUL-terminated, and what comes back is a constant of `queues.cpp`.
    unsafe { hop_queue(library.package.as_ptr(), W) }
}

struct Queue {
    calls: &'static Calls,
    queue: *mut c_void,
}

// SAFETY: these queues are for two threads, one that sends and one that receives. `ends` makes one
// end of each kind, neither can be cloned, and each calls through `&mut` alone.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: made in `ends`; both ends are gone.
        unsafe { (self.calls.drop)(self.queue) }
    }
}

/// A receiving end whose messages are read in their slots.
struct Front(Arc<Queue>);

impl<const W: usize> Rx<W> for Front {
    #[inline(always)]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64; W]) -> R) -> Option<R> {
        let Queue { calls, queue } = *self.0;
        // SAFETY: the queue was made for messages of `W` words. This end alone frees slots, so the
        // message stays until `skip`.
        let message: &[u64; W] = unsafe { (calls.front)(queue).cast::<[u64; W]>().as_ref()? };
        let taken = take(message);
        // SAFETY: there is a message, as seen above.
        unsafe { (calls.skip)(queue) };
        Some(taken)
    }
}

/// The sending end, and the receiving one's queue.
fn ends<const W: usize>(calls: &'static Calls) -> (impl Tx<W>, Arc<Queue>) {
    // SAFETY: the function has no conditions.
    let queue = unsafe { (calls.make)() };
    let queue = Arc::new(Queue { calls, queue });
    let sending = queue.clone();
    let send = move |message: &[u64; W]| {
        let Queue { calls, queue } = *sending;
        let own;
        let mut aligned = message.as_ptr().cast::<Message<W>>();
        if !aligned.is_aligned() {
            own = Message(*message);
            aligned = &own;
        }
        // SAFETY: a message of `W` words, aligned; this is the one end that sends.
        unsafe { (calls.push)(queue, aligned.cast()) }
    };
    (send, queue)
}

pub fn in_place<const W: usize>(calls: &'static Calls) -> (impl Tx<W>, impl Rx<W>) {
    let (send, queue) = ends(calls);
    (send, Front(queue))
}

pub fn copied_out<const W: usize>(calls: &'static Calls) -> (impl Tx<W>, impl Rx<W>) {
    let (send, queue) = ends(calls);
    let receive = move || {
        let Queue { calls, queue } = *queue;
        let mut message = MaybeUninit::<Message<W>>::uninit();
        // SAFETY: room for a message of `W` words, aligned, which `pop` fills if it returns true;
        // this is the one end that receives.
        unsafe { (calls.pop)(queue, message.as_mut_ptr().cast()).then(|| message.assume_init()) }
    };
    (send, Copied(receive))
}
