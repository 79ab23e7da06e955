//! How a thread starts: its stack, and waiting for it with a limit.

use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Life, Wanted, policy};
use crate::os::limit::Limit;
use crate::os::memory;
use crate::os::panic::{self, Payload};
use crate::os::time;

/// The part of a thread's stack that our code, factor sets and models can use.
const OURS: usize = 2 << 20;
/// How long a thread may take to start. It takes a millisecond, or as long as it has to wait for a
/// core.
const START: Duration = Duration::from_secs(30);
/// Time between two checks whether a thread has begun or ended.
const STEP: Duration = Duration::from_micros(50);

unsafe extern "C" {
    fn pthread_attr_setstacksize(attr: *mut libc::pthread_attr_t, bytes: usize) -> libc::c_int;
    fn pthread_tryjoin_np(thread: libc::pthread_t, value: *mut *mut c_void) -> libc::c_int;
}

/// A thread of ours; detached when dropped.
#[derive(Debug)]
pub(crate) struct Thread<T> {
    id: libc::pthread_t,
    name: String,
    shared: Arc<Shared<T>>,
    life: Arc<Life>,
    /// It has the lowest priority, until somebody waits for its end.
    gives_way: bool,
    is_joined: bool,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
enum State<T> {
    Starting,
    /// There is no memory for it to start, so it ends.
    NoMemory,
    /// It is set up as wanted, or why not.
    Started(Result<(), String>),
    /// Nothing waits for it any more, so it ends at once.
    GivenUp,
    Ended(Result<T, Payload>),
}

/// The result of a thread that did not come to its end.
struct DidNotEnd;

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State<T>) {
        *self.lock() = state;
    }
}

/// Creates a thread and waits until it is set up as wanted.
///
/// # Errors
///
/// A sentence that names the thread and says what failed, or which setting was refused.
pub(crate) fn spawn<T: Send + 'static>(
    wanted: Wanted,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<Thread<T>, String> {
    spawn_within(START, wanted, run)
}

pub(super) fn spawn_within<T: Send + 'static>(
    limit: Duration,
    wanted: Wanted,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<Thread<T>, String> {
    let shared = Arc::new(Shared {
        state: Mutex::new(State::Starting),
    });
    let (name, called) = (wanted.name.clone(), wanted.called.clone());
    let there = shared.clone();
    let life = Arc::<Life>::default();
    let lived = life.clone();
    let for_this_thread = memory::reserve_while_starting();
    let body = move || {
        let _living = lived.begin();
        begin(&wanted, run, &there);
    };
    let id = create(Box::new(body))
        .map_err(|error| format!("cannot start {called}: {}", super::refused(error)))?;
    let thread = Thread {
        id,
        name,
        shared,
        life,
        gives_way: false,
        is_joined: false,
    };
    let started = thread.wait_for_start(limit, &called);
    drop(for_this_thread);
    match started {
        Some(Ok(())) => Ok(thread),
        Some(Err(why)) => {
            let _ = thread.join_within(&mut Limit::of(START));
            Err(why)
        }
        None => Err(format!(
            "{called} has not started for {} s: the machine is too busy, or something in this process \
             holds up all new threads",
            limit.as_secs()
        )),
    }
}

/// The start of a new thread.
fn begin<T>(wanted: &Wanted, run: impl FnOnce() -> T, shared: &Shared<T>) {
    // Part of the library's thread-local storage is per thread: glibc ends the process if there is
    // no memory for it.
    if !memory::allocator_gives_some() {
        return shared.set(State::NoMemory);
    }
    panic::this_thread_is_ours();
    let is = catch_unwind(AssertUnwindSafe(|| super::become_wanted(wanted)));
    let is = is.unwrap_or_else(|panic| Err(panic::told(panic)));
    let is_wanted = is.is_ok();
    {
        let mut state = shared.lock();
        if matches!(*state, State::GivenUp) {
            return;
        }
        *state = State::Started(is);
    }
    if is_wanted {
        let result = catch_unwind(AssertUnwindSafe(run));
        shared.set(State::Ended(result));
    }
}

impl<T> Thread<T> {
    /// Its name in messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What others may see of it, also when it is gone.
    pub(crate) fn life(&self) -> Arc<Life> {
        self.life.clone()
    }

    /// Waits within `limit` for its end; returns its result, or the payload of its panic. A thread
    /// that gives way to all others does so no longer: it gets the nice value of this one, as far as
    /// the process may.
    ///
    /// # Errors
    ///
    /// The thread, which is still running.
    pub(crate) fn join_within(mut self, limit: &mut Limit) -> Result<Result<T, Payload>, Self> {
        match self.ends_within(limit) {
            true => Ok(self.result()),
            false => Err(self),
        }
    }

    #[cfg(test)]
    pub(crate) fn join(self) -> Result<T, Payload> {
        const FAR: Duration = Duration::from_secs(600);
        self.join_within(&mut Limit::of(FAR))
            .unwrap_or_else(|thread| panic!("{} does not end", thread.name))
    }

    /// Whether it ends within `limit`. It has the priority that [`Self::join_within`] gives.
    pub(crate) fn ends_within(&mut self, limit: &mut Limit) -> bool {
        while !self.is_joined {
            let is_over = limit.is_over();
            // SAFETY: the thread is ours, is not detached and has not been joined; it
            // returns nothing, and the call does not wait.
            let code = unsafe { pthread_tryjoin_np(self.id, std::ptr::null_mut()) };
            self.is_joined = code != libc::EBUSY;
            if self.is_joined {
                break;
            }
            if is_over {
                return false;
            }
            if std::mem::take(&mut self.gives_way) {
                self.hasten();
            }
            time::sleep(STEP);
        }
        true
    }

