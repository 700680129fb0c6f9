"""What mlx_whisper's tokenizer says, for the tests of `whisper::tokenizer`.

    pip install mlx-whisper==0.4.3
    python tools/golden/tokenizer.py > crates/whisper/tests/golden/tokenizer.json

Same input, same bytes: the generator is seeded.
"""

import itertools
import json
import random
import struct
import zlib

from mlx_whisper.tokenizer import LANGUAGES, TO_LANGUAGE_CODE, get_tokenizer

SPECIAL = "eot sot translate transcribe sot_lm sot_prev no_speech no_timestamps timestamp_begin".split()

TEXTS = [
    "",
    " ",
    "a",
    " And so, my fellow Americans, ask not what your country can do for you.",
    "I'm, you're, he's, we've, they'll, I'd, can't; I'M, YOU'RE, HE'S, 'tis, o''s, '' 's 'll 'lll 'v 've're",
    "don’t won’t it’s",
    "1 12 123 1234 12345 3.14159 1,000,000 ½ ² Ⅷ ٣٤٥ ४५ 1st 2nd A4 v1.2.3 £5 €20 $1.50 50%",
    "   leading", "trailing   ", "in   between", "\n", "\n\n", " \n", "\n ", "a\n\nb", "a \n \n b", "\ta\t\tb\r\nc\r\n\r\n",
    "  \t  x", "\u00a0x\u00a0\u00a0y", "\u3000全角\u3000\u3000空白", "\u2028\u2029\u0085\u200b\u2003 x", " " * 37, "\t" * 20 + "x",
    "\x00\x01\x02\x1b[0m\x7f\x80\x9f", "\x1c\x1d\x1e\x1f a", "\ufeffBOM", "\ufffd\ufffe\uffff", "\U0010ffff\U000e0001",
    "\u0301", "e\u0301", " \u0301a", "\u0301\u0302\u0303", "ก็", "नि", "நி", "\u200d", "a\u200db", "\u202eabc",
    "👍", "👍🏽", "👨‍👩‍👧‍👦", "🇩🇪🇫🇷", "☃️ ☀", "♪ la la ♪♪ ♩♫♬♭♮♯", "[Music] (applause) {x} <i>y</i> -- --- - -a 'a \"q\" 「日本」『語』",
    "#*+/:;<=>@[\\]^_`{|}~", "...", "…", "?!?!?!", "---------", "========================", "a.b.c/d?e=f&g#h", "foo_bar __init__",
    "<|", "|>", "<||>", "<|endoftext", "endoftext|>", "<|foo|>", "< |endoftext|>", "<|xx|>", "<|30.02|>", "<|0.01|>", "<|0.0|>", "<|EN|>",
    "HTTPSConnectionPool camelCaseWord ALLCAPS MiXeD", "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "a" * 100, "ab" * 64, "abc" * 50, "la " * 30, "ha" * 77, "!" * 65, "é" * 40, "0" * 50, "大" * 30, "🙂" * 20,
    "Größenwahnsinniger Übermut tut selten gut, sagte Frau Müller-Lüdenscheidt.",
    "L'été, où vas-tu ? Ça va, naïve cœur !", "¿Dónde está la biblioteca? ¡Allí!", "Não há nada à direção.",
    "Zażółć gęślą jaźń.", "Příliš žluťoučký kůň úpěl ďábelské ódy.", "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.", "דג סקרן שט בים מאוכזב ולפתע מצא חברה", "נִקּוּד", "نص حكيم له سر قاطع وذو شأن عظيم", "مَرْحَبًا",
    "ऋषियों को सताने वाले दुष्ट राक्षसों", "আমি বাংলায় গান গাই।", "யாமறிந்த மொழிகளிலே", "తెలుగు భాష", "ಕನ್ನಡ ನುಡಿ", "മലയാളം", "සිංහල", "ગુજરાતી", "ਪੰਜਾਬੀ",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า", "ພາສາລາວ", "ភាសាខ្មែរ", "မြန်မာဘာသာ", "བོད་སྐད།", "ქართული ენა", "Հայերեն լեզու", "አማርኛ",
    "いろはにほへと ちりぬるを", "カタカナ ﾊﾝｶｸ", "東京都に行きました。", "我能吞下玻璃而不伤身体。", "我能吞下玻璃而不傷身體。", "키스의 고유조건은 입술끼리 만나야 하고", "粵語唔該晒",
    "Tiếng Việt có dấu: đường phố Hà Nội", "İstanbul'da ılık şeker", "Þegar ég æði öð", "ʻŌlelo Hawaiʻi", "Yorùbá ẹ̀kọ́", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 𒀀 ꙮ",
]

ALPHABETS = [
    "ab c", "aA1 .'", " \n\t\r\u00a0a", "'sdtmllvere ", "éèüß ñ", "我你他的 。", "абв гд", "अिा्क ", "👍🏽\u200d🇩🇪 ", "!?.,-\"' ",
    "0123456789,. ", "\x00\x07\x1b\x7f\x85 a", "\u0300\u0301\u0489a ", "العربية ", "♪♫♬♭ ~", "한국어 글", "<|>en0.2 ", "_-/\\@#$%^&*()",
]

