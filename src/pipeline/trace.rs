//! The times of one message on its way through a lane.

use crate::messages::InstrumentId;
use crate::os::clock::Clock;
use crate::stages::Stage;
use crate::sync::ring::Watch;
use crate::telemetry::hops::{Hop, Recorder};

/// The times of one message on its way through a lane, TSC ticks.
///
/// The times are kept here and recorded after the lane has published, so that histograms cost
/// the message nothing. A stamp does cost time: with three in a row, each costs as much as a
/// stage like `test0000`. So every message is stamped when it is picked up and when its work
/// ends. The ends of the stages in between are stamped only in a sample of messages.
#[derive(Debug)]
pub(crate) struct Trace {
    clock: Clock,
    /// The stage whose end is always stamped: what the lane publishes carries that stamp.
    ends: Stage,
    sample: Sample,
    sampled: bool,
    picked: u64,
    /// A message may lead to several of the next stage's; their work is added up.
    work: [u64; Stage::ALL.len()],
    /// One bit for each stage that has worked.
    worked: u8,
    pub(super) updated_only: bool,
    /// Whether ingest has refused it.
    pub(super) refused: bool,
    last: u64,
    /// 1 for a message, 0 for a rehearsal of one: what counters add.
    weight: u64,
    /// The instrument of the message that is rehearsed. Stages are given none of the real ones.
    pub(super) rehearsed: InstrumentId,
    /// One bit for each stage that rehearsals leave out.
    left_out: u8,
    /// When each stage of a rehearsal began; 0 if it has not.
    entered: [u64; Stage::ALL.len()],
    /// Of the lane's inlet, if the lane rehearses.
    pub(super) watch: Option<Watch>,
}

impl Trace {
    /// For a lane with these stages. One message of `every` has the end of each stage
    /// stamped.
    pub(crate) fn new(clock: Clock, first: Stage, last: Stage, every: u32) -> Self {
        // Egress is timed if it has a lane of its own. Otherwise it is just the publication.
        let ends = if last == Stage::Egress && first != last {
            Stage::Model
        } else {
            last
        };
        Self {
            sample: Sample::new(if first == ends { 1 } else { every }),
            clock,
            ends,
            sampled: false,
            picked: 0,
            work: [0; Stage::ALL.len()],
            worked: 0,
            updated_only: false,
            refused: false,
            last: 0,
            weight: 1,
            rehearsed: InstrumentId::SHADOW,
            left_out: 0,
            entered: [0; Stage::ALL.len()],
            watch: None,
        }
    }

    #[inline(always)]
    pub(crate) fn begin(&mut self) {
        self.picked = self.clock.stamp();
        self.last = self.picked;
        self.worked = 0;
        self.updated_only = false;
        self.sampled = self.clock.is_on() && self.sample.takes();
        self.refused = false;
        self.weight = 1;
    }

    /// Begins a rehearsal: it is neither counted nor recorded.
    pub(super) fn begin_rehearsal(&mut self) {
        self.picked = self.clock.stamp();
        self.last = self.picked;
        self.worked = 0;
        self.updated_only = false;
        self.refused = false;
        self.sampled = false;
        self.weight = 0;
        self.entered = [0; Stage::ALL.len()];
    }

    /// Whether the message is rehearsed: it must have no effect.
    #[inline]
    pub(super) fn is_rehearsal(&self) -> bool {
        self.weight == 0
    }

    /// What a counter adds for this message: 1, or 0 in a rehearsal.
    #[inline]
    pub(super) fn weight(&self) -> u64 {
        self.weight
    }

    /// Whether this rehearsal ends before the stage: later ones leave it out, or a message has
    /// come meanwhile.
    pub(super) fn breaks_off(&mut self, stage: Stage) -> bool {
        // With timing off, too.
        self.entered[stage as usize] = self.clock.now();
        self.left_out & 1 << stage as u8 != 0 || self.sees_message()
    }

