//! Charts as SVG within the page: horizontal places in per cent and vertical ones in pixels, so that they fit a phone and
//! their text keeps its size. They say nothing that the words beside them do not say.

use crate::report::escape::html as escaped;

/// A line of a chart of bars.
#[derive(Default)]
pub(super) struct Bar {
    pub(super) name: String,
    /// The figure in words.
    pub(super) figure: String,
    /// Lengths one after the other, each with the class of its colour.
    pub(super) parts: Vec<(f64, String)>,
    /// An interval to draw over it.
    pub(super) interval: Option<(f64, f64)>,
    /// Single values to draw over it.
    pub(super) dots: Vec<f64>,
}

impl Bar {
    fn end(&self) -> f64 {
        let length = self.parts.iter().map(|(length, _)| length).sum::<f64>();
        let marks = self.dots.iter().copied().chain(self.interval.map(|(_, high)| high));
        marks.fold(length, f64::max)
    }
}

/// Bars from 0 on a common scale.
pub(super) fn bars(bars: &[Bar]) -> String {
    let end = bars.iter().map(Bar::end).fold(0.0, f64::max);
    bars.iter().map(|bar| one(bar, end)).collect()
}

fn one(bar: &Bar, end: f64) -> String {
    let place = |value: f64| {
        if end > 0.0 {
            100.0 * (value / end).clamp(0.0, 1.0)
        } else {
            0.0
        }
    };
    let mut drawing = String::from("<rect class=\"track\" width=\"100%\" y=\"3\" height=\"10\" rx=\"3\"/>");
    let mut from = 0.0;
    for (length, class) in &bar.parts {
        let (x, width) = (place(from), place(from + length) - place(from));
        drawing +=
            &format!("<rect class=\"{class}\" x=\"{x:.2}%\" y=\"3\" width=\"{width:.2}%\" height=\"10\" rx=\"1\"/>");
        from += length;
    }
    for dot in &bar.dots {
        drawing += &format!("<circle class=\"run\" cx=\"{:.2}%\" cy=\"8\" r=\"2.5\"/>", place(*dot));
    }
    if let Some((low, high)) = bar.interval {
        let (low, high) = (place(low), place(high));
        for (from, to, top, bottom) in [(low, high, 8, 8), (low, low, 3, 13), (high, high, 3, 13)] {
            drawing +=
                &format!("<line class=\"whisker\" x1=\"{from:.2}%\" x2=\"{to:.2}%\" y1=\"{top}\" y2=\"{bottom}\"/>");
        }
    }
    format!(
        "<div class=\"bar\"><div class=\"names\"><span>{}</span><b>{}</b></div>\
         <svg height=\"16\" aria-hidden=\"true\">{drawing}</svg></div>\n",
        escaped(&bar.name),
        escaped(&bar.figure)
    )
}

/// What the colours of the parts mean.
pub(super) fn key(names: &[(String, String)]) -> String {
    let item = |(name, class): &(String, String)| format!("<li><i class=\"{class}\"></i>{}</li>", escaped(name));
    format!("<ul class=\"key\">{}</ul>", names.iter().map(item).collect::<String>())
}

/// A point of a chart of two measures.
pub(super) struct Point {
    pub(super) name: String,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) class: &'static str,
}