LETTERS = "etaoinshrdlcumwfgypbvk"

# Every class of byte that a UTF-8 decoder tells apart, and the borders of the classes.
UTF8_BYTES = bytes.fromhex("41 7f 80 8f 90 9f a0 bf c0 c1 c2 df e0 e1 ed ef f0 f1 f4 f5 ff")


def texts(rng):
    words = ["".join(rng.choices(LETTERS, k=rng.randint(1, 12))) for _ in range(60)]
    yield from TEXTS
    yield " ".join(words)
    for alphabet in ALPHABETS:
        for length in (3, 9, 27):
            yield "".join(rng.choices(alphabet, k=length))
    for _ in range(40):
        points = (rng.choice([rng.randrange(0x250), rng.randrange(0x3000), rng.randrange(0x110000)]) for _ in range(10))
        yield "".join(chr(p) for p in points if not 0xD800 <= p < 0xE000)


def sequences(rng, tokenizer):
    """Random tokens: of all kinds, bytes only (broken UTF-8), special ones."""
    ranges = [(0, tokenizer.encoding.n_vocab), (0, 256), (tokenizer.eot, tokenizer.encoding.n_vocab), (0, tokenizer.timestamp_begin)]
    for low, high in ranges * 12:
        yield [rng.randrange(low, high) for _ in range(rng.randint(1, 12))]


def words(tokenizer, tokens):
    """The words and how many tokens each has; nothing where mlx_whisper loses tokens or fails."""
    try:
        found, found_tokens = tokenizer.split_to_word_tokens(list(tokens))
    except IndexError:
        return None
    if sum(found_tokens, []) != tokens:
        return None
    return [[word, len(ids)] for word, ids in zip(found, found_tokens)]


def checksum(parts):
    crc = 0
    for part in parts:
        crc = zlib.crc32(struct.pack("<I", len(part)) + part, crc)
    return crc


def vocabulary(n_vocab, rng):
    multilingual = n_vocab >= 51865
    n_languages = n_vocab - 51765 - multilingual
    tokenizer = get_tokenizer(multilingual, num_languages=n_languages)
    encoding = tokenizer.encoding
    assert encoding.n_vocab == n_vocab
    result = {
        "n_vocab": n_vocab,
        "special": {name: getattr(tokenizer, name) for name in SPECIAL},
        "languages": [tokenizer.special_tokens[f"<|{code}|>"] for code in list(LANGUAGES)[:n_languages]],
        "sot_sequence": tokenizer.sot_sequence,
        "non_speech": tokenizer.non_speech_tokens,
        "bytes": checksum(encoding.decode_single_token_bytes(i) for i in range(n_vocab)),
        "decode": [
            [tokens, tokenizer.decode(tokens), tokenizer.decode_with_timestamps(tokens)]
            for tokens in sequences(rng, tokenizer)
        ],
        "refused": [],
        "words": [],
    }
    for text in ["<|endoftext|>", "a<|en|>", "<<|startoftranscript|>>", "<|<|0.00|>", "x <|30.00|> <|de|>", "<|yue|>", "<|xx|><|nospeech|>"]:
        try:
            encoding.encode(text)
            result["refused"].append([text, False])
        except ValueError:
            result["refused"].append([text, True])
    for language in {51864: ["en"], 51865: [], 51866: ["en", "ja"]}[n_vocab]:
        tokenizer.language = language
        for text in TEXTS:
            tokens = encoding.encode(text)
            tokens = [tokenizer.timestamp_begin, *tokens, tokenizer.timestamp_begin + 54, tokenizer.eot]
            if expected := words(tokenizer, tokens):
                result["words"].append([language, tokens, expected])
    return result


def main():
    rng = random.Random(20)
    all_texts = list(texts(rng))
    gpt2 = get_tokenizer(False).encoding
    multilingual = get_tokenizer(True).encoding
    byte_tokens = {multilingual.decode_single_token_bytes(i)[0]: i for i in range(256)}
    broken = ([byte_tokens[b] for b in bytes_] for n in range(1, 5) for bytes_ in itertools.product(UTF8_BYTES, repeat=n))
    golden = {
        "language_codes": {**{code: code for code in LANGUAGES}, **TO_LANGUAGE_CODE},
        "encode": [[text, gpt2.encode(text), multilingual.encode(text)] for text in all_texts],
        "utf8": {
            "bytes": list(UTF8_BYTES),
            "decoded": checksum(multilingual.decode(tokens).encode() for tokens in broken),
        },
        "vocabularies": [vocabulary(n, rng) for n in (51864, 51865, 51866)],
    }
    for key, value in golden.items():  # a line each, so that a change can be seen
        opening = "{" if key == "language_codes" else ","
        print(opening + json.dumps(key) + ":" + json.dumps(value, ensure_ascii=True, separators=(",", ":")))
    print("}")


main()
