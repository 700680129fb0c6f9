//! The rules of running, with scripted runners: what they answer, and how long it takes by a clock that is only numbers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::*;
use crate::accuracy::Reference;
use crate::bench::measurement::{Recording, Settings};
use crate::bench::stats::IntervalKind;
use crate::implementation::Weights;
use crate::implementations::process::Start;
use crate::implementations::protocol::Audio;

/// What happened, in order: `a: hello`, `rest 2`, ...
type Log = Rc<RefCell<Vec<String>>>;

/// What a runner does, request by request of `transcribe`; the last step goes on for ever.
#[derive(Clone)]
enum Step {
    /// Takes so many seconds and hears this.
    Hears(f64, &'static str),
    Fails(FailureKind),
}

use Step::{Fails, Hears};

struct Script {
    log: Log,
    /// For each implementation, the steps of each child that is started for it.
    children: Vec<(&'static str, VecDeque<Vec<Step>>)>,
    version: &'static str,
    saved: usize,
}

impl World for Script {
    fn launch(&mut self, candidate: &Candidate) -> Result<Box<dyn Runner>, Failure> {
        let name = &candidate.implementation;
        let of_name = self.children.iter_mut().find(|(known, _)| known == name).unwrap();
        let steps = of_name.1.pop_front();
        let steps = steps.ok_or_else(|| Failure::new(FailureKind::NotStarted, "no more children"))?;
        Ok(Box::new(Scripted {
            name: name.clone(),
            log: Rc::clone(&self.log),
            steps: steps.into(),
            version: self.version,
            cpu_seconds: 0.0,
        }))
    }

    fn rest(&mut self, time: Duration) {
        self.log.borrow_mut().push(format!("rest {}", time.as_secs_f64()));
    }

    fn tell(&mut self, news: &News<'_>) {
        if let News::Saved(results) = news {
            assert!(!results.complete);
            self.saved += 1;
        }
    }
}

struct Scripted {
    name: String,
    log: Log,
    steps: VecDeque<Step>,
    version: &'static str,
    cpu_seconds: f64,
}

impl Runner for Scripted {
    fn ask(&mut self, request: &Request, limit: Duration) -> Result<(Reply, Duration), Failure> {
        assert_eq!(limit, Duration::from_secs(600));
        let (what, reply, took) = match request {
            Request::Hello { .. } => {
                let identity = serde_json::json!({"protocol": 1, "implementation": "x", "version": self.version});
                (
                    "hello".into(),
                    Reply::Hello(serde_json::from_value(identity).unwrap()),
                    0.5,
                )
            }
            Request::Audio(audio) => (
                format!("audio {}", audio.audio),
                Reply::Audio { audio: audio.audio },
                0.1,
            ),
            Request::Load(_) => {
                let loaded = Loaded {
                    seconds: 1.0,
                    ..Loaded::default()
                };
                ("load".into(), Reply::Load(loaded), 1.25)
            }
            &Request::Transcribe { audio } => {
                let step = if self.steps.len() > 1 {
                    self.steps.pop_front()
                } else {
                    self.steps.front().cloned()
                };
                let what = format!("run {audio}");
                match step.unwrap() {
                    Fails(kind) => {
                        self.log.borrow_mut().push(format!("{}: {what} fails", self.name));
                        return Err(Failure::new(kind, "as scripted"));
                    }
                    Hears(seconds, text) => {
                        self.cpu_seconds += 2.0 * seconds;
                        let heard = Heard {
                            audio,
                            seconds: seconds / 2.0,
                            text: text.into(),
                            ..Heard::default()
                        };
                        (what, Reply::Transcribe(heard), seconds)
                    }
                }
            }
            Request::Bye => unreachable!("the runner of the bench drops its children"),
        };
        self.log.borrow_mut().push(format!("{}: {what}", self.name));
        Ok((reply, Duration::from_secs_f64(took)))
    }

