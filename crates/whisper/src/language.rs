//! The hundred languages of Whisper.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// A language that Whisper writes; its value is the place of its token after `<|startoftranscript|>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Language(u8);

impl Language {
    /// The only language of the `.en` models, and the one that translation writes.
    pub const ENGLISH: Language = Language(0);

    /// Every language, in the order of their tokens. Cantonese, the last, is new with large-v3.
    pub fn all() -> &'static [Language] {
        static ALL: [Language; N_LANGUAGES as usize] = {
            let mut all = [Language::ENGLISH; N_LANGUAGES as usize];
            let mut index = 0;
            while index < N_LANGUAGES {
                all[index as usize] = Language(index);
                index += 1;
            }
            all
        };
        &ALL
    }

    /// The code in its token and in results: `en`, `haw`.
    pub fn code(self) -> &'static str {
        LANGUAGES[usize::from(self.0)].0
    }

    /// The English name: `English`, `Haitian Creole`.
    pub fn name(self) -> &'static str {
        LANGUAGES[usize::from(self.0)].1
    }

    /// Its place among the language tokens.
    pub(crate) fn index(self) -> u32 {
        u32::from(self.0)
    }
}

/// The English name.
impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The code.
impl serde::Serialize for Language {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> serde::Deserialize<'de> for Language {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Language, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

/// Reads a code, an English name or one of OpenAI's other names (Castilian, Mandarin, ...), in any case.
///
/// The error of an unknown one lists all codes and names, and a near one first.
impl FromStr for Language {
    type Err = Error;

