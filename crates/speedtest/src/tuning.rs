//! Which way to compute on MLX is the fastest here: the ways that `benchmark --tune` compares, and what is kept of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use mlx::{Device, Enabled};
use serde::{Deserialize, Serialize};
use whisper::weights::{Checkpoint, Float};

use crate::accuracy::Accuracy;
use crate::bench::measurement::{Entry, Results};
use crate::bench::ranking;
use crate::{device, files, model_names};

/// A way to compute on MLX: the usual one, or that with one thing changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    /// What is taken where nothing was measured.
    #[default]
    Usual,
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// 16-bit floats of less precision and more range.
    Bf16,
    /// Quantized weights as they are.
    Packed,
    /// Quantized weights unpacked when they are loaded.
    Unpacked,
    /// Each element-wise operation by itself.
    Uncompiled,
    /// Windows are begun and not waited for.
    Pipelined,
    /// Eight windows at once. Measured where a recording is long; never kept, since it may change the text.
    Batch8,
}

/// The fastest of what was measured with a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fastest {
    /// The processor, not MLX.
    pub(crate) on_processor: bool,
    /// The fastest on MLX.
    pub(crate) way: Way,
}

/// What is kept, of one MLX on one machine with one version of this program.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    version: String,
    mlx: serde_json::Value,
    /// By [`key`].
    models: BTreeMap<String, Fastest>,
}

impl Way {
    /// `options` with this way's change.
    pub(crate) fn of(self, options: mlx::Options) -> mlx::Options {
        let float = |float| mlx::Options {
            float: Some(float),
            ..options
        };
        match self {
            Way::Usual | Way::Batch8 => options,
            Way::F32 => float(Float::F32),
            Way::F16 => float(Float::F16),
            Way::Bf16 => float(Float::Bf16),
            Way::Packed | Way::Unpacked => mlx::Options {
                packed: Some(self == Way::Packed),
                ..options
            },
            Way::Uncompiled => mlx::Options {
                compiled: Some(false),
                ..options
            },
            Way::Pipelined => mlx::Options {
                pipelined: Some(true),
                ..options
            },
        }
    }

    /// Whether it changes more than the type of floats, which is told anyway.
    pub(crate) fn is_no_float(self) -> bool {
        !matches!(self, Way::Usual | Way::F32 | Way::F16 | Way::Bf16)
    }

    /// Windows decoded at once.
    pub(crate) fn batch(self) -> Option<NonZeroUsize> {
        (self == Way::Batch8).then(|| NonZeroUsize::new(8)).flatten()
    }

    /// As on the command line: `bf16`.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or(String::new(), |value| value.get_name().to_owned())
    }

    /// What the row of it is called: `native-mlx`, `native-mlx+f32`.
    pub(crate) fn row(self) -> String {
        match self {
            Way::Usual => "native-mlx".into(),
            way => format!("native-mlx+{}", way.name()),
        }
    }

    /// The way that a row stands for; `None`: not one of ours on MLX.
    fn of_entry(entry: &Entry) -> Option<Way> {
        match entry.implementation.strip_prefix("native-mlx")? {
            "" => Some(Way::Usual),
            way => Way::from_str(way.strip_prefix('+')?, false).ok(),
        }
    }
}

/// The ways that are others than the usual one, for a checkpoint on a device.
pub(crate) fn ways(checkpoint: &Checkpoint, device: Device, is_long: bool) -> Vec<Way> {
    let of = |way: Way| way.of(mlx::Options::default()).settled(checkpoint, device);
    let usual = of(Way::Usual);
    let may = |way: &Way| match way {
        Way::Usual => false,
        Way::Batch8 => is_long,
        way => of(*way) != usual,
    };
    Way::value_variants().iter().copied().filter(may).collect()
}

