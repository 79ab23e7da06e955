//! The host whose calls are timed: Godzilla, or one that polls all the time.

use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::Serialize;
use signal::Config;
use signal::abi::EventKind;

use super::feed::{Event, Feed, LEAD};
use super::figures::{Figures, Raw};
use crate::arrivals::{Arrivals, NO_EVENT};
use crate::contention::Watch;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::plugin::{Hush, Library, OnCore, Plugin};
use crate::waiter::Waiter;

/// How the host calls the library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Calls {
    /// Polls once per Depth, before it hands the Depth over, and at no other time.
    #[default]
    Godzilla,
    /// Polls in a loop while it waits for the next event.
    Spin,
}

/// First events of a stretch that make signals and are in no figure.
const SETTLE: usize = 5;
/// Longest time for the events before the first that is timed.
const LEAD_LIMIT: Duration = Duration::from_millis(100);
/// The same for whether any event makes a signal.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait for what is in flight behind the last event.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);
/// From the last call before a stretch until its first event.
const BEFORE: Duration = Duration::from_millis(2);
/// A host with a single core sleeps until this long before an event, so that lanes get the core;
/// then it busy-polls as elsewhere.
const SPUN: Duration = Duration::from_micros(300);

/// What one configuration runs with.
pub struct Stage<'a> {
    /// The library.
    pub library: &'a Library,
    /// The events.
    pub feed: &'a Feed,
    /// The host.
    pub calls: Calls,
    /// What its strategy walks over after each Depth.
    pub strategy: Vec<u64>,
    /// How it waits.
    pub waiter: &'a Waiter,
    /// What ends the run early.
    pub interrupt: &'a Interrupt,
}