    fn from_str(text: &str) -> Result<Language> {
        let wanted = text.trim().to_lowercase();
        for (spelling, language) in spellings() {
            if spelling == wanted {
                return Ok(language);
            }
        }
        let near = match nearest(&wanted) {
            Some(language) => format!(" Did you mean {} ({})?", language.name(), language.code()),
            None => String::new(),
        };
        let known: Vec<_> = Language::all()
            .iter()
            .map(|language| format!("{} {language}", language.code()))
            .collect();
        Err(Error::Request(format!(
            "unknown language {text:?}.{near} Known are a code or a name of: {}",
            known.join(", ")
        )))
    }
}

/// Everything that names a language, in lower case.
fn spellings() -> impl Iterator<Item = (String, Language)> {
    let own = Language::all()
        .iter()
        .flat_map(|&language| [language.code(), language.name()].map(|spelling| (spelling.to_lowercase(), language)));
    let aliases = ALIASES.iter().filter_map(|&(alias, code)| {
        let language = Language::all().iter().find(|language| language.code() == code)?;
        Some((alias.to_owned(), *language))
    });
    own.chain(aliases)
}

/// The language at most two slips of the keyboard away; codes are too short to guess from.
fn nearest(wanted: &str) -> Option<Language> {
    if wanted.len() > 32 {
        return None; // longer than any name by more than two slips
    }
    spellings()
        .filter(|(spelling, _)| spelling.len() > 3)
        .map(|(spelling, language)| (strsim::osa_distance(&spelling, wanted), language))
        .filter(|&(distance, _)| distance <= 2)
        .min()
        .map(|(_, language)| language)
}

const N_LANGUAGES: u8 = 100;

/// Code and name in the order of the tokens. Source: `LANGUAGES`, openai/whisper `tokenizer.py`.
const LANGUAGES: [(&str, &str); N_LANGUAGES as usize] = [
    ("en", "English"),
    ("zh", "Chinese"),
    ("de", "German"),
    ("es", "Spanish"),
    ("ru", "Russian"),
    ("ko", "Korean"),
    ("fr", "French"),
    ("ja", "Japanese"),
    ("pt", "Portuguese"),
    ("tr", "Turkish"),
    ("pl", "Polish"),
    ("ca", "Catalan"),
    ("nl", "Dutch"),
    ("ar", "Arabic"),
    ("sv", "Swedish"),
    ("it", "Italian"),
    ("id", "Indonesian"),
    ("hi", "Hindi"),
    ("fi", "Finnish"),
    ("vi", "Vietnamese"),
    ("he", "Hebrew"),
    ("uk", "Ukrainian"),
    ("el", "Greek"),
    ("ms", "Malay"),
    ("cs", "Czech"),
    ("ro", "Romanian"),
    ("da", "Danish"),
    ("hu", "Hungarian"),
    ("ta", "Tamil"),
    ("no", "Norwegian"),
    ("th", "Thai"),
    ("ur", "Urdu"),
    ("hr", "Croatian"),
    ("bg", "Bulgarian"),
    ("lt", "Lithuanian"),
    ("la", "Latin"),
    ("mi", "Maori"),
    ("ml", "Malayalam"),
    ("cy", "Welsh"),
    ("sk", "Slovak"),
    ("te", "Telugu"),
    ("fa", "Persian"),
    ("lv", "Latvian"),
    ("bn", "Bengali"),
    ("sr", "Serbian"),
    ("az", "Azerbaijani"),
    ("sl", "Slovenian"),
    ("kn", "Kannada"),
    ("et", "Estonian"),
    ("mk", "Macedonian"),
    ("br", "Breton"),
    ("eu", "Basque"),
    ("is", "Icelandic"),
    ("hy", "Armenian"),
    ("ne", "Nepali"),
    ("mn", "Mongolian"),
    ("bs", "Bosnian"),
    ("kk", "Kazakh"),
    ("sq", "Albanian"),
    ("sw", "Swahili"),
    ("gl", "Galician"),
    ("mr", "Marathi"),
    ("pa", "Punjabi"),
    ("si", "Sinhala"),
    ("km", "Khmer"),
    ("sn", "Shona"),
    ("yo", "Yoruba"),
    ("so", "Somali"),
    ("af", "Afrikaans"),
    ("oc", "Occitan"),
    ("ka", "Georgian"),
    ("be", "Belarusian"),
    ("tg", "Tajik"),
    ("sd", "Sindhi"),
    ("gu", "Gujarati"),
    ("am", "Amharic"),
    ("yi", "Yiddish"),
    ("lo", "Lao"),
    ("uz", "Uzbek"),
    ("fo", "Faroese"),
    ("ht", "Haitian Creole"),
    ("ps", "Pashto"),
    ("tk", "Turkmen"),
    ("nn", "Nynorsk"),
    ("mt", "Maltese"),
    ("sa", "Sanskrit"),
    ("lb", "Luxembourgish"),
    ("my", "Myanmar"),
    ("bo", "Tibetan"),
    ("tl", "Tagalog"),
    ("mg", "Malagasy"),
    ("as", "Assamese"),
    ("tt", "Tatar"),
    ("haw", "Hawaiian"),
    ("ln", "Lingala"),
    ("ha", "Hausa"),
    ("ba", "Bashkir"),
    ("jw", "Javanese"),
    ("su", "Sundanese"),
    ("yue", "Cantonese"),
];

/// Other names. Source: `TO_LANGUAGE_CODE`, openai/whisper `tokenizer.py`.
const ALIASES: [(&str, &str); 12] = [
    ("burmese", "my"),
    ("valencian", "ca"),
    ("flemish", "nl"),
    ("haitian", "ht"),
    ("letzeburgesch", "lb"),
    ("pushto", "ps"),
    ("panjabi", "pa"),
    ("moldavian", "ro"),
    ("moldovan", "ro"),
    ("sinhalese", "si"),
    ("castilian", "es"),
    ("mandarin", "zh"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_codes_names_and_aliases_in_any_case() {
        for (text, code) in [
            ("en", "en"),
            (" German ", "de"),
            ("HAITIAN CREOLE", "ht"),
            ("Castilian", "es"),
            ("mandarin", "zh"),
            ("YUE", "yue"),
        ] {
            assert_eq!(text.parse::<Language>().unwrap().code(), code);
        }
        for &language in Language::all() {
            assert_eq!(language.code().parse::<Language>().unwrap(), language);
            assert_eq!(language.name().parse::<Language>().unwrap(), language);
        }
        assert_eq!(Language::all()[0], Language::ENGLISH);
    }

    #[test]
    fn a_wrong_one_lists_them_and_guesses() {
        let error = |text: &str| text.parse::<Language>().unwrap_err().to_string();
        let near = error("Germn");
        assert!(
            near.starts_with("unknown language \"Germn\". Did you mean German (de)? Known are"),
            "{near}"
        );
        assert!(
            near.contains("en English, zh Chinese, ") && near.ends_with(", yue Cantonese"),
            "{near}"
        );
        assert!(error("flemisch").contains("Did you mean Dutch (nl)?"));
        for text in ["", "xx", "klingon", &"a".repeat(1000)] {
            assert!(!error(text).contains("Did you mean"), "{text}");
        }
    }

    #[test]
    fn shows_its_name_and_serializes_as_its_code() {
        assert_eq!(format!("{:>8}|", Language::ENGLISH), " English|");
        assert_eq!(serde_json::to_string(&Language::ENGLISH).unwrap(), "\"en\"");
    }
}
