//! Symbols that are written but not spoken: speaker tags, notes, brackets.

use std::collections::BTreeSet;

use crate::model::Token;

use super::vocabulary::Vocabulary;

/// Never to be sampled where they are one token.
const SYMBOLS: &str = "\" # ( ) * + / : ; < = > @ [ \\ ] ^ _ ` { | } ~ 「 」 『 』 \
                       << >> <<< >>> -- --- -( -[ (' (\" (( )) ((( ))) [[ ]] {{ }} ♪♪ ♪♪♪";

/// Never to be sampled; where they are several tokens, the first stands for all: in U+2640..U+267F it is shared only
/// with other symbols.
const NOTES: &str = "♩ ♪ ♫ ♬ ♭ ♮ ♯";

/// A hyphen and an apostrophe are fine within a word, not at its start.
const WORD_STARTS: [&str; 2] = [" -", " '"];

/// The tokens that suppress all that, ascending.
///
/// Source: `non_speech_tokens`, openai/whisper `tokenizer.py`.
pub(super) fn tokens(vocabulary: &Vocabulary) -> Vec<Token> {
    let first = |text: &str| vocabulary.encode(text)[0];
    let only = |text: &str| match vocabulary.encode(text)[..] {
        [token] => Some(token),
        _ => None,
    };
    let bare_and_spaced = |symbol: &str| [symbol.to_owned(), format!(" {symbol}")];

    let mut tokens = BTreeSet::from(WORD_STARTS.map(first));
    tokens.extend(
        SYMBOLS
            .split(' ')
            .flat_map(bare_and_spaced)
            .filter_map(|symbol| only(&symbol)),
    );
    tokens.extend(NOTES.split(' ').flat_map(bare_and_spaced).map(|note| first(&note)));
    tokens.into_iter().collect()
}
