//! One page that needs nothing else: no script, no font, no picture from anywhere.

mod chart;

use std::collections::BTreeSet;

use self::chart::{Bar, Point};
use super::escape::html as escaped;
use super::words;
use crate::bench::measurement::{Entry, Results, Row};
use crate::bench::ranking::{self, Ranking, Standing, State};

/// A browser is forbidden to fetch anything, whatever a name or a text may say.
const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
<link rel=\"icon\" href=\"data:,\">\n<title>Whisper speed test</title>\n";

pub(super) fn render(results: &Results) -> String {
    let mut page = format!("{HEAD}<style>\n{}</style>\n<main>\n", include_str!("html/style.css"));
    page += "<h1>Which Whisper is fastest here?</h1>\n";
    page += &format!("<p>{}</p>\n", escaped(&results.machine.in_a_line()));
    page += &format!(
        "<p class=\"soft\">{}; {}</p>\n",
        escaped(&words::heard(results)),
        escaped(&results.started)
    );
    if !results.complete {
        page += "<p class=\"warning\">Not finished: some rows are missing.</p>\n";
    }
    for warning in &results.warnings {
        page += &format!("<p class=\"warning\">{}</p>\n", escaped(warning));
    }
    for ranking in ranking::rank(results) {
        page += &section(&ranking, results);
    }
    page += &texts(results);
    page += &format!(
        "<footer><p>{}.</p><p>Measured by whisper-speedtest {}, each implementation in a process of its own, \
         greedy decoding at temperature 0.</p></footer>\n</main>\n</html>\n",
        escaped(&words::legend(results)),
        escaped(&results.version)
    );
    page
}

/// The entries of one size: what can be said, the figures, the charts.
fn section(ranking: &Ranking<'_>, results: &Results) -> String {
    let mut section = format!("<section>\n<h2>{}</h2>\n", escaped(ranking.size));
    if !ranking.verdicts.is_empty() {
        let sentences = ranking
            .verdicts
            .iter()
            .map(|verdict| format!("<p>{}</p>", escaped(verdict)));
        section += &format!("<div class=\"verdict\">{}</div>\n", sentences.collect::<String>());
    }
    section += &charts(ranking, results);
    section += &table(ranking);
    section += &remarks(ranking, results);
    section + "</section>\n"
}

fn charts(ranking: &Ranking<'_>, results: &Results) -> String {
    let measured: Vec<&Standing<'_>> = ranking
        .standings
        .iter()
        .filter(|standing| standing.seconds.is_some())
        .collect();
    let is_single = results.recordings.len() == 1;
    let time = measured
        .iter()
        .map(|standing| time_bar(standing, ranking.winner(), is_single))
        .collect::<Vec<_>>();
    let memory = measured
        .iter()
        .filter_map(|standing| memory_bar(standing))
        .collect::<Vec<_>>();
    let cold = measured
        .iter()
        .filter_map(|standing| cold_bar(standing))
        .collect::<Vec<_>>();
    let accuracy = measured
        .iter()
        .filter_map(|standing| point(standing, ranking.winner()))
        .collect::<Vec<_>>();
    let stages = stages(&measured);

    let dots = if is_single {
        "dots: each run"
    } else {
        "the sum over all recordings"
    };
    let mut cards = vec![
        card(
            "Time",
            &format!("Shorter is better. Bar: median; bracket: interval; {dots}."),
            &chart::bars(&time),
            time.is_empty(),
        ),
        card(
            "Speed and word error rate",
            "Best is at the bottom right: fast and right.",
            &chart::plane(&accuracy, "seconds of audio a second", "word error rate, %"),
            accuracy.len() < 2,
        ),
        card(
            "Memory",
            "The most that all of its processes held.",
            &chart::bars(&memory),
            memory.is_empty(),
        ),
    ];
    let colours: Vec<(String, String)> = ["start of the program", "load", "first run"]
        .iter()
        .zip(0..)
        .map(|(name, n)| ((*name).to_owned(), colour(n)))
        .collect();
    let first = format!("{}{}", chart::bars(&cold), chart::key(&colours));
    cards.push(card(
        "From cold to the first text",
        "What one recording costs who starts it afresh.",
        &first,
        cold.is_empty(),
    ));
    if let Some((bars, key)) = stages {
        let drawing = format!("{}{}", chart::bars(&bars), chart::key(&key));
        cards.push(card(
            "Stages",
            "Where the time goes, as the implementations say.",
            &drawing,
            false,
        ));
    }
    format!("<div class=\"charts\">\n{}</div>\n", cards.concat())
}

