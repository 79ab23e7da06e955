//! What is printed: how it is measured, the tables, and the recommendation with its reason.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use signal::os::cores::Cores;
use signal::os::machine::CpuInfo;

use super::candidates::{Candidate, Round};
use super::host::{Calls, Stage};
use super::rounds::{self, Schedule};
use super::verdict::{self, Measured, Verdict};
use super::{FIRST_PART, figures, table};
use crate::drive;
use crate::failure::Result;
use crate::plugin::Library;
use crate::print;

/// What is measured, and where.
pub struct Setup<'a> {
    /// The configuration to start from.
    pub config: &'a Path,
    /// The captures, if there are any.
    pub captures: &'a [PathBuf],
    /// The library.
    pub library: &'a Library,
    /// The machine.
    pub cores: &'a Cores,
    /// The host and its feed.
    pub stage: &'a Stage<'a>,
    /// Depths a second, unless a capture has its own times.
    pub rate: Option<f64>,
    /// How long it may take.
    pub seconds: f64,
}

impl Setup<'_> {
    /// Prints it.
    pub fn print(&self) -> Result<()> {
        let Stage { calls, feed, .. } = self.stage;
        let host = match calls {
            Calls::Godzilla => "Godzilla: polls once per Depth, before it hands the Depth over",
            Calls::Spin => "polls all the time",
        };
        let strategy = match size_of_val(self.stage.strategy.as_slice()) / 1_024 {
            0 => String::new(),
            kb => format!("; its strategy walks over {kb} KB after each Depth"),
        };
        let (triggers, depths) = feed.rates();
        let names: Vec<_> = self
            .captures
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        let names = match names.is_empty() {
            true => "synthetic".to_owned(),
            false => names.join(" "),
        };
        let pace = match self.rate {
            Some(_) => "at even intervals",
            None => "at its own times",
        };
        let repeats = match feed.repeats {
            0 => String::new(),
            repeats => format!("; too short, so it is played {} times over", repeats + 1),
        };
        let Cores { allowed, quota, .. } = self.cores;
        let quota = quota.map_or_else(String::new, |cores| format!(", CPU quota of {cores} cores"));
        let model = CpuInfo::read().model().unwrap_or("not known").to_owned();
        print::line(&format!(
            "tune       {}\n\
             library    {}, {}\n\
             host       {host}{strategy}\n\
             feed       {names}, {pace}: {depths:.1} Depths and {triggers:.1} events that make \
             signals a second{repeats}\n\
             machine    {model}; allowed cores {allowed:?}{quota}\n\
             time       {} s: first placements and delivery, then variants of the best\n",
            self.config.display(),
            self.library.version(),
            self.library.path.display(),
            self.seconds,
        ))
    }

    fn json(&self) -> Value {
        let feed = self.stage.feed;
        let (triggers, depths) = feed.rates();
        json!({
            "config": self.config,
            "captures": self.captures,
            "version": self.library.version(),
            "library": self.library.path,
            "host": self.stage.calls,
            "strategy_kb": size_of_val(self.stage.strategy.as_slice()) / 1_024,
            "rate": self.rate,
            "depths_a_second": depths,
            "signals_a_second": triggers,
            "repeats": feed.repeats,
            "processor": CpuInfo::read().model(),
            "allowed_cores": self.cores.allowed,
            "quota": self.cores.quota,
            "seconds": self.seconds,
        })
    }
}

/// A round and what came of it.
struct Done {
    title: String,
    schedule: Schedule,
    measured: Vec<Measured>,
    verdict: Option<Verdict>,
}

/// What was measured.
#[derive(Default)]
pub struct Outcome {
    rounds: Vec<Done>,
    /// What was not tried, and why, one phrase each.
    pub left_out: Vec<String>,
}

impl Outcome {
    /// Measures a round.
    ///
    /// # Errors
    ///
    /// That the first candidate was refused or failed.
    pub fn add(
        &mut self,
        title: &str,
        round: Round,
        schedule: Schedule,
        stage: &Stage,
    ) -> Result<()> {
        self.left_out.extend(round.left_out);
        let bar = drive::progress(u64::from(schedule.repetitions) * round.tried.len() as u64);
        let measured = rounds::measure(stage, round.tried, schedule, &bar);
        bar.finish_and_clear();
        let measured = measured?;
        self.rounds.push(Done {
            title: title.to_owned(),
            schedule,
            verdict: verdict::decide(&measured),
            measured,
        });
        Ok(())
    }