    /// Makes it give way to all others, until somebody waits for its end.
    pub(crate) fn give_way(&mut self) {
        self.gives_way = true;
        self.while_it_runs(policy::lower);
    }

    /// Gives the thread the nice value of this one, as far as the process may.
    fn hasten(&self) {
        self.while_it_runs(policy::raise_to_this_thread);
    }

    /// Calls `set` with the thread's number, which is no other thread's meanwhile, as the thread
    /// needs the lock to end: only one that is ended from outside could still lose it.
    fn while_it_runs(&self, set: impl FnOnce(u32)) {
        // If the thread has the lock it ends just now, and may wait for a core with it.
        if let Ok(state) = self.shared.state.try_lock()
            && matches!(*state, State::Started(Ok(())))
        {
            set(self.life.id());
        }
    }

    fn result(&self) -> Result<T, Payload> {
        let mut state = self.shared.lock();
        match std::mem::replace(&mut *state, State::GivenUp) {
            State::Ended(result) => result,
            // Of no size: the host may have used up its memory since.
            _ => Err(Box::new(DidNotEnd)),
        }
    }

    /// `None` if it has not started in time: it will then end by itself.
    fn wait_for_start(&self, limit: Duration, called: &str) -> Option<Result<(), String>> {
        let mut limit = Limit::of(limit);
        loop {
            let is_over = limit.is_over();
            {
                let mut state = self.shared.lock();
                match &*state {
                    State::Started(is) => return Some(is.clone()),
                    State::NoMemory => {
                        return Some(Err(format!(
                            "cannot start {called}: no memory for its thread-local storage (see RLIMIT_AS, \
                             RLIMIT_DATA and vm.max_map_count)"
                        )));
                    }
                    State::Ended(_) => return Some(Ok(())),
                    State::Starting | State::GivenUp => {}
                }
                if is_over {
                    *state = State::GivenUp;
                    return None;
                }
            }
            time::sleep(STEP);
        }
    }
}

impl<T> Drop for Thread<T> {
    fn drop(&mut self) {
        if !self.is_joined {
            // SAFETY: the thread is ours and has not been joined. It owns everything that it uses.
            unsafe { libc::pthread_detach(self.id) };
        }
    }
}

type Body = Box<dyn FnOnce() + Send>;

extern "C" fn enter(body: *mut c_void) -> *mut c_void {
    super::first_of_all();
    let _entry = super::roster::enter();
    // SAFETY: `create` gave this box to this thread only.
    let body = unsafe { Box::from_raw(body.cast::<Body>()) };
    // `body` catches its own panics; this is for panics in its drop.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
        panic::discard(panic);
    }
    std::ptr::null_mut()
}

/// Creates a thread with a stack of our size. Every signal is blocked on it from its first
/// instruction, because it inherits its creator's mask.
fn create(body: Body) -> io::Result<libc::pthread_t> {
    let body = Box::into_raw(Box::new(body)).cast::<c_void>();
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let mut id = MaybeUninit::<libc::pthread_t>::uninit();
    let _masked = super::AllSignalsBlocked::new();
    // SAFETY: the attributes are initialised before they are used and destroyed once; `enter` takes
    // ownership of its argument.
    let code = unsafe {
        libc::pthread_attr_init(attributes.as_mut_ptr());
        pthread_attr_setstacksize(attributes.as_mut_ptr(), stack_bytes());
        let code = libc::pthread_create(id.as_mut_ptr(), attributes.as_ptr(), enter, body);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        code
    };
    if code != 0 {
        // SAFETY: no thread was created that would take it.
        drop(unsafe { Box::from_raw(body.cast::<Body>()) });
        return Err(io::Error::from_raw_os_error(code));
    }
    // SAFETY: pthread_create has written it.
    Ok(unsafe { id.assume_init() })
}

/// Runs when the library is loaded, while that thread holds the loader's lock anyway: does what
/// would take the lock later. The first access to this library's thread-local storage fixes its
/// location in every thread; `dlsym` looks up names.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = {
    extern "C" fn at_load() {
        panic::touch_storage();
        stack_bytes();
    }
    at_load
};

/// The stack size of a thread of ours. glibc takes the static thread-local storage of the whole
/// process, of any size, out of the stack.
pub(crate) fn stack_bytes() -> usize {
    static KNOWN: AtomicUsize = AtomicUsize::new(0);
    const PAGE: usize = 1 << 12;
    let known = KNOWN.load(Ordering::Relaxed);
    if known > 0 {
        return known;
    }
    let bytes = (least() + OURS).next_multiple_of(PAGE);
    KNOWN.store(bytes, Ordering::Relaxed);
    bytes
}

/// The minimum stack size of the C library.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn least() -> usize {
    type Ask = unsafe extern "C" fn(*const libc::pthread_attr_t) -> usize;
    /// If it cannot be asked: enough for a large program.
    const UNKNOWN: usize = 1 << 20;
    // SAFETY: the name is NUL-terminated.
    let ask = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__pthread_get_minstack".as_ptr()) };
    if ask.is_null() {
        return UNKNOWN;
    }
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: every glibc that has the function has it with this type; the attributes are
    // initialised before and destroyed after.
    unsafe {
        let ask: Ask = std::mem::transmute::<*mut c_void, Ask>(ask);
        libc::pthread_attr_init(attributes.as_mut_ptr());
        let least = ask(attributes.as_ptr());
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        least
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn least() -> usize {
    64 << 10
}
