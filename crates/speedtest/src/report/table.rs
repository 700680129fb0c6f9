//! The table in the terminal.

use super::words;
use crate::bench::measurement::Results;
use crate::bench::ranking::{self, Ranking, Standing, State};
use crate::console::printable;

/// The results as text, in colour where `colours` says so.
pub(crate) fn table(results: &Results, colours: bool) -> String {
    let paint = Paint(colours);
    let mut text = format!(
        "{}\n{}\n",
        in_a_line(&results.machine.in_a_line()),
        in_a_line(&words::heard(results))
    );
    for ranking in ranking::rank(results) {
        text += &of_size(&ranking, results, paint);
    }
    for warning in &results.warnings {
        text += &format!("\n{} {warning}\n", paint.yellow("warning:"));
    }
    text + &format!("\n{}\n", paint.dim(&words::legend(results)))
}

/// Escape sequences of colours, or none.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn green(self, text: &str) -> String {
        self.with("1;32", text)
    }

    fn yellow(self, text: &str) -> String {
        self.with("1;33", text)
    }

    fn red(self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn dim(self, text: &str) -> String {
        self.with("2", text)
    }
}

fn of_size(ranking: &Ranking<'_>, results: &Results, paint: Paint) -> String {
    let mut lines = vec![heading(ranking.size)];
    lines.extend(ranking.standings.iter().map(|standing| {
        let mut cells = vec![standing.name(), words::identity(standing.entry)];
        cells.extend(words::cells(standing));
        cells
    }));
    let lines: Vec<Vec<String>> = lines
        .into_iter()
        .map(|cells| cells.iter().map(|cell| cut(in_a_line(cell))).collect())
        .collect();
    let width = |column: usize| {
        lines
            .iter()
            .map(|cells| cells[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();

    let mut text = String::from("\n");
    for (number, cells) in lines.iter().enumerate() {
        let line = aligned(cells, &widths);
        text += &match number.checked_sub(1).map(|place| &ranking.standings[place]) {
            None => paint.dim(&line),
            Some(standing) => coloured(&line, standing, ranking.winner(), paint),
        };
        text.push('\n');
        if let Some(place) = number.checked_sub(1) {
            text += &remarks(&ranking.standings[place], results, paint);
        }
    }
    if !ranking.verdicts.is_empty() {
        text.push('\n');
    }
    for verdict in &ranking.verdicts {
        text += &format!("{}\n", paint.bold(&in_a_line(verdict)));
    }
    text
}

/// A name with an end of line would be two lines of the table.
fn in_a_line(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

/// Names of repositories may be long; the other forms have them whole.
fn cut(cell: String) -> String {
    const MOST: usize = 48;
    match cell.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &cell[..end]),
        None => cell,
    }
}

fn heading(size: &str) -> Vec<String> {
    let first = [size, "version, weights"].map(str::to_owned);
    first.into_iter().chain(words::COLUMNS.map(str::to_owned)).collect()
}

/// Two columns of words to the left, numbers to the right.
fn aligned(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (column, (cell, &width)) in cells.iter().zip(widths).enumerate() {
        line += &if column < 2 {
            format!("{cell:width$}  ")
        } else {
            format!("{cell:>width$}  ")
        };
    }
    line.trim_end().to_owned()
}

fn coloured(line: &str, standing: &Standing<'_>, winner: Option<&Standing<'_>>, paint: Paint) -> String {
    match standing.state {
        State::Ranked if winner.is_some_and(|winner| std::ptr::eq(winner, standing)) => paint.green(line),
        State::Ranked => line.to_owned(),
        State::LessAccurate(_) | State::Handicapped(_) | State::Unfinished => paint.yellow(line),
        State::Failed(_) => paint.red(line),
    }
}

fn remarks(standing: &Standing<'_>, results: &Results, paint: Paint) -> String {
    let state = (standing.state != State::Ranked).then(|| standing.state.to_string());
    let remarks = state.into_iter().chain(words::remarks(standing.entry, results));
    remarks
        .map(|remark| format!("  {}\n", paint.dim(&in_a_line(&remark))))
        .collect()
}