    /// Whether any repetition had a signal.
    pub fn has_signals(&self) -> bool {
        let measured = self.rounds.iter().flat_map(|round| &round.measured);
        let mut runs = measured.flat_map(|one| &one.runs);
        runs.any(|run| run.signals > 0)
    }

    /// The recommended candidate and the reason.
    pub fn recommended(&self) -> Option<(&Candidate, String)> {
        let [first, later @ ..] = &self.rounds[..] else {
            return None;
        };
        let placed = first.verdict.as_ref()?;
        let mut best = &first.measured[placed.place].candidate;
        let mut reason = placed.reason.clone();
        for round in later {
            reason += &match &round.verdict {
                Some(varied) if varied.place > 0 => {
                    best = &round.measured[varied.place].candidate;
                    format!(
                        "; among its variants, with {}, {}",
                        best.name(),
                        varied.reason
                    )
                }
                Some(_) => "; none of its variants is better beyond the noise".to_owned(),
                None => "; its variants could not be judged".to_owned(),
            };
        }
        Some((best, reason))
    }

    /// Prints the tables and the recommendation: as JSON with the setup, if that is given.
    ///
    /// # Errors
    ///
    /// That of standard output.
    pub fn print(&self, setup: Option<&Setup>) -> Result<()> {
        match setup {
            Some(setup) => print::line(&format!("{:#}", self.json(setup))),
            None => print::line(self.text().trim_end()),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for round in &self.rounds {
            let Schedule {
                repetitions,
                length,
            } = round.schedule;
            text += &format!(
                "{} ({repetitions} repetitions of {:.2} s in turn; medians of them)\n{}\n",
                round.title,
                length.as_secs_f64(),
                table::table(&round.measured)
            );
        }
        if let Some(seconds) = self.seconds_for_p99() {
            text += &format!("--seconds {seconds} would give a p99 of each\n\n");
        }
        for (number, what) in self.left_out.iter().enumerate() {
            let label = if number == 0 { "not tried" } else { "" };
            text += &format!("{label:<11}{what}\n");
        }
        let Some((best, reason)) = self.recommended() else {
            return text + "recommended  nothing: nothing valid was measured\n";
        };
        text += &match best.set.is_empty() {
            true => "recommended  the configuration as given\n".to_owned(),
            false => format!("recommended  {}\n", Value::Object(best.set.clone())),
        };
        if let Some(core) = best.host_core {
            text += &format!(
                "             with the host's thread on core {core} (taskset -c {core})\n"
            );
        }
        let rule = verdict::RULE.join("\n             ");
        text += &format!("reason       {reason}\nrule         {rule}\n");
        text
    }

    /// How long to measure so that each candidate has enough signals for a p99, if one has not.
    fn seconds_for_p99(&self) -> Option<u64> {
        let parts = [FIRST_PART, 1.0 - FIRST_PART];
        let needed = self.rounds.iter().zip(parts).flat_map(|(round, part)| {
            let time = round.schedule.length.as_secs_f64() * f64::from(round.schedule.repetitions);
            let of = round
                .measured
                .iter()
                .filter(|one| one.is_valid() && !one.has_p99());
            let count = round.measured.len() as f64;
            of.map(move |one| {
                let rate = one.signals() as f64 / time;
                // A tenth is for making handles, and for what does not count.
                1.1 * count * figures::FEWEST_FOR_P99 as f64 / rate / part
            })
        });
        let most = needed.fold(0.0, f64::max);
        (most > 0.0).then_some((most / 10.0).ceil() as u64 * 10)
    }

    fn json(&self, setup: &Setup) -> Value {
        let rounds = self.rounds.iter().map(|round| {
            json!({
                "title": round.title,
                "repetitions": round.schedule.repetitions,
                "seconds_each": round.schedule.length.as_secs_f64(),
                "candidates": table::json(&round.measured),
            })
        });
        let recommended = self.recommended().map(|(best, reason)| {
            json!({
                "name": best.name(),
                "set": best.set,
                "host_core": best.host_core,
                "reason": reason,
            })
        });
        json!({
            "setup": setup.json(),
            "rounds": rounds.collect::<Vec<_>>(),
            "not_tried": self.left_out,
            "rule": verdict::RULE.join(" "),
            "recommended": recommended,
        })
    }
}
