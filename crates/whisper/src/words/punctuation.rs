//! Punctuation belongs to the word beside it.

use super::TimedWord;
use crate::tokenizer::strip;

/// Joins opening marks to the word after them and closing ones to the word before; what was joined is left without text and
/// tokens.
///
/// A mark counts where its text is found in `opening` or `closing`: `?!` does not, `!?` in `.!?` does, as in OpenAI's.
pub(super) fn join(words: &mut [TimedWord], opening: &str, closing: &str) {
    let mut following = words.len().saturating_sub(1);
    for previous in (0..following).rev() {
        let mark = &words[previous].text;
        if mark.starts_with(' ') && opening.contains(strip(mark)) {
            let mark = take(&mut words[previous]);
            let word = &mut words[following];
            word.text.insert_str(0, &mark.text);
            word.n_tokens += mark.n_tokens;
        } else {
            following = previous;
        }
    }

    let mut previous = 0;
    for following in 1..words.len() {
        if !words[previous].text.ends_with(' ') && closing.contains(&words[following].text) {
            let mark = take(&mut words[following]);
            let word = &mut words[previous];
            word.text += &mark.text;
            word.n_tokens += mark.n_tokens;
        } else {
            previous = following;
        }
    }
}

/// The word without its time; what is left has neither text nor tokens.
fn take(word: &mut TimedWord) -> TimedWord {
    let left = TimedWord {
        text: String::new(),
        n_tokens: 0,
        ..*word
    };
    std::mem::replace(word, left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    fn joined(words: &[&str]) -> Vec<String> {
        let timed = |(i, text): (usize, &&str)| TimedWord {
            text: (*text).to_owned(),
            n_tokens: 1,
            start: i as f64,
            end: (i + 1) as f64,
            probability: 0.5,
        };
        let mut timed: Vec<_> = words.iter().enumerate().map(timed).collect();
        let options = Options::default();
        join(&mut timed, &options.prepend_punctuations, &options.append_punctuations);
        assert_eq!(timed.iter().map(|word| word.n_tokens).sum::<usize>(), words.len());
        for (i, word) in timed.iter().enumerate() {
            assert_eq!(
                (word.start, word.text.is_empty()),
                (i as f64, word.n_tokens == 0),
                "times stay"
            );
        }
        timed.into_iter().map(|word| word.text).collect()
    }

    // Expected: `merge_punctuations` of mlx_whisper 0.4.3, run.
    #[test]
    fn marks_are_joined_as_in_whisper() {
        assert_eq!(joined(&[]), [""; 0]);
        assert_eq!(joined(&[" Hello", ",", " world", "!"]), [" Hello,", "", " world!", ""]);
        assert_eq!(joined(&[" (", "aside", ")", "."]), ["", " (aside).", "", ""]);
        assert_eq!(
            joined(&[" \"", " (", "no", "?\"", "\""]),
            ["", "", " \" (no", "?\"\"", ""]
        );
        assert_eq!(joined(&[" -", " -", "x"]), ["", "", " - -x"]);
        assert_eq!(joined(&["(", "x"]), ["(", "x"], "without a space it opens nothing");
        assert_eq!(joined(&[" ", "x", " "]), ["", " x", " "]);
        assert_eq!(joined(&[".", "."]), ["..", ""]);
    }
}
