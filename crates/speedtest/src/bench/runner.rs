//! Runs a plan: children are started, asked and timed, in rounds.
//!
//! ```text
//! for each model                       (or for each entry, where runs shall not take turns)
//!     start the children, in random order: hello, audio, load
//!     warm up: every row once, in random order; as often as asked
//!     rounds: every row that has not enough runs, once, in an order that is drawn anew each time
//!     goodbye
//! ```
//!
//! So no implementation runs always after the same other one, or always on the warmer processor.

use std::time::Duration;

use super::measurement::{Entry, Results, Row, Run, SCHEMA};
use super::noise;
use super::plan::{Candidate, Plan, Sound};
use super::stats::Summary;
use crate::accuracy;
use crate::bench::machine::Machine;
use crate::implementations::process::{Failure, FailureKind};
use crate::implementations::protocol::{self, Heard, Identity, Load, Loaded, Reply, Request};
use crate::implementations::usage::Usage;

/// Runs of a row that must be done before the limit of an entry counts.
const LEAST: usize = 3;

/// More runs of a row tell nothing new.
const MOST: usize = 1000;

/// Clocks differ: by so many seconds the time inside may be longer than that outside.
const TOLERANCE: f64 = 0.001;

/// Where runners come from: processes, or a script in tests.
pub(crate) trait World {
    /// Starts a runner.
    fn launch(&mut self, candidate: &Candidate) -> Result<Box<dyn Runner>, Failure>;
    /// Waits.
    fn rest(&mut self, time: Duration);
    /// What the user wants to know meanwhile.
    fn tell(&mut self, news: &News<'_>);
}

/// A child that is alive, as far as we know.
pub(crate) trait Runner {
    /// Its reply, of the request's kind, and the time from the request to the reply.
    fn ask(&mut self, request: &Request, limit: Duration) -> Result<(Reply, Duration), Failure>;
    /// What its process group has taken so far.
    fn usage(&self) -> Usage;
}

/// What happens.
pub(crate) enum News<'a> {
    Loading(&'a Candidate),
    /// A run of a row begins: the entry, the recording, how many that count are done.
    Running(&'a Entry, &'a Sound, usize),
    /// A row is finished, one way or the other: the results so far.
    Saved(&'a Results),
}

/// Measures everything.
pub(crate) fn run(plan: &Plan, machine: Machine, started: String, world: &mut dyn World) -> Results {
    let results = Results {
        schema: SCHEMA.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        started,
        complete: false,
        machine,
        settings: plan.settings.clone(),
        recordings: plan.sounds.iter().map(|sound| sound.recording.clone()).collect(),
        entries: plan.candidates.iter().map(|candidate| entry(candidate, plan)).collect(),
        warnings: Vec::new(),
    };
    let mut bench = Bench {
        plan,
        world,
        random: fastrand::Rng::with_seed(plan.settings.seed),
        live: plan.candidates.iter().map(|_| None).collect(),
        results,
    };
    for block in blocks(plan) {
        bench.measure(block);
    }
    bench.results.complete = true;
    bench.results
}

fn entry(candidate: &Candidate, plan: &Plan) -> Entry {
    let weights = candidate.ready.as_ref().ok().map(|(_, weights)| weights);
    let row = |recording| Row {
        recording,
        ..Row::default()
    };
    Entry {
        implementation: candidate.implementation.clone(),
        model: candidate.model.clone(),
        identity: None,
        weights: weights.map_or(String::new(), |weights| weights.name.clone()),
        fallback: weights.is_some_and(|weights| weights.fallback),
        loaded: None,
        start_seconds: None,
        load_seconds: None,
        first_run: None,
        peak_memory_bytes: None,
        rows: (0..plan.sounds.len()).map(row).collect(),
        failure: candidate.ready.as_ref().err().cloned(),
    }
}

/// Entries whose runs take turns, those that are ready: all of a size, or each alone.
fn blocks(plan: &Plan) -> Vec<Vec<usize>> {
    let mut blocks: Vec<Vec<usize>> = Vec::new();
    for (index, candidate) in plan
        .candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| candidate.ready.is_ok())
    {
        let size_of = |index: &usize| Candidate::size(&plan.candidates[*index].model);
        let same = |block: &&mut Vec<usize>| size_of(&block[0]) == Candidate::size(&candidate.model);
        match blocks.iter_mut().find(same) {
            Some(block) if plan.settings.interleaved => block.push(index),
            _ => blocks.push(vec![index]),
        }
    }
    blocks
}

struct Bench<'a> {
    plan: &'a Plan,
    world: &'a mut dyn World,
    random: fastrand::Rng,
    /// The child of each entry, while it lives.
    live: Vec<Option<Child>>,
    results: Results,
}

struct Child {
    runner: Box<dyn Runner>,
    /// It has not transcribed anything yet.
    is_cold: bool,
}