fn card(title: &str, explanation: &str, drawing: &str, is_empty: bool) -> String {
    if is_empty {
        return String::new();
    }
    format!("<div class=\"card\"><h3>{title}</h3><p>{explanation}</p>\n{drawing}</div>\n")
}

/// Green for the winner, grey for who is not ranked.
fn class_of(standing: &Standing<'_>, winner: Option<&Standing<'_>>) -> &'static str {
    match standing.state {
        State::Ranked if winner.is_some_and(|winner| std::ptr::eq(standing, winner)) => "winner",
        State::Ranked => "fill",
        _ => "muted",
    }
}

fn time_bar(standing: &Standing<'_>, winner: Option<&Standing<'_>>, is_single: bool) -> Bar {
    let seconds = standing.seconds.unwrap_or_default();
    let speed = standing
        .speed
        .map_or(String::new(), |speed| format!(" ({}x)", words::amount(speed)));
    let runs = standing.entry.rows.iter().flat_map(|row| row.seconds());
    Bar {
        name: standing.name(),
        figure: words::time(seconds) + &speed,
        parts: vec![(seconds, class_of(standing, winner).into())],
        interval: standing.interval.map(|interval| (interval.low, interval.high)),
        dots: if is_single { runs.collect() } else { Vec::new() },
    }
}

fn memory_bar(standing: &Standing<'_>) -> Option<Bar> {
    let bytes = standing.entry.peak_memory_bytes?;
    #[expect(clippy::cast_precision_loss, reason = "a length on the screen")]
    let length = bytes as f64;
    Some(Bar {
        name: standing.name(),
        figure: words::bytes(bytes),
        parts: vec![(length, "fill".into())],
        ..Bar::default()
    })
}

fn cold_bar(standing: &Standing<'_>) -> Option<Bar> {
    let entry = standing.entry;
    let parts = [
        entry.start_seconds?,
        entry.load_seconds?,
        entry.first_run.as_ref()?.seconds,
    ];
    Some(Bar {
        name: standing.name(),
        figure: words::time(parts.iter().sum()),
        parts: parts
            .into_iter()
            .zip(0..)
            .map(|(seconds, n)| (seconds, colour(n)))
            .collect(),
        ..Bar::default()
    })
}

fn point(standing: &Standing<'_>, winner: Option<&Standing<'_>>) -> Option<Point> {
    Some(Point {
        name: standing.name(),
        x: standing.speed?,
        y: 100.0 * standing.accuracy?.words.rate()?,
        class: class_of(standing, winner),
    })
}

/// The class of the `n`th colour of parts; they begin again after six.
fn colour(n: usize) -> String {
    format!("s{}", n % 6)
}

/// Bars of those that say how long their stages take, and the key; the order is that of the work where it is known.
fn stages(measured: &[&Standing<'_>]) -> Option<(Vec<Bar>, Vec<(String, String)>)> {
    const KNOWN: [&str; 4] = ["mel", "encode", "decode", "rest"];
    let names: BTreeSet<&str> = measured
        .iter()
        .flat_map(|standing| runs(standing.entry))
        .flat_map(|run| run.stages.keys())
        .map(String::as_str)
        .collect();
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_by_key(|name| KNOWN.iter().position(|known| known == name).unwrap_or(KNOWN.len()));
    let bar = |standing: &&Standing<'_>| {
        let median = |name: &str| standing.entry.median(|run| run.stages.get(name).copied());
        let parts: Vec<(f64, String)> = names
            .iter()
            .zip(0..)
            .filter_map(|(name, n)| Some((median(name)?, colour(n))))
            .collect();
        let sum = parts.iter().map(|(seconds, _)| seconds).sum();
        (!parts.is_empty()).then(|| Bar {
            name: standing.name(),
            figure: words::time(sum),
            parts,
            ..Bar::default()
        })
    };
    let bars: Vec<Bar> = measured.iter().filter_map(bar).collect();
    let key = names
        .iter()
        .zip(0..)
        .map(|(name, n)| ((*name).to_owned(), colour(n)))
        .collect();
    (!bars.is_empty()).then_some((bars, key))
}