impl Stage<'_> {
    /// Makes and ends a handle, with the events before the first that is timed. Returns how long
    /// that took; `None` if the run is interrupted.
    ///
    /// # Errors
    ///
    /// Why the library refused this configuration, or failed, or that no event makes a signal.
    pub fn try_once(&self, config: &Config) -> Result<Option<Duration>> {
        let begun = Instant::now();
        let arrivals = Rc::new(Arrivals::with_room(0));
        let hush = Hush::begin();
        let plugin = Plugin::create_timed(self.library, &text(config)?, arrivals)?;
        drop(hush);
        let lead = self.feed.stretch(Duration::ZERO, LEAD_LIMIT).start;
        self.lead_in(&plugin, lead, 1, LEAD_LIMIT)?;
        let took = begun.elapsed();
        let mut stats = plugin.stats()?;
        if stats.signals == 0 {
            // Whether there is one at all does not hang on how fast this machine is.
            self.lead_in(&plugin, lead, 1, PATIENCE)?;
            stats = plugin.stats()?;
        }
        if self.interrupt.told().is_some() {
            return Ok(None);
        }
        let _hush = Hush::begin();
        let ending = Instant::now();
        drop(plugin);
        let took = took + ending.elapsed();
        if stats.signals == 0 {
            let refused = stats.named().into_iter();
            let refused =
                refused.filter(|(name, count)| *count > 0 && name.starts_with("refused_"));
            let refused: Vec<_> = refused
                .map(|(name, count)| format!("{name} {count}"))
                .collect();
            let why = match refused.is_empty() {
                true => "expected events of a kind that the key trigger names".to_owned(),
                false => format!("the library refused events: {}", refused.join(", ")),
            };
            return Err(Failure::said(format!("the feed makes no signal: {why}")));
        }
        Ok(Some(took))
    }

    /// Plays one stretch of the feed, with the host's thread on `core` if one is named. `None` if
    /// the run is interrupted.
    ///
    /// # Errors
    ///
    /// Why the library refused this configuration, or failed.
    pub fn play(
        &self,
        config: &Config,
        core: Option<usize>,
        offset: Duration,
        length: Duration,
    ) -> Result<Option<Figures>> {
        let _pinned = core.map(OnCore::pin).transpose()?;
        let stretch = self.feed.stretch(offset, length);
        let per_event = match config.callback {
            signal::stages::Callback::Concatenated => 1,
            signal::stages::Callback::PerModel => config.models.len(),
        };
        let room = (stretch.len() + LEAD) * per_event + 64;
        let arrivals = Rc::new(Arrivals::with_room(room));
        let hush = Hush::begin();
        let plugin = Plugin::create_timed(self.library, &text(config)?, arrivals.clone())?;
        drop(hush);
        let figures = self.time(&plugin, &arrivals, stretch, (config, per_event));
        // What the library says at the end would be said for each repetition.
        let _hush = Hush::begin();
        drop(plugin);
        figures
    }

    fn time(
        &self,
        plugin: &Plugin,
        arrivals: &Arrivals,
        stretch: std::ops::Range<usize>,
        (config, per_event): (&Config, usize),
    ) -> Result<Option<Figures>> {
        let events = &self.feed.events;
        let smallest = [config.rings.ingest, config.rings.stage, config.rings.egress];
        let at_once = (smallest.into_iter().min().unwrap_or(1) / 4 / per_event).clamp(1, 64);
        self.lead_in(plugin, stretch.start, at_once, LEAD_LIMIT)?;
        arrivals.forget();
        let count = stretch.len();
        let mut raw = Raw::with_room(count);
        let before = plugin.stats()?;
        let watch = Watch::begin();
        let begun = Instant::now() + BEFORE;
        let first = events
            .get(stretch.start)
            .map_or(Duration::ZERO, |event| event.due);
        for place in stretch.clone() {
            let event = &events[place];
            let due = begun + (event.due - first);
            self.wait(plugin, due)?;
            if self.interrupt.told().is_some() {
                return Ok(None);
            }
            self.hand_over(plugin, arrivals, place, event, &mut raw)?;
            if event.kind == EventKind::Depth {
                let next = events.get(place + 1).map(|next| begun + (next.due - first));
                self.walk(next);
            }
        }
        let taken = watch.complaint();
        arrivals.begin(NO_EVENT);
        if self.calls == Calls::Spin {
            let end = Instant::now() + BEFORE;
            while Instant::now() < end {
                plugin.poll()?;
            }
        }
        let came = arrivals.came();
        self.drain(plugin)?;
        let behind = arrivals.came().len() - came.len();
        let after = plugin.stats()?;
        let lost = |stats: &crate::host::bindings::Stats| stats.dropped() + stats.conflated_egress;
        raw.lost = lost(&after) - lost(&before);
        Ok(Some(raw.figures(
            |arrival| {
                let place = self.feed.event_of(arrival.timestamp)?;
                let event = events.get(place as usize)?;
                Some((place, (begun + event.due).checked_sub(first)?))
            },
            &came,
            (behind, per_event, taken),
            settled(events, stretch),
        )))
    }

    /// Plays the events before the first that is timed, without a pause.
    fn lead_in(&self, plugin: &Plugin, end: usize, at_once: usize, limit: Duration) -> Result<()> {
        let limit = Instant::now() + limit;
        let lead = &self.feed.events[end.saturating_sub(LEAD)..end];
        for events in lead.chunks(at_once) {
            if Instant::now() > limit || self.interrupt.told().is_some() {
                break;
            }
            for event in events {
                if event.kind == EventKind::Depth {
                    plugin.poll()?;
                }
                plugin.on_data(event.kind.message_type(), self.feed.payload(event));
            }
            self.drain(plugin)?;
        }
        Ok(())
    }

    /// Waits until nothing is in flight, and takes the signals.
    fn drain(&self, plugin: &Plugin) -> Result<()> {
        let limit = Instant::now() + DRAIN_LIMIT;
        loop {
            plugin.poll()?;
            let stats = plugin.stats()?;
            let is_at_rest = stats.in_flight == 0 && stats.queued == 0;
            if is_at_rest || Instant::now() > limit || self.interrupt.told().is_some() {
                return Ok(());
            }
            self.waiter.pause();
        }
    }

    fn wait(&self, plugin: &Plugin, due: Instant) -> Result<()> {
        match self.calls {
            Calls::Godzilla => {
                self.waiter.until(due - SPUN, self.interrupt);
                while Instant::now() < due && self.interrupt.told().is_none() {
                    std::hint::spin_loop();
                }
            }
            Calls::Spin => {
                while Instant::now() < due && self.interrupt.told().is_none() {
                    plugin.poll()?;
                    self.waiter.pause();
                }
            }
        }
        Ok(())
    }

    /// What the strategy does to the caches, unless the next event is due.
    fn walk(&self, next: Option<Instant>) {
        const AT_ONCE: usize = 1 << 10;
        for part in self.strategy.chunks(AT_ONCE) {
            if next.is_some_and(|next| Instant::now() > next) {
                return;
            }
            std::hint::black_box(part.iter().sum::<u64>());
        }
    }

    /// The host's calls for one event, in Godzilla's order.
    fn hand_over(
        &self,
        plugin: &Plugin,
        arrivals: &Arrivals,
        place: usize,
        event: &Event,
        raw: &mut Raw,
    ) -> Result<()> {
        arrivals.begin(place as u32);
        if event.kind == EventKind::Depth {
            let start = Instant::now();
            plugin.poll()?;
            raw.poll.push(start.elapsed());
            // Here the host calls its strategy's on_depth.
        }
        let payload = self.feed.payload(event);
        let start = Instant::now();
        plugin.on_data(event.kind.message_type(), payload);
        if event.triggers {
            raw.on_data.push(start.elapsed());
        }
        Ok(())
    }
}

/// The string for `signal_create`.
fn text(config: &Config) -> Result<String> {
    serde_json::to_string(config).map_err(|why| Failure::said(why.to_string()))
}

/// The place of the first event that is in the figures.
fn settled(events: &[Event], stretch: std::ops::Range<usize>) -> u32 {
    let mut triggers = stretch.clone().filter(|&place| events[place].triggers);
    triggers.nth(SETTLE).unwrap_or(stretch.end) as u32
}