/// A row: its entry and its recording.
#[derive(Clone, Copy)]
struct Place {
    entry: usize,
    recording: usize,
}

impl Bench<'_> {
    fn measure(&mut self, mut block: Vec<usize>) {
        self.random.shuffle(&mut block);
        for &entry in &block {
            if let Err(failure) = self.start(entry) {
                self.results.entries[entry].failure = Some(failure);
                self.save();
            }
        }
        let recordings = 0..self.plan.sounds.len();
        let mut places: Vec<Place> = block
            .iter()
            .flat_map(|&entry| recordings.clone().map(move |recording| Place { entry, recording }))
            .collect();
        for _ in 0..self.plan.settings.warmup {
            self.round(&mut places, false);
        }
        loop {
            places.retain(|place| !self.is_done(*place));
            if places.is_empty() {
                break;
            }
            self.round(&mut places, true);
            for place in &places {
                if self.is_done(*place) && self.row(*place).failure.is_none() {
                    self.finish(*place);
                }
            }
        }
        for entry in block {
            self.live[entry] = None;
        }
    }

    /// Runs each row once, in a new order.
    fn round(&mut self, places: &mut [Place], counts: bool) {
        self.random.shuffle(places);
        for &place in &*places {
            if self.live[place.entry].is_some() && self.row(place).failure.is_none() {
                self.turn(place, counts)
                    .unwrap_or_else(|failure| self.fail(place, failure));
            }
        }
    }

    /// One run of a row. The first of a child never counts: it may compile, and touches its memory for the first time.
    fn turn(&mut self, place: Place, counts: bool) -> Result<(), Failure> {
        if self.live[place.entry].as_ref().is_some_and(|child| child.is_cold) {
            let run = self.run_once(place)?;
            let entry = &mut self.results.entries[place.entry];
            entry.first_run.get_or_insert_with(|| run.clone());
            if !counts {
                entry.rows[place.recording].warmups.push(run);
                return Ok(());
            }
        }
        let run = self.run_once(place)?;
        let row = &mut self.results.entries[place.entry].rows[place.recording];
        if counts { &mut row.runs } else { &mut row.warmups }.push(run);
        Ok(())
    }

    /// A row that cannot go on. If its child is gone, another one is started for the other rows.
    fn fail(&mut self, place: Place, failure: Failure) {
        let is_over = failure.is_over();
        self.results.entries[place.entry].rows[place.recording].failure = Some(failure);
        if is_over {
            self.live[place.entry] = None;
            let mut rows = (0..self.plan.sounds.len()).map(|recording| Place { recording, ..place });
            if rows.any(|place| !self.has_enough(place))
                && let Err(failure) = self.start(place.entry)
            {
                self.results.entries[place.entry].failure = Some(failure);
            }
        }
        self.save();
    }

    /// Starts the child of an entry and makes it ready.
    fn start(&mut self, index: usize) -> Result<(), Failure> {
        let candidate = &self.plan.candidates[index];
        let (_, weights) = candidate.ready.as_ref().map_err(Clone::clone)?;
        self.world.tell(&News::Loading(candidate));
        let limit = Duration::from_secs_f64(self.plan.settings.timeout);
        let mut runner = self.world.launch(candidate)?;

        let hello = Request::Hello {
            protocol: protocol::VERSION,
        };
        let (identity, start) = identify(runner.ask(&hello, limit)?)?;
        let entry = &mut self.results.entries[index];
        entry.start_seconds.get_or_insert(start.as_secs_f64());
        entry.identity = Some(identity);
        for sound in &self.plan.sounds {
            runner.ask(&Request::Audio(sound.announced.clone()), limit)?;
        }
        let load = Request::Load(Load {
            model: candidate.model.clone(),
            path: weights.path.clone(),
            threads: self.plan.settings.threads,
        });
        let (loaded, took) = loaded(runner.ask(&load, limit)?)?;
        entry.load_seconds.get_or_insert(took.as_secs_f64());
        entry.loaded.get_or_insert(loaded);
        entry.peak_memory_bytes = entry
            .peak_memory_bytes
            .max(Some(runner.usage().peak_bytes))
            .filter(|bytes| *bytes > 0);
        self.live[index] = Some(Child { runner, is_cold: true });
        Ok(())
    }

    fn run_once(&mut self, place: Place) -> Result<Run, Failure> {
        let Place { entry, recording } = place;
        if self.plan.settings.cool_down > 0.0 {
            self.world.rest(Duration::from_secs_f64(self.plan.settings.cool_down));
        }
        let sound = &self.plan.sounds[recording];
        let done = self.row(place).runs.len();
        self.world
            .tell(&News::Running(&self.results.entries[entry], sound, done));
        let limit = Duration::from_secs_f64(self.plan.settings.timeout);
        let Some(Child { runner, is_cold }) = &mut self.live[entry] else {
            return Err(Failure::new(FailureKind::Ended, "its process has ended"));
        };
        *is_cold = false;
        let before = runner.usage();
        let request = Request::Transcribe { audio: recording };
        let (heard, took) = heard(runner.ask(&request, limit)?, recording)?;
        let after = runner.usage();

        let entry = &mut self.results.entries[entry];
        entry.peak_memory_bytes = entry
            .peak_memory_bytes
            .max(Some(after.peak_bytes))
            .filter(|bytes| *bytes > 0);
        let row = &mut entry.rows[recording];
        row.texts_differ |= row.text.as_ref().is_some_and(|text| *text != heard.text);
        row.text = Some(heard.text);
        row.language = heard.language;
        Ok(Run {
            seconds: took.as_secs_f64(),
            inside_seconds: heard.seconds,
            cpu_seconds: Some((after.cpu_seconds - before.cpu_seconds).max(0.0)).filter(|_| after != Usage::default()),
            first_segment_seconds: heard.first_segment_seconds,
            stages: heard.stages,
            counts: heard.counts,
        })
    }

    fn is_done(&self, place: Place) -> bool {
        self.live[place.entry].is_none() || self.has_enough(place)
    }

    /// Whether a row needs no more runs, or can have none.
    fn has_enough(&self, place: Place) -> bool {
        let (row, settings) = (self.row(place), &self.plan.settings);
        let n = row.runs.len();
        if row.failure.is_some() || n >= MOST {
            return true;
        }
        if let Some(runs) = settings.runs {
            return n >= runs;
        }
        let spent = |row: &Row| row.runs.iter().map(|run| run.seconds).sum::<f64>();
        let of_entry: f64 = self.results.entries[place.entry].rows.iter().map(spent).sum();
        let enough = n >= settings.min_runs && spent(row) >= settings.min_seconds;
        enough || (n >= LEAST && of_entry >= settings.max_seconds)
    }

    /// Describes the runs of a row.
    fn finish(&mut self, place: Place) {
        let reference = self.plan.sounds[place.recording].reference.as_ref();
        let entry = &mut self.results.entries[place.entry];
        let row = &mut entry.rows[place.recording];
        row.time = Summary::of(&row.seconds());
        row.warnings = noise::of_row(row, entry.first_run.as_ref());
        if let (Some(reference), Some(text)) = (reference, &row.text) {
            match accuracy::accuracy(reference, text) {
                Ok(accuracy) => row.accuracy = Some(accuracy),
                Err(problem) => row.warnings.push(format!("no error rates: {problem:#}")),
            }
        }
        self.save();
    }

    fn row(&self, place: Place) -> &Row {
        &self.results.entries[place.entry].rows[place.recording]
    }

    fn save(&mut self) {
        self.world.tell(&News::Saved(&self.results));
    }
}