    /// Whether a message has come since the rehearsal began.
    pub(super) fn sees_message(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::sees_message)
    }

    /// Has later rehearsals leave the stage out.
    pub(super) fn leave_out(&mut self, stage: Stage) {
        self.left_out |= 1 << stage as u8;
    }

    /// Ticks that factor and model worked in a rehearsal that ends now, as far as they did.
    pub(super) fn rehearsed_work(&self, now: u64) -> [Option<(Stage, u64)>; 2] {
        let [_, factor, model, _] = self.entered;
        let work = |stage: Stage, from: u64, to: u64| {
            let did = from != 0 && self.left_out & 1 << stage as u8 == 0;
            did.then(|| (stage, to.saturating_sub(from)))
        };
        let factor_ends = if model != 0 { model } else { now };
        [
            work(Stage::Factor, factor, factor_ends),
            work(Stage::Model, model, now),
        ]
    }

    /// Whether the message went through all of the lane's stages.
    #[inline]
    pub(super) fn came_through(&self) -> bool {
        self.worked & 1 << self.ends as u8 != 0 && !self.updated_only
    }

    /// Ends a stage's work. If a stage emits several messages, sending on one of them counts
    /// as work on the next.
    #[inline(always)]
    pub(super) fn mark(&mut self, stage: Stage) {
        if !self.sampled && stage != self.ends {
            return;
        }
        let now = self.clock.stamp();
        let bit = 1 << stage as u8;
        let before = if self.worked & bit == 0 {
            0
        } else {
            self.work[stage as usize]
        };
        // A stamp may be earlier than the last one: threads move, and clocks are set.
        self.work[stage as usize] = before + now.saturating_sub(self.last);
        self.worked |= bit;
        self.last = now;
    }

    /// A new stamp, for what is published after its own work.
    #[cold]
    pub(super) fn restamp(&mut self) {
        self.last = self.clock.stamp();
    }

    /// The latest stamp, which a publication carries.
    #[inline]
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Records the wait before the lane's first stage, and if the message is in the sample,
    /// each stage's work.
    #[inline(always)]
    pub(crate) fn record(&self, first: Stage, published: u64, recorder: &mut Recorder) {
        if !self.clock.is_on() {
            return;
        }
        recorder.record(Hop::wait(first), published, self.picked);
        if self.sampled {
            self.record_work(recorder);
        }
    }

    fn record_work(&self, recorder: &mut Recorder) {
        for stage in Stage::ALL {
            if self.worked & 1 << stage as u8 == 0 {
                continue;
            }
            let hop = if stage == Stage::Factor && self.updated_only {
                Hop::FactorUpdate
            } else {
                Hop::work(stage)
            };
            recorder.record(hop, 0, self.work[stage as usize]);
        }
    }
}

/// Takes on average one message of `every`, at random. Feeds have patterns, such as a trade
/// before each Depth, and a fixed step would see only one part of them.
#[derive(Debug)]
struct Sample {
    every: u32,
    /// Messages until the next one is taken.
    left: u32,
    random: u64,
}

impl Sample {
    /// The first message is taken.
    fn new(every: u32) -> Self {
        Self {
            every,
            left: 1,
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    #[inline(always)]
    fn takes(&mut self) -> bool {
        self.left -= 1;
        if self.left > 0 {
            return false;
        }
        self.draw();
        true
    }

    /// Uniform from 1 to 2 * `every` - 1. Marsaglia, "Xorshift RNGs" (2003).
    fn draw(&mut self) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let span = 2 * u64::from(self.every) - 1;
        self.left = 1 + (self.random % span) as u32;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Sample;

    #[test]
    fn a_sample_takes_its_share_of_any_pattern() {
        for every in [1u32, 2, 16, 1_000] {
            let mut sample = Sample::new(every);
            let mut taken = [0u32; 2];
            let messages = 20_000 * every;
            for message in 0..messages as usize {
                taken[message % 2] += u32::from(sample.takes());
            }
            // 20,000 are expected, with a standard deviation below 100.
            let all = taken[0] + taken[1];
            assert!(all.abs_diff(20_000) < 1_000, "{every}: {all}");
            assert!(taken[0].abs_diff(all / 2) < 1_000, "{every}: {taken:?}");
        }
    }
}
