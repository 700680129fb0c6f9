//! Times of day in a recording.

/// Milliseconds, halves to the even one, as Python rounds. A time before the start counts as the start.
pub(super) fn milliseconds(seconds: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and NaN gives 0")]
    let whole = (1000.0 * seconds).round_ties_even() as u64;
    whole
}

/// `MM:SS.mmm`, with hours before it where there are any or `hours` asks for them.
pub(super) fn clock(seconds: f64, hours: bool, decimal_marker: char) -> String {
    let all = milliseconds(seconds);
    let (h, m, s, ms) = (all / 3_600_000, all / 60_000 % 60, all / 1000 % 60, all % 1000);
    let hours = if hours || h > 0 {
        format!("{h:02}:")
    } else {
        String::new()
    };
    format!("{hours}{m:02}:{s:02}{decimal_marker}{ms:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_in_python() {
        assert_eq!(clock(0.0, false, '.'), "00:00.000");
        assert_eq!(clock(3599.9996, false, '.'), "01:00:00.000");
        assert_eq!(clock(3723.25, true, ','), "01:02:03,250");
        assert_eq!(clock(360_000.0, false, '.'), "100:00:00.000");
    }

    #[test]
    fn halves_go_to_the_even_millisecond() {
        assert_eq!(
            (milliseconds(0.0005), milliseconds(0.0015), milliseconds(0.0025)),
            (0, 2, 2)
        );
    }

    #[test]
    fn what_is_no_time_is_the_start() {
        assert_eq!((milliseconds(-1.0), milliseconds(f64::NAN)), (0, 0));
    }
}