fn identify((reply, took): (Reply, Duration)) -> Result<(Identity, Duration), Failure> {
    let Reply::Hello(identity) = reply else {
        return Err(unexpected("hello"));
    };
    if identity.protocol != protocol::VERSION {
        let (theirs, ours) = (identity.protocol, protocol::VERSION);
        let problem = format_args!("it speaks protocol {theirs}, this program {ours}");
        return Err(Failure::new(FailureKind::Protocol, problem));
    }
    if identity.version.trim().is_empty() {
        return Err(Failure::new(
            FailureKind::Protocol,
            "it does not say its version: not measured",
        ));
    }
    Ok((identity, took))
}

fn loaded((reply, took): (Reply, Duration)) -> Result<(Loaded, Duration), Failure> {
    let Reply::Load(loaded) = reply else {
        return Err(unexpected("load"));
    };
    plausible(loaded.seconds, took)?;
    Ok((loaded, took))
}

fn heard((reply, took): (Reply, Duration), asked: usize) -> Result<(Heard, Duration), Failure> {
    let Reply::Transcribe(heard) = reply else {
        return Err(unexpected("transcribe"));
    };
    if heard.audio != asked {
        let found = heard.audio;
        let problem = format_args!("asked for audio {asked}, it transcribed {found}");
        return Err(Failure::new(FailureKind::Protocol, problem));
    }
    plausible(heard.seconds, took)?;
    for &seconds in heard.stages.values().chain(&heard.first_segment_seconds) {
        plausible(seconds, took)?;
    }
    Ok((heard, took))
}

/// A time that the child says cannot be longer than the one we measured around it.
fn plausible(inside: f64, outside: Duration) -> Result<(), Failure> {
    let outside = outside.as_secs_f64();
    if (0.0..=outside + TOLERANCE).contains(&inside) {
        return Ok(());
    }
    let problem = format_args!("it says that it took {inside} s, and replied after {outside:.3} s");
    Err(Failure::new(FailureKind::Protocol, problem))
}

fn unexpected(kind: &str) -> Failure {
    Failure::new(FailureKind::Protocol, format_args!("no reply to {kind:?}"))
}

#[cfg(test)]
mod tests;
