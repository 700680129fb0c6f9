//! Text in columns.

/// Lines of equally many cells, each column as wide as its widest cell.
pub(crate) fn columns<Line: AsRef<[String]>>(lines: &[Line]) -> String {
    let widths: Vec<usize> = (0..lines.first().map_or(0, |line| line.as_ref().len()))
        .map(|column| {
            lines
                .iter()
                .map(|line| line.as_ref()[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in lines {
        let cells = line
            .as_ref()
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}  "));
        text += cells.collect::<String>().trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_below_each_other() {
        let line = |cells: [&str; 2]| cells.map(str::to_owned);
        assert_eq!(
            columns(&[line(["a", "bb"]), line(["größer", ""])]),
            "a       bb\ngrößer\n"
        );
        assert_eq!(columns::<[String; 0]>(&[]), "");
    }
}