/// Points in a plane, both axes from 0; numbers stand for their names, for which a phone has no room.
pub(super) fn plane(points: &[Point], x_title: &str, y_title: &str) -> String {
    const TOP: f64 = 16.0;
    const BOTTOM: f64 = 244.0;
    const LEFT: f64 = 11.0;
    let x_ticks = ticks(points.iter().map(|point| point.x).fold(0.0, f64::max));
    let y_ticks = ticks(points.iter().map(|point| point.y).fold(0.0, f64::max));
    let last = |ticks: &[f64]| ticks.last().copied().unwrap_or(1.0);
    let x_of = |x: f64| LEFT + (96.0 - LEFT) * x / last(&x_ticks);
    let y_of = |y: f64| BOTTOM - (BOTTOM - TOP) * y / last(&y_ticks);

    let mut drawing = String::new();
    for &tick in &y_ticks {
        let y = y_of(tick);
        drawing += &format!("<line class=\"grid\" x1=\"{LEFT}%\" x2=\"96%\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
        drawing += &format!(
            "<text x=\"{:.1}%\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 1.5,
            y + 4.0,
            number(tick)
        );
    }
    for &tick in &x_ticks {
        let x = x_of(tick);
        drawing += &format!("<line class=\"grid\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"{TOP}\" y2=\"{BOTTOM}\"/>");
        drawing += &format!(
            "<text x=\"{x:.2}%\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            BOTTOM + 18.0,
            number(tick)
        );
    }
    let heights = apart(
        &points
            .iter()
            .map(|point| (x_of(point.x), y_of(point.y)))
            .collect::<Vec<_>>(),
    );
    for ((number, point), label_y) in (1..).zip(points).zip(heights) {
        let (x, y) = (x_of(point.x), y_of(point.y));
        drawing += &format!(
            "<circle class=\"{}\" cx=\"{x:.2}%\" cy=\"{y:.1}\" r=\"5\"/>",
            point.class
        );
        drawing += &format!(
            "<text class=\"name\" x=\"{x:.2}%\" dx=\"8\" y=\"{:.1}\">{number}</text>",
            label_y + 4.0
        );
    }
    let names = points.iter().map(|point| format!("<li>{}</li>", escaped(&point.name)));
    format!(
        "<svg height=\"292\" aria-hidden=\"true\">{drawing}\
         <text x=\"{LEFT}%\" y=\"6\" text-anchor=\"start\">{}</text>\
         <text x=\"96%\" y=\"{:.1}\" text-anchor=\"end\">{}</text></svg>\n<ol class=\"key\">{}</ol>\n",
        escaped(y_title),
        BOTTOM + 38.0,
        escaped(x_title),
        names.collect::<String>()
    )
}

/// Heights of labels near those wanted, such that none covers another; places are per cent across and pixels down.
fn apart(wanted: &[(f64, f64)]) -> Vec<f64> {
    const WIDTH: f64 = 7.0;
    const HEIGHT: f64 = 14.0;
    let mut placed: Vec<(f64, f64)> = Vec::new();
    for &(x, mut y) in wanted {
        while let Some((_, taken)) = placed
            .iter()
            .find(|(other, taken)| (other - x).abs() < WIDTH && (taken - y).abs() < HEIGHT)
        {
            y = taken - HEIGHT;
        }
        placed.push((x, y));
    }
    placed.into_iter().map(|(_, y)| y).collect()
}

/// Round numbers from 0 to `end` or a little beyond, four to nine of them.
fn ticks(end: f64) -> Vec<f64> {
    if !(end > 0.0 && end.is_finite()) {
        return vec![0.0, 1.0];
    }
    let power = 10_f64.powf((end / 4.0).log10().floor());
    let step = [1.0, 2.0, 5.0]
        .map(|times| times * power)
        .into_iter()
        .rfind(|step| step * 4.0 <= end)
        .unwrap_or(power);
    let mut ticks = vec![0.0];
    while ticks.last().is_some_and(|last| *last < end * 0.999) {
        #[expect(clippy::cast_precision_loss, reason = "fewer than ten")]
        ticks.push(step * ticks.len() as f64);
    }
    ticks
}

/// A tick without the dust of binary fractions.
fn number(tick: f64) -> String {
    let text = format!("{tick:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_the_end() {
        assert_eq!(ticks(10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(
            ticks(0.7).iter().map(|tick| number(*tick)).collect::<Vec<_>>(),
            ["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]
        );
        for end in [0.001, 0.37, 1.0, 7.4, 99.0, 123_456.0] {
            let ticks = ticks(end);
            assert!(
                (5..=11).contains(&ticks.len()) && ticks[ticks.len() - 1] >= end * 0.999,
                "{end}: {ticks:?}"
            );
        }
        assert_eq!(ticks(0.0), [0.0, 1.0]);
    }

    #[test]
    fn labels_do_not_cover_each_other() {
        let wanted = [(50.0, 100.0), (52.0, 95.0), (49.0, 100.0), (80.0, 100.0), (50.0, 20.0)];
        assert_eq!(apart(&wanted), [100.0, 86.0, 72.0, 100.0, 20.0]);
    }

    #[test]
    fn bars_share_a_scale_and_hold_no_markup() {
        let bar = |name: &str, length| Bar {
            name: name.into(),
            parts: vec![(length, "fill".into())],
            ..Bar::default()
        };
        let chart = bars(&[bar("<a>", 1.0), bar("b", 2.0)]);
        assert!(chart.contains("&lt;a&gt;") && !chart.contains("<a>"));
        assert!(chart.contains("width=\"50.00%\"") && chart.contains("width=\"100.00%\""));
        assert!(bars(&[bar("nothing", 0.0)]).contains("width=\"0.00%\""));
    }
}