/// The fastest by these results, as far as they tell: who is to take another's place is faster by an interval that does not hold
/// 1, and no worse in words. `None` where the usual way on MLX was not measured.
pub(crate) fn fastest<'a>(entries: impl Iterator<Item = &'a Entry> + Clone, margin: f64) -> Option<Fastest> {
    let whole = entries.filter(|entry| entry.obstacle().is_none() && entry.rows.iter().all(|row| row.time.is_some()));
    let mut best = whole.clone().find(|entry| Way::of_entry(entry) == Some(Way::Usual))?;
    let limit = errors(best).map(|rate| rate + margin / 100.0);
    let mut way = Way::Usual;
    let is_better = |entry: &Entry, than: &Entry| {
        let is_right = errors(entry).zip(limit).is_none_or(|(rate, limit)| rate <= limit);
        let ratio = ranking::ratio(entry, than).filter(|ratio| ratio.times > 1.0 && ratio.is_significant());
        is_right && ratio.is_some()
    };
    for entry in whole.clone() {
        let of_entry = Way::of_entry(entry).filter(|way| *way != Way::Batch8);
        if let Some(found) = of_entry.filter(|_| is_better(entry, best)) {
            (best, way) = (entry, found);
        }
    }
    let mut processor = whole.filter(|entry| entry.implementation == "native");
    Some(Fastest {
        on_processor: processor.any(|entry| is_better(entry, best)),
        way,
    })
}

/// Word errors by word, where it is known what was said.
fn errors(entry: &Entry) -> Option<f64> {
    let accuracy: Option<Accuracy> = entry.rows.iter().filter_map(|row| row.accuracy).reduce(|a, b| a + b);
    accuracy?.words.rate()
}

/// Keeps what `results` say of each model, and gives it in words, a line each. `weights` are the folders of the entries.
///
/// # Errors
/// MLX is not ready any more; the file cannot be written.
pub(crate) fn keep(results: &Results, weights: &[Option<PathBuf>]) -> anyhow::Result<Vec<String>> {
    let enabled = device::enabled().context("MLX is not ready any more")?;
    let mut kept = read(&enabled).unwrap_or_else(|| Kept::of(&enabled));
    let keys: Vec<String> = weights.iter().map(|folder| key(folder.as_deref())).collect();
    let mut said = Vec::new();
    for of_model in keys.iter().collect::<BTreeSet<_>>() {
        let entries = results
            .entries
            .iter()
            .zip(&keys)
            .filter(|(_, key)| *key == of_model)
            .map(|(entry, _)| entry);
        let Some(fastest) = fastest(entries.clone(), results.settings.wer_margin) else {
            continue;
        };
        let model = entries.clone().next().map_or("", |entry| &entry.model);
        let measured_both = entries.clone().any(|entry| entry.implementation == "native");
        said.push(words(model, fastest, measured_both, enabled.about.device));
        kept.models.insert(of_model.clone(), fastest);
    }
    let path = place().context("no folder for a cache: set HOME or XDG_CACHE_HOME")?;
    files::write_whole(&path, &serde_json::to_string_pretty(&kept)?)
        .with_context(|| format!("{}: cannot be written", path.display()))?;
    Ok(said)
}

fn words(model: &str, fastest: Fastest, measured_both: bool, device: Device) -> String {
    let way = match fastest.way {
        Way::Usual => format!("{model}: no way on MLX is surely faster than the usual one, which stays"),
        way => format!(
            "{model}: on MLX {} is kept, surely faster than the usual way",
            way.name()
        ),
    };
    let which = match (device, measured_both, fastest.on_processor) {
        (Device::Cpu, ..) => "auto never takes MLX on a processor",
        (_, false, _) => "auto takes MLX, since native was not measured",
        (_, true, true) => "auto takes the processor, which is faster",
        (_, true, false) => "auto takes MLX",
    };
    format!("{way}; --device {which}")
}

/// What was kept of the weights in a folder (`None`: those in the program), if MLX and this program are still the same.
pub(crate) fn known(folder: Option<&Path>) -> Option<Fastest> {
    read(&device::enabled()?)?.models.remove(&key(folder))
}

impl Kept {
    fn of(enabled: &Enabled) -> Kept {
        Kept {
            version: env!("CARGO_PKG_VERSION").into(),
            mlx: serde_json::to_value(enabled).unwrap_or_default(),
            models: BTreeMap::new(),
        }
    }
}

fn read(enabled: &Enabled) -> Option<Kept> {
    let kept: Kept = serde_json::from_str(&fs::read_to_string(place()?).ok()?).ok()?;
    let now = Kept::of(enabled);
    (kept.version == now.version && kept.mlx == now.mlx).then_some(kept)
}

