#!/usr/bin/env python3
"""Makes crates/speedtest/tests/normalizer/cases.jsonl: what the normalisers of openai-whisper 20250625 make of texts that reach
every spelling, replacement, number word, suffix and currency.

    python3 -m venv v && v/bin/pip install regex==2026.11.15 more-itertools==11.2.1
    v/bin/pip download --no-deps --no-binary :all: openai-whisper==20250625 && tar xzf openai_whisper-20250625.tar.gz
    v/bin/python tools/golden/normalizer.py openai_whisper-20250625 > crates/speedtest/tests/normalizer/cases.jsonl

Each line: text; english and, on some lines, basic and letters (basic, letters split) are what becomes of it.
"""
import importlib.util
import json
import random
import sys
import unicodedata
from pathlib import Path

folder = Path(sys.argv[1]) / "whisper/normalizers"
# The package alone: `import whisper` would want torch.
spec = importlib.util.spec_from_file_location("normalizers", folder / "__init__.py", submodule_search_locations=[str(folder)])
normalizers = importlib.util.module_from_spec(spec)
sys.modules["normalizers"] = normalizers
spec.loader.exec_module(normalizers)
english = normalizers.EnglishTextNormalizer()
basic = normalizers.BasicTextNormalizer()
letters = normalizers.BasicTextNormalizer(split_letters=True)
numbers = english.standardize_numbers

pick = random.Random(7)
texts = []

# Spellings, four to a line, in a sentence and alone.
spellings = list(english.standardize_spellings.mapping)
texts += [" ".join(spellings[i : i + 4]) for i in range(0, len(spellings), 4)]
texts += [f"The {word.capitalize()}, he said." for word in spellings[::5]]

# Replacements: at the start, inside, at the end, and where they must not act.
phrases = [p.replace(r"\b", "") for p in english.replacers] + ["hmm", "mm", "mhm", "mmm", "uh", "um"]
for phrase in phrases:
    texts += [f"{phrase} he", f"they{phrase} go", f"we {phrase}.", f"so, {phrase.upper()}", f"x{phrase}x", f"_{phrase} a{phrase}_", f"it {phrase}'s e\u0301{phrase}"]

# Words of numbers alone, behind and before each other, with signs, currencies and suffixes.
words = sorted(numbers.words)
small = ["one", "seven", "ten", "nineteen", "twenty", "ninety", "hundred", "thousand", "oh", "zero"]
texts += words
for word in words:
    texts += [f"{other} {word}" for other in ["one", "twenty", "hundred", "5", "oh", "point", "1.5", "the", "$3"]]
    texts += [f"{word} {other}" for other in ["two", "thirty", "million", "7", "percent", "per cent", "per", "dollars", "cents", "and", "men"]]
for _ in range(1500):
    n = pick.randint(2, 8)
    pool = words + small * 6 + [str(pick.randint(0, 2500)), f"{pick.randint(0, 99)}.{pick.randint(0, 99)}", f"${pick.randint(0, 99)}", "the", "a half", "and a half", "3,000"]
    texts.append(" ".join(pick.choice(pool) for _ in range(n)))
for ending in ["st", "nd", "rd", "th", "s"]:
    texts += [f"the {n}{ending} of {n} {ending}, {n}  {ending}x" for n in (0, 1, 2, 3, 11, 21, 1960)]
for sign in ["$", "£", "€", "¢", "¥", "%", "-", "+", "−", "#", "@", "&"]:
    for n in ["0", "1", "20", "0.5", "0.05", "0.005", "3.50", "2.0", "1,000", "1,000,000.25", "007", ".5"]:
        texts += [f"{sign}{n}", f"{n}{sign}", f"it is {sign}{n} million", f"{sign} {n}", f"{sign}{n} and ¢7", f"{sign}{n} ¢45 and 3 cents"]
texts += [f"{n} dollars and {c} cents" for n in ("one", "twenty", "2.50", "0") for c in ("one", "seven", "45", "100")]
texts += [f"{a} and a half {b}" for a in (*small, "3", "the", "double two", "") for b in ("million", "men", "", "and a half")]
texts += ["9" * 60 + " five", "9" * 60 + " hundred", "1 " + "thousand " * 9, "one decillion nonillion", "999 decillion and one", "1.25 hundred", "0.001 thousand", "1.2.3.4", "point five", "five point", "one point two point three million", "3 point $5 million"]

# Decimal digits of all scripts, and other numbers.
for c in map(chr, range(0x110000)):
    if unicodedata.category(c) == "Nd" and unicodedata.digit(c) in (0, 3, 9):
        texts.append(f"{c}, 1,{c}{c} {c}.5 million {c}s")
texts += ["½ ¼ 1½ ² x² ① Ⅷ ፩ ৴ 三 〇", "⅐1 1⁄2 10⁻³"]

# Brackets, spaces, marks, letters that no decomposition takes apart, case, and what is not printed.
texts += ["[a] b (c) <d> e", "[a (b] c)", "((a) b)", "() a ()b)", "[] <> (", "a [b", "a] b [", "<a]b>", "(\n)", "([a])", "a ) (b) ) c"]
texts += ["don 't  'tis 'Twas \t 'em", "a  ' ' b", "x\u00a0y\u2003z\u3000w\x1cv\x85u", "line\r\nbreak\u2028s", "tab\tvt\x0bff\x0c"]
texts += [c + " a" + c + "b" for c in "œŒøØæÆßẞđĐðÐþÞłŁıİſŉǆΣσςΟΣ"]
texts += ["Ångström Café Zoë naïve façade coöperate", "ΌΔΟΣ ΟΔΟΣ.", "ὈΔΥΣΣΕΎΣ", "İstanbul'da ILIK", "STRAẞE", "ﬁne ﬂow Ⅳ ㎏ ℌ ™ ℃", "नमस्ते दुनिया", "สวัสดีครับ", "가각힣 \u1100\u1161\u11a8", "日本語、テスト。「はい」", "🇩🇪🇫🇷 👩‍👩‍👧 ❤️ e\u0301\u0327", "a\u200db\u200cc \u00adsoft", "ما هو؟ ٣٫٥", "one... two.. three. .5 a.b 1.a 2. 3.", "\u0600١ \u06dd"]
texts += [f"{a}{b}{c}" for a in ("a", "1", " ", "") for b in (".", "%", "$", ",", "'", "-", "_", "¢") for c in ("b", "2", " ", "")]
texts += ["", " ", "\n", "'", "''", "$", "%%", "..", "1", "1s", "1s1", "$1", "-1", "+1", "1 1 1", "$0.5.5", "$005", "$0x07", "£0 07"]
for first in range(0xA0, 0x3400, 7):  # marks, symbols, punctuation, spaces of many scripts
    texts.append("".join(chr(c) + "x" for c in range(first, first + 7) if unicodedata.category(chr(c)) not in ("Cn", "Cs")))

seen = set()
for text in texts:
    if text in seen:
        continue
    seen.add(text)
    try:
        line = dict(text=text, english=english(text))
        if not text.isascii() or len(line["english"]) % 8 == 0:
            line |= dict(basic=basic(text), letters=letters(text))
    except (AssertionError, TypeError, ValueError, AttributeError) as error:  # bugs of the source: no answer to compare with
        print(f"{text!r}: {error!r}", file=sys.stderr)
        continue
    print(json.dumps(line, ensure_ascii=False))
