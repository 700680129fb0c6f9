use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::basic::{basic, letters};
use super::english::english;
use super::*;

#[derive(Deserialize)]
struct Case {
    text: String,
    english: String,
    basic: Option<String>,
    letters: Option<String>,
}

fn cases(path: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(path).unwrap();
    text.split_terminator('\n')
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn check(cases: &[Case]) {
    let mut wrong = Vec::new();
    for case in cases {
        let forms = [
            (english as fn(&str) -> String, Some(&case.english)),
            (basic, case.basic.as_ref()),
            (letters, case.letters.as_ref()),
        ];
        for (form, expected) in forms {
            if let Some(expected) = expected
                && form(&case.text) != *expected
            {
                wrong.push(format!(
                    "{:?}: expected {expected:?}, found {:?}",
                    case.text,
                    form(&case.text)
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
}

fn shared(test: &str, file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(file);
    if !path.exists() {
        writeln!(std::io::stderr(), "skipped: {test}: ../shared/{file} is absent").unwrap();
        return None;
    }
    Some(path)
}

#[test]
fn normalisers_are_openais() {
    let cases = cases(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/normalizer/cases.jsonl"));
    assert!(cases.len() >= 3000);
    check(&cases);
}

#[test]
fn normalisers_are_openais_on_recordings() {
    if let Some(path) = shared(
        "normalisers_are_openais_on_recordings",
        "golden/normalizer/normalizer.jsonl",
    ) {
        check(&cases(&path));
    }
}

#[test]
fn mlx_whispers_errors_on_the_development_set() {
    #[derive(Deserialize)]
    struct Line {
        file: String,
        text: String,
    }
    let test = "mlx_whispers_errors_on_the_development_set";
    let Some(manifest) = shared(test, "audio/dev/manifest.tsv") else {
        return;
    };
    let Some(transcripts) = shared(test, "golden/transcripts/whisper-tiny.en-mlx.jsonl") else {
        return;
    };
    let references = References::read(&manifest, "en").unwrap();
    let transcripts = std::fs::read_to_string(transcripts).unwrap();
    let mut total = Accuracy::default();
    for line in transcripts.lines() {
        let line: Line = serde_json::from_str(line).unwrap();
        if let Some(reference) = references.of(Path::new(&line.file)) {
            assert_eq!(reference.language, "en");
            total = total + accuracy(reference, &line.text).unwrap();
        }
    }
    assert_eq!((total.words.total(), total.words.reference), (204, 2230));
}

fn errors(substitutions: u64, deletions: u64, insertions: u64, reference: u64) -> Errors {
    Errors {
        substitutions,
        deletions,
        insertions,
        reference,
    }
}

fn of_words(reference: &str, text: &str) -> Errors {
    let [reference, text] =
        [reference, text].map(|text| text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>());
    align::errors(&reference, &text).unwrap()
}

#[test]
fn edits_are_counted() {
    assert_eq!(of_words("a b c", "a b c"), errors(0, 0, 0, 3));
    assert_eq!(of_words("a b c", "a x c"), errors(1, 0, 0, 3));
    assert_eq!(of_words("a b c", "a c"), errors(0, 1, 0, 3));
    assert_eq!(of_words("a b c", "a b x c"), errors(0, 0, 1, 3));
    assert_eq!(of_words("a b c", ""), errors(0, 3, 0, 3));
    assert_eq!(of_words("", "a b"), errors(0, 0, 2, 0));
    assert_eq!(of_words("", "").rate(), None);
    assert_eq!(of_words("a b c d", "x a b d y z").rate(), Some(1.0));
    assert_eq!(of_words("a b", "x y"), errors(2, 0, 0, 2)); // not two deletions and two insertions
}

/// Against the whole table, on random sequences of few words, which have many best ways.
#[test]
fn the_band_is_wide_enough() {
    let mut seed = 7_u64;
    let mut random = |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for _ in 0..300 {
        let (n, m, words) = (random(150), random(150), 2 + random(6));
        let reference: Vec<u64> = (0..n).map(|_| random(words)).collect();
        let found: Vec<u64> = (0..m).map(|_| random(words)).collect();
        let counted = align::errors(&reference, &found).unwrap();
        assert_eq!(counted.total(), distance(&reference, &found));
        assert_eq!(counted.insertions + n, counted.deletions + m);
    }
}

fn distance(left: &[u64], right: &[u64]) -> u64 {
    let mut table = vec![vec![0; right.len() + 1]; left.len() + 1];
    for i in 0..=left.len() {
        for j in 0..=right.len() {
            table[i][j] = if i == 0 || j == 0 {
                (i + j) as u64
            } else {
                let replaced = table[i - 1][j - 1] + u64::from(left[i - 1] != right[j - 1]);
                replaced.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1)
            };
        }
    }
    table[left.len()][right.len()]
}

#[test]
fn long_texts_take_time_by_their_errors_and_hostile_ones_are_refused() {
    let long: Vec<u32> = (0..1_000_000).collect();
    let mut found = long.clone();
    found.remove(500_000);
    found[10] = 0;
    assert_eq!(align::errors(&long, &found).unwrap(), errors(1, 1, 0, 1_000_000));
    let unlike: Vec<u32> = (2_000_000..3_000_000).collect();
    assert!(align::errors(&long, &unlike).is_err());
}

#[test]
fn characters_count_spaces_between_words_where_there_are_such() {
    let score = |language: &str, reference: &str, text: &str| {
        let reference = Reference {
            text: reference.to_owned(),
            language: language.to_owned(),
        };
        accuracy(&reference, text).unwrap()
    };
    let english = score("en", "Two colours, Mr. Fox!", "2 colors mister foxes");
    assert_eq!(english.words, errors(1, 0, 0, 4));
    assert_eq!(english.characters, errors(0, 0, 2, 19));
    let japanese = score("ja", "東京は 晴れ。", "東京 は雨れ");
    assert_eq!(japanese.words, errors(1, 0, 0, 5));
    assert_eq!(japanese.characters, japanese.words);
    assert_eq!(
        score("de", "Über den Bach", "über denn Bach.").words,
        errors(1, 0, 0, 3)
    );
}

#[test]
fn a_manifest_is_read_by_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    let read = |text: &str| {
        let path = folder.path().join("m.tsv");
        std::fs::write(&path, text).unwrap();
        References::read(&path, "en")
    };
    let table = "\u{feff}note\tfile\tlanguage\tin_wer\tref_quality\treference\r\n\
        \ta.flac\tde\tyes\tofficial\tguten Tag\r\n\
        \tb.flac\tde\tno\tofficial\tx\r\n\
        \tc.flac\tde\tyes\tmachine\tx\r\n";
    let references = read(table).unwrap();
    let known: BTreeMap<_, _> = ["a", "b", "c"]
        .into_iter()
        .filter_map(|name| Some((name, references.of(Path::new(&format!("x/{name}.flac")))?)))
        .collect();
    let reference = Reference {
        text: "guten Tag".to_owned(),
        language: "de".to_owned(),
    };
    assert_eq!(known, BTreeMap::from([("a", &reference)]));

    let plain = read("ask not\nwhat").unwrap();
    assert_eq!(plain.of(Path::new("any.wav")).unwrap().text, "ask not\nwhat");
    assert_eq!(plain.of(Path::new("any.wav")).unwrap().language, "en");

    let problem = |text: &str| format!("{:#}", read(text).unwrap_err());
    assert!(problem("file\treference\na.flac\n").ends_with("line 2 has 1 cells, the first line has 2"));
    assert!(problem("file\treference\na\tx\na\ty\n").ends_with("line 3: a stands in the table twice"));
    assert!(References::read(&folder.path().join("none"), "en").is_err());
}