    fn usage(&self) -> Usage {
        Usage {
            cpu_seconds: self.cpu_seconds,
            peak_bytes: 1000,
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.log.borrow_mut().push(format!("{}: bye", self.name));
    }
}

fn settings() -> Settings {
    Settings {
        runs: Some(2),
        min_runs: 5,
        min_seconds: 3.0,
        max_seconds: 60.0,
        warmup: 1,
        cool_down: 0.0,
        timeout: 600.0,
        interleaved: true,
        seed: 0,
        threads: 2,
        wer_margin: 1.0,
    }
}

fn plan(settings: Settings, implementations: &[&str], recordings: usize) -> Plan {
    let sound = |audio| Sound {
        recording: Recording {
            name: format!("{audio}.wav"),
            seconds: 10.0,
            sha256: String::new(),
            language: Some("en".into()),
            reference: None,
        },
        reference: Some(Reference {
            text: "the quick brown fox".into(),
            language: "en".into(),
        }),
        announced: Audio {
            audio,
            path: "x".into(),
            samples: 160_000,
            language: Some("en".into()),
        },
    };
    let candidate = |name: &&str| Candidate {
        implementation: (*name).into(),
        model: "base".into(),
        ready: Ok((
            Start {
                program: "x".into(),
                arguments: Vec::new(),
                environment: Vec::new(),
            },
            Weights {
                name: "weights".into(),
                path: None,
                fallback: false,
            },
        )),
    };
    Plan {
        settings,
        sounds: (0..recordings).map(sound).collect(),
        candidates: implementations.iter().map(candidate).collect(),
    }
}

/// Runs a plan with the children of each implementation; what came of it, and what happened.
fn measure(plan: &Plan, children: &[(&'static str, &[&[Step]])]) -> (Results, Vec<String>) {
    let log = Log::default();
    let mut script = Script {
        log: Rc::clone(&log),
        children: children
            .iter()
            .map(|(name, all)| (*name, all.iter().map(|steps| steps.to_vec()).collect()))
            .collect(),
        version: "1.0",
        saved: 0,
    };
    let results = run(plan, Machine::default(), "now".into(), &mut script);
    assert!(results.complete);
    drop(script);
    (results, log.take())
}

fn seconds(results: &Results, entry: usize, recording: usize) -> Vec<f64> {
    results.entries[entry].rows[recording].seconds()
}

#[test]
fn times_are_those_of_the_clock_and_the_first_run_does_not_count() {
    let steps = [
        Hears(9.0, "the"),
        Hears(2.0, "the quick"),
        Hears(4.0, "the quick brown"),
    ];
    let (results, log) = measure(&plan(settings(), &["a"], 1), &[("a", &[&steps])]);
    assert_eq!(
        log,
        [
            "a: hello",
            "a: audio 0",
            "a: load",
            "a: run 0",
            "a: run 0",
            "a: run 0",
            "a: bye"
        ]
    );
    let entry = &results.entries[0];
    assert_eq!((entry.start_seconds, entry.load_seconds), (Some(0.5), Some(1.25)));
    assert_eq!(entry.loaded.as_ref().unwrap().seconds, 1.0);
    assert_eq!(entry.first_run.as_ref().unwrap().seconds, 9.0);
    assert_eq!(entry.peak_memory_bytes, Some(1000));
    let row = &entry.rows[0];
    assert_eq!((row.warmups.len(), row.warmups[0].seconds), (1, 9.0));
    assert_eq!(row.seconds(), [2.0, 4.0]);
    assert_eq!((row.runs[1].inside_seconds, row.runs[1].cpu_seconds), (2.0, Some(8.0)));
    let time = row.time.unwrap();
    assert_eq!((time.median, time.interval.low, time.interval.high), (3.0, 2.0, 4.0));
    assert_eq!(time.interval.kind, IntervalKind::Range);
    // the answer is checked, too: that of the last run
    assert_eq!(row.text.as_deref(), Some("the quick brown"));
    assert!(row.texts_differ && row.warnings.iter().any(|warning| warning.contains("same text")));
    assert_eq!(row.accuracy.unwrap().words.rate(), Some(0.25));
}

#[test]
fn without_a_number_of_runs_there_are_enough_and_not_too_many() {
    let runs = |seconds: f64| {
        let plan = plan(
            Settings {
                runs: None,
                ..settings()
            },
            &["a"],
            1,
        );
        measure(&plan, &[("a", &[&[Hears(seconds, "x")]])]).0.entries[0].rows[0]
            .runs
            .len()
    };
    assert_eq!(runs(0.1), 30); // 3 s
    assert_eq!(runs(0.9), 5);
    assert_eq!(runs(11.0), 5); // at 60 s there are more than three already
    assert_eq!(runs(25.0), 3);
    assert_eq!(runs(1e-6), MOST);
}

#[test]
fn the_limit_of_an_entry_counts_all_of_its_recordings() {
    let plan = plan(
        Settings {
            runs: None,
            ..settings()
        },
        &["a"],
        4,
    );
    let (results, _) = measure(&plan, &[("a", &[&[Hears(6.0, "x")]])]);
    let runs: Vec<usize> = results.entries[0].rows.iter().map(|row| row.runs.len()).collect();
    assert_eq!(runs, [3; 4]); // 72 s
}

#[test]
fn runs_take_turns_in_an_order_that_is_drawn_anew() {
    let plan = plan(
        Settings {
            runs: Some(20),
            ..settings()
        },
        &["a", "b"],
        1,
    );
    let steps: &[&[Step]] = &[&[Hears(1.0, "x")]];
    let (_, log) = measure(&plan, &[("a", steps), ("b", steps)]);
    let runs: Vec<&str> = log
        .iter()
        .filter(|what| what.ends_with("run 0"))
        .map(|what| &what[..1])
        .collect();
    assert_eq!(runs.len(), 42);
    for round in runs.chunks(2) {
        assert_ne!(round[0], round[1], "{runs:?}");
    }
    let a_first = runs.chunks(2).filter(|round| round[0] == "a").count();
    assert!((4..18).contains(&a_first), "{runs:?}");
    assert_eq!(log, measure(&plan, &[("a", steps), ("b", steps)]).1, "the seed decides");
}

#[test]
fn one_after_the_other_where_asked() {
    let plan = plan(
        Settings {
            interleaved: false,
            cool_down: 2.0,
            ..settings()
        },
        &["a", "b"],
        1,
    );
    let steps: &[&[Step]] = &[&[Hears(1.0, "x")]];
    let (_, log) = measure(&plan, &[("a", steps), ("b", steps)]);
    let of = |name: &str| {
        let what = ["hello", "audio 0", "load"].map(|what| format!("{name}: {what}"));
        let run = || ["rest 2".to_owned(), format!("{name}: run 0")];
        [&what[..], &run(), &run(), &run(), &[format!("{name}: bye")]].concat()
    };
    assert_eq!(log, [of("a"), of("b")].concat());
}

#[test]
fn models_of_one_size_take_turns_and_others_do_not() {
    let mut plan = plan(settings(), &["a", "b", "c", "d"], 1);
    for (candidate, model) in plan.candidates.iter_mut().zip(["bundled", "tiny", "base", "large"]) {
        candidate.model = model.into();
    }
    assert_eq!(blocks(&plan), [vec![0, 2], vec![1], vec![3]]);
    plan.candidates[2].ready = Err(Failure::new(FailureKind::NotReady, "no"));
    assert_eq!(blocks(&plan), [vec![0], vec![1], vec![3]]);
}

#[test]
fn a_refusal_is_a_row_and_the_child_goes_on() {
    let steps = [Hears(1.0, "x"), Fails(FailureKind::Refused), Hears(2.0, "x")];
    let (results, log) = measure(&plan(settings(), &["a"], 2), &[("a", &[&steps])]);
    let rows = &results.entries[0].rows;
    let failed: Vec<bool> = rows.iter().map(|row| row.failure.is_some()).collect();
    assert!(failed == [true, false] || failed == [false, true]);
    let whole = rows.iter().find(|row| row.failure.is_none()).unwrap();
    assert_eq!(whole.seconds(), [2.0, 2.0]);
    assert_eq!(log.iter().filter(|what| *what == "a: hello").count(), 1);
    assert!(results.entries[0].obstacle().is_some());
}

#[test]
fn after_a_crash_another_child_measures_the_other_rows() {
    // the first child dies in the warm-up of whichever recording comes second
    let first = [Hears(1.0, "x"), Fails(FailureKind::Killed)];
    let second = [Hears(9.0, "x"), Hears(2.0, "x")];
    let (results, log) = measure(
        &plan(settings(), &["a", "b"], 2),
        &[("a", &[&first, &second]), ("b", &[&[Hears(1.0, "x")]])],
    );
    let rows = &results.entries[0].rows;
    let dead = rows.iter().position(|row| row.failure.is_some()).unwrap();
    assert_eq!(rows[dead].failure.as_ref().unwrap().kind, FailureKind::Killed);
    assert_eq!(
        rows[1 - dead].seconds(),
        [2.0, 2.0],
        "the first run of the new child, 9 s, must not count"
    );
    assert_eq!(log.iter().filter(|what| *what == "a: hello").count(), 2);
    assert_eq!(results.entries[0].failure, None);
    // and the rest goes on
    assert_eq!(
        (seconds(&results, 1, 0), seconds(&results, 1, 1)),
        (vec![1.0; 2], vec![1.0; 2])
    );
}

#[test]
fn who_cannot_be_started_again_has_failed_as_a_whole() {
    let steps = [Hears(1.0, "x"), Fails(FailureKind::Ended)];
    let (results, _) = measure(&plan(settings(), &["a"], 2), &[("a", &[&steps])]);
    assert_eq!(
        results.entries[0].failure.as_ref().unwrap().kind,
        FailureKind::NotStarted
    );
}

#[test]
fn a_runner_without_a_version_is_not_measured() {
    let plan = plan(settings(), &["a"], 1);
    let log = Log::default();
    let steps = VecDeque::from([vec![Hears(1.0, "x")]]);
    let mut script = Script {
        log: Rc::clone(&log),
        children: vec![("a", steps)],
        version: " ",
        saved: 0,
    };
    let results = run(&plan, Machine::default(), "now".into(), &mut script);
    assert!(results.entries[0].failure.as_ref().unwrap().message.contains("version"));
    assert_eq!(*log.borrow(), ["a: hello", "a: bye"]);
    assert_eq!(script.saved, 1);
}

#[test]
fn what_is_not_ready_is_a_row_with_the_reason() {
    let mut plan = plan(settings(), &["a"], 1);
    plan.candidates[0].ready = Err(Failure::new(FailureKind::NotReady, "not installed"));
    let (results, log) = measure(&plan, &[]);
    assert_eq!(results.entries[0].failure.as_ref().unwrap().message, "not installed");
    assert!(log.is_empty());
}

#[test]
fn replies_must_be_plausible() {
    let second = Duration::from_secs(1);
    let heard_of = |audio, inside| {
        heard(
            (
                Reply::Transcribe(Heard {
                    audio,
                    seconds: inside,
                    ..Heard::default()
                }),
                second,
            ),
            1,
        )
    };
    assert!(heard_of(1, 1.0).is_ok() && heard_of(1, 0.0).is_ok());
    for (audio, inside, why) in [
        (1, 1.1, "1.1 s"),
        (1, -0.1, "-0.1 s"),
        (1, f64::NAN, "NaN"),
        (2, 0.5, "audio 1"),
    ] {
        let failure = heard_of(audio, inside).unwrap_err();
        assert!(
            failure.kind == FailureKind::Protocol && failure.message.contains(why),
            "{failure}"
        );
    }
    let identity = serde_json::json!({"protocol": 2, "implementation": "x", "version": "1"});
    let hello = Reply::Hello(serde_json::from_value(identity).unwrap());
    assert!(identify((hello, second)).unwrap_err().message.contains("protocol 2"));
    assert!(loaded((Reply::Audio { audio: 0 }, second)).is_err());
}
