//! A table for a page or an issue.

use super::escape::markdown as escaped;
use super::words;
use crate::bench::measurement::Results;
use crate::bench::ranking::{self, State};

pub(super) fn render(results: &Results) -> String {
    let mut text = format!(
        "{}  \n{}  \nwhisper-speedtest {}, {}\n",
        escaped(&results.machine.in_a_line()),
        escaped(&words::heard(results)),
        escaped(&results.version),
        escaped(&results.started)
    );
    for ranking in ranking::rank(results) {
        text += &format!(
            "\n| {} | version, weights | {} |\n",
            escaped(ranking.size),
            words::COLUMNS.join(" | ")
        );
        text += &format!("|:--|:--|{}\n", "--:|".repeat(words::COLUMNS.len()));
        for standing in &ranking.standings {
            let cells = words::cells(standing).map(|cell| escaped(&cell));
            let (name, identity) = (escaped(&standing.name()), escaped(&words::identity(standing.entry)));
            text += &format!("| {name} | {identity} | {} |\n", cells.join(" | "));
        }
        let remarks = ranking.standings.iter().flat_map(|standing| {
            let state = (standing.state != State::Ranked).then(|| standing.state.to_string());
            let remarks = state.into_iter().chain(words::remarks(standing.entry, results));
            remarks.map(|remark| format!("{}: {remark}", standing.name()))
        });
        let lines: Vec<String> = ranking
            .verdicts
            .iter()
            .cloned()
            .chain(remarks)
            .map(|line| format!("- {}\n", escaped(&line)))
            .collect();
        if !lines.is_empty() {
            text += &format!("\n{}", lines.concat());
        }
    }
    for warning in &results.warnings {
        text += &format!("\n**{}**\n", escaped(warning));
    }
    text + &format!("\n{}.\n", escaped(&words::legend(results)))
}
