//! A lane: one pinned thread that polls its inlet, runs its stages to
//! completion and publishes to its outlet.

use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;

use super::chain::{Accept, Trace};
use super::clock::Clock;
use super::hops::Recorder;
use super::idle::Waiter;
use super::placement::{LanePlan, Stage};
use super::ring::Receiver;
use super::wire::Wire;
use super::{cores, guest};

/// Messages that a lane handles before it looks at anything else.
const BATCH: usize = 64;

/// What the lanes of one engine share with its owner. Written at the end of an
/// engine's life only, so that its cache line stays with every reader.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Control {
    stop: AtomicBool,
    failed: AtomicBool,
    failure: OnceLock<String>,
}

impl Control {
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    #[inline]
    pub(crate) fn must_stop(&self) -> bool {
        self.stop.load(Ordering::Acquire) || self.has_failed()
    }

    #[inline]
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Why the engine failed.
    pub(crate) fn failure(&self) -> Option<&str> {
        // What `fail` stores last is read first.
        self.has_failed()
            .then(|| self.failure.get().map(String::as_str))
            .flatten()
    }

    fn fail(&self, why: String) {
        let _ = self.failure.set(why);
        self.failed.store(true, Ordering::Release);
    }
}

/// A lane's work, whatever stages it has.
pub(crate) trait Turn: Send {
    /// Warms what is cold, on the thread that will run it.
    fn prime(&mut self);
    /// Handles at most a batch of messages; returns how many.
    fn turn(&mut self) -> usize;
    /// Hands the histograms over if they were asked for.
    fn hand_over(&mut self);
    /// Hands over what is left.
    fn finish(self: Box<Self>);
}

/// An inlet, the stages behind it, and their hops; on cache lines of its own.
#[repr(align(128))]
pub(crate) struct Work<W, A> {
    inlet: Receiver,
    first: Stage,
    head: A,
    trace: Trace,
    recorder: Recorder,
    takes: PhantomData<fn(W)>,
}

impl<W: Wire, A: Accept<W>> Work<W, A> {
    pub(crate) fn new(
        inlet: Receiver,
        first: Stage,
        head: A,
        clock: Clock,
        recorder: Recorder,
    ) -> Self {
        Self {
            inlet,
            first,
            head,
            trace: Trace::new(clock),
            recorder,
            takes: PhantomData,
        }
    }
}

impl<W: Wire, A: Accept<W> + Send> Turn for Work<W, A> {
    fn prime(&mut self) {
        self.head.prime();
    }

    #[inline]
    #[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
    fn turn(&mut self) -> usize {
        let (head, trace) = (&mut self.head, &mut self.trace);
        for handled in 0..BATCH {
            let published = self.inlet.try_receive(|words| {
                trace.begin();
                let (message, published) = W::decode(words);
                head.accept(&message, trace);
                published
            });
            match published {
                Some(published) => trace.record(self.first, published, &mut self.recorder),
                None => return handled,
            }
        }
        BATCH
    }

    #[inline]
    fn hand_over(&mut self) {
        self.recorder.hand_over();
    }

    fn finish(self: Box<Self>) {
        self.recorder.finish();
    }
}

/// A running lane.
#[derive(Debug)]
pub(crate) struct Lane {
    thread: JoinHandle<()>,
}

impl Lane {
    /// Starts a lane and waits until it is pinned and primed.
    pub(crate) fn start(
        index: usize,
        plan: &LanePlan,
        mut work: Box<dyn Turn>,
        control: Arc<Control>,
    ) -> Result<Self, String> {
        let (ready, pinned) = mpsc::channel();
        let plan = plan.clone();
        let name = format!("{}{index}", cores::LANE_NAME);
        let core = plan.core;
        let thread = guest::spawn(name, move || {
            let result = cores::pin(plan.core);
            let ok = result.is_ok();
            if ok {
                work.prime();
            }
            let _ = ready.send(result);
            if ok {
                run(index, &plan, work, &control);
            }
        })
        .map_err(|error: io::Error| format!("cannot start lane {index}: {error}"))?;
        match pinned.recv() {
            Ok(Ok(())) => Ok(Self { thread }),
            Ok(Err(why)) => {
                let _ = thread.join();
                Err(why)
            }
            Err(_) => Err(format!(
                "lane {index} ended before it was ready on core {core}"
            )),
        }
    }

    /// Waits for a lane that was told to stop.
    pub(crate) fn join(self) {
        // A panic was caught on the lane and reported there.
        let _ = self.thread.join();
    }
}

/// Runs a turn on the host's own thread, for the `inline` placement. A panic
/// ends in a failed engine, as it does on a lane.
#[inline]
pub(crate) fn turn_inline(work: &mut dyn Turn, control: &Control) {
    let result = catch_unwind(AssertUnwindSafe(|| {
        work.turn();
        work.hand_over();
    }));
    if let Err(panic) = result {
        control.fail(format!("on the host's thread: {}", message(&*panic)));
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

fn run(index: usize, plan: &LanePlan, mut work: Box<dyn Turn>, control: &Control) {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut waiter = Waiter::new(plan.idle);
        while !control.must_stop() {
            if work.turn() > 0 {
                waiter.reset();
            } else {
                waiter.wait();
            }
            work.hand_over();
        }
    }));
    if let Err(panic) = result {
        control.fail(format!("lane {index} failed: {}", message(&*panic)));
    }
    work.finish();
}