fn runs(entry: &Entry) -> impl Iterator<Item = &crate::bench::measurement::Run> {
    entry.rows.iter().flat_map(|row| &row.runs)
}

fn table(ranking: &Ranking<'_>) -> String {
    let heads: String = words::COLUMNS
        .iter()
        .map(|column| format!("<th>{column}</th>"))
        .collect();
    let mut lines = String::new();
    for standing in &ranking.standings {
        let class = match standing.state {
            State::Failed(_) => "failed",
            _ if class_of(standing, ranking.winner()) == "winner" => "first",
            _ => "",
        };
        let cells = words::cells(standing);
        let cells = words::COLUMNS.iter().zip(&cells).map(|(column, cell)| {
            if cell.is_empty() {
                "<td></td>".into()
            } else {
                format!("<td data-label=\"{column}\">{}</td>", escaped(cell))
            }
        });
        lines += &format!(
            "<tr class=\"{class}\"><td>{}<small>{}</small></td>{}</tr>\n",
            escaped(&standing.name()),
            escaped(&words::identity(standing.entry)),
            cells.collect::<String>()
        );
    }
    format!(
        "<div class=\"card table\"><table><thead><tr><th>implementation, model</th>{heads}</tr></thead>\n<tbody>\n{lines}</tbody></table></div>\n"
    )
}

fn remarks(ranking: &Ranking<'_>, results: &Results) -> String {
    let mut items = String::new();
    for standing in &ranking.standings {
        let state = (standing.state != State::Ranked).then(|| standing.state.to_string());
        for remark in state.into_iter().chain(words::remarks(standing.entry, results)) {
            items += &format!("<li>{}: {}</li>\n", escaped(&standing.name()), escaped(&remark));
        }
    }
    if items.is_empty() {
        items
    } else {
        format!("<ul class=\"remarks\">\n{items}</ul>\n")
    }
}

/// What was said, and what everybody has heard.
fn texts(results: &Results) -> String {
    let mut texts = String::new();
    for (number, recording) in results.recordings.iter().enumerate() {
        let mut blocks = String::new();
        if let Some(reference) = &recording.reference {
            blocks += &quote("reference", reference);
        }
        for entry in &results.entries {
            blocks += &entry.rows.get(number).map_or(String::new(), |row| heard(entry, row));
        }
        let seconds = words::amount(recording.seconds);
        texts += &format!(
            "<details><summary>{}, {seconds} s: the texts</summary>\n{blocks}</details>\n",
            escaped(&recording.name)
        );
    }
    texts
}

/// What an entry has heard, how fast, how right.
fn heard(entry: &Entry, row: &Row) -> String {
    let time = row.time.map(|time| words::time(time.median));
    let rate = row.accuracy.and_then(|accuracy| accuracy.words.rate());
    let rate = rate.map(|rate| format!("word error rate {}", words::percent(rate)));
    let figures: Vec<String> = [ranking::name(entry)].into_iter().chain(time).chain(rate).collect();
    row.text
        .as_deref()
        .map_or(String::new(), |text| quote(&figures.join(", "), text.trim()))
}

fn quote(who: &str, text: &str) -> String {
    format!(
        "<p class=\"soft\">{}</p><blockquote>{}</blockquote>\n",
        escaped(who),
        escaped(text)
    )
}