fn place() -> Option<PathBuf> {
    Some(files::cache_folder()?.join("tuned.json"))
}

/// Weights by their folder, or the name of those in the program.
fn key(folder: Option<&Path>) -> String {
    folder.map_or(model_names::DEFAULT.to_owned(), |folder| {
        let real = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        real.display().to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measurement::{Row, Run};
    use crate::bench::stats::Summary;

    /// An entry that took about so many seconds, eight times, with so many word errors of ten.
    fn entry(implementation: &str, seconds: f64, errors: u64) -> Entry {
        let took: Vec<f64> = (0..8).map(|i| seconds * (1.0 + 0.001 * f64::from(i))).collect();
        let run = |&seconds: &f64| Run {
            seconds,
            ..Run::default()
        };
        let edits = serde_json::json!({"substitutions": errors, "deletions": 0, "insertions": 0, "reference": 10});
        let row = Row {
            runs: took.iter().map(run).collect(),
            time: Summary::of(&took),
            accuracy: serde_json::from_value(serde_json::json!({"words": edits, "characters": edits})).unwrap(),
            ..Row::default()
        };
        let entry = serde_json::json!({
            "implementation": implementation, "model": "base", "weights": "", "fallback": false, "rows": [],
        });
        let entry: Entry = serde_json::from_value(entry).unwrap();
        Entry {
            rows: vec![row],
            ..entry
        }
    }

    #[test]
    fn who_is_surely_faster_and_no_worse_is_kept() {
        let of = |entries: &[Entry]| fastest(entries.iter(), 1.0);
        let usual = entry("native-mlx", 1.0, 1);
        let found = |on_processor, way| Some(Fastest { on_processor, way });

        assert_eq!(of(&[entry("native", 1.0, 1)]), None, "nothing on MLX");
        assert_eq!(of(std::slice::from_ref(&usual)), found(false, Way::Usual));
        let ways = [entry("native-mlx+f32", 0.9, 1), entry("native-mlx+bf16", 0.8, 1)];
        assert_eq!(of(&[&[usual.clone()][..], &ways].concat()), found(false, Way::Bf16));
        let hasty = entry("native-mlx+f16", 0.5, 3);
        assert_eq!(
            of(&[usual.clone(), hasty]),
            found(false, Way::Usual),
            "more word errors"
        );
        let batch = entry("native-mlx+batch8", 0.2, 1);
        assert_eq!(of(&[usual.clone(), batch]), found(false, Way::Usual), "another text");
        let equal = entry("native-mlx+f16", 0.9999, 1);
        assert_eq!(of(&[usual.clone(), equal]), found(false, Way::Usual), "as fast");
        let mut few = entry("native-mlx+f16", 0.5, 1);
        few.rows[0].runs.truncate(7);
        assert_eq!(of(&[usual.clone(), few]), found(false, Way::Usual), "too few runs");

        assert_eq!(of(&[usual.clone(), entry("native", 0.5, 1)]), found(true, Way::Usual));
        assert_eq!(of(&[usual, entry("native", 1.5, 1)]), found(false, Way::Usual));
    }

    /// What a device does by itself is not tried again.
    #[test]
    fn ways_differ_from_the_usual_one() {
        let of = |form, device| {
            let checkpoint = mlx::network::checkpoint(form).unwrap();
            let names: Vec<String> = ways(&checkpoint, device, false).into_iter().map(Way::name).collect();
            names.join(" ")
        };
        let packed = mlx::network::Form::Packed { bits: 4, group: 64 };
        assert_eq!(of(packed, Device::Metal), "f32 bf16 unpacked uncompiled pipelined");
        assert_eq!(of(packed, Device::Cpu), "f16 bf16 packed pipelined");
        assert_eq!(
            of(mlx::network::Form::Dense, Device::Metal),
            "f32 bf16 uncompiled pipelined"
        );
        let checkpoint = mlx::network::checkpoint(packed).unwrap();
        assert!(ways(&checkpoint, Device::Cpu, true).contains(&Way::Batch8));
    }
}
