#!/usr/bin/env python3
"""Make golden data for the C tokenizer and embedder.

One JSON object a line: `text`; `ids`, the row numbers in the table (unknown words left out);
`unk`, how many unknown words were left out; and for some texts `vec`, the unit vector as base64
of little-endian fp32.  The committed texts are generated here from a seed and from sentences
written for this purpose.  With --data, lines of the public data are mixed in: a larger set for a
check on one's own machine, not for the repository.

Code points on whose character class the `tokenizers` library (Unicode 8 tables) and current
Unicode differ are left out of the generated texts; --classes lists them.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from tokenizers import normalizers, pre_tokenizers

import corpus
import table
from build import OUTPUT, model_folder
from tokenizer import WordPieces, is_row, read_vocab

TARGET = Path(__file__).resolve().parents[2] / "lib/text/testdata/tokenizer_golden.jsonl"
N_VECTORS = 100
MAX_LINE_CHARS = 600

CJK = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip
SCRIPTS = {
    "latin": ((0x61, 0x7A), (0x41, 0x5A), (0xC0, 0x24F), (0x1E00, 0x1EFF)),
    "greek": ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
    "cyrillic": ((0x400, 0x52F),),
    "armenian_hebrew_arabic": ((0x531, 0x58F), (0x591, 0x5F4), (0x600, 0x6FF)),
    "indic": ((0x900, 0xDFF),),
    "thai_tibetan": ((0xE00, 0xFFF),),
    "georgian_ethiopic": ((0x10A0, 0x10FF), (0x1200, 0x137C)),
    "hangul": ((0xAC00, 0xD7A3), (0x1100, 0x11FF)),
    "kana": ((0x3040, 0x30FF), (0xFF66, 0xFF9D)),
    "han": ((0x4E00, 0x9FA5), (0x3400, 0x4DB5), (0x20000, 0x2A6D6), (0xF900, 0xFA6D)),
    "han_far": ((0x2A700, 0x2B734), (0x2B740, 0x2B81D), (0x2B820, 0x2CEA1), (0x2F800, 0x2FA1D)),
    "symbols": ((0x2000, 0x2BFF), (0x3000, 0x303F), (0xFE30, 0xFF65)),
    "emoji": ((0x1F300, 0x1F64F), (0x1F680, 0x1F6C5), (0x2600, 0x27BF), (0xFE00, 0xFE0F)),
    "marks": ((0x300, 0x36F), (0x61, 0x7A), (0x1AB0, 0x1ABE), (0x20D0, 0x20F0)),
    "bmp": ((0x21, 0xD7FF), (0xE000, 0xFFFF)),
    "astral": ((0x10000, 0x10FFFF),),
}
SPACES = " \t\n\r\u00a0\u1680\u2002\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
CONTROLS = (
    "\u0001\u0007\u0008\u000b\u000c\u001b\u007f\u0085\u00ad\u200b\u200d\u200e\u2060\ufeff\ufffd"
)
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«»‹›“”‘’„–—…·¿¡†‡•§¶、。「」・！？〜"
WORDS = (  # noqa: SIM905
    "dag task run retry queue pool sensor operator executor scheduler worker trigger asset xcom "
    "hook connection variable bash python docker kubernetes celery spark postgres s3 snowflake "
    "airflow models task_instance start_date catchup depends_on_past max_active_runs http2 utf8 "
    "v2 x86_64 OAuth2 SQLAlchemy JSONDecodeError BashOperator PythonOperator DAGRun XComArg "
    "KubernetesPodOperator TaskFlowAPI IOError iPhone HTTPSConnection getHTTPResponse a1B2 ABCd"
).split()
SENTENCES = (
    "The scheduler parsed the file but the task never left the queue.",
    "Why does my DAG run twice after I changed its start_date?",
    "Set max_active_runs=1 and depends_on_past=True, then clear the failed run.",
    "KubernetesPodOperator keeps the pod when is_delete_operator_pod is False.",
    "from airflow.providers.postgres.hooks.postgres import PostgresHook",
    "SELECT dag_id, COUNT(*) FROM task_instance WHERE state = 'failed' GROUP BY 1;",
    "[2031-02-03T04:05:06.789+0000] {worker.py:42} ERROR - exit code 137",
    "ModuleNotFoundError: No module named 'acme_plugins.sensors'",
    "curl -sS -X POST https://example.org/api/v2/dags/etl_daily/dagRuns -d '{}'",
    "Ça dépend: l'opérateur échoue où la connexion a été coupée, déjà vu à Orléans.",
    "Größe überschritten: Bitte prüfen Sie die Straße Nr. 5 und die Änderungen.",
    "¿Por qué falló la tarea? Mañana se reintentará automáticamente.",
    "Żółta łódź płynie przez jeziora, a zażółć gęślą jaźń.",
    "Задача завершилась с ошибкой, потому что воркер потерял соединение.",
    "Η εργασία απέτυχε επειδή ο χρονοπρογραμματιστής σταμάτησε.",
    "המשימה נכשלה כי העובד הפסיק להגיב.",
    "فشلت المهمة لأن العامل توقف عن الاستجابة.",
    "कार्य विफल हुआ क्योंकि कनेक्शन टूट गया।",
    "งานล้มเหลวเพราะการเชื่อมต่อถูกตัด",
    "작업이 실패했습니다. 스케줄러를 다시 시작하면 해결됩니까?",
    "에어플로우에서 DAG가 실행되지 않는 이유는 무엇인가요?",
    "タスクが失敗しました。スケジューラを再起動してください。",
    "任务失败，因为工作节点失去了连接。",
    "İstanbul'da ışık yandı; ΑΣ ς ẞ ß ﬁ ﬀ Ⅷ ① ½ ℃ K Å",
    "naïve café coöperate e\u0301te\u0301 A\u030angstro\u0308m",
    "👩‍💻 deployed 🚀🚀 at 🇰🇷 and got 👍🏽 in reply ❤️",
    "[CLS] is text here, and so are [SEP], [PAD], [UNK], [MASK] and [unused5].",
    "##ing ##s # # not ##a piece",
    "a" * 99, "a" * 100, "a" * 101, "é" * 100, "é" * 101, "e\u0301" * 100, "x_" * 150,
    "Ab" * 60, "한" * 33, "한" * 40, "漢" * 150, "supercalifragilistic" * 5, "-" * 120,
    "", " ", "\t\n\r ", ".", "\u00ad", "\u200d\u200d", "\u0301\u0301", "\ufffd", "[UNK]",
)  # fmt: skip


def _is_cjk(code: int) -> bool:
    """Tell whether a code point gets spaces around it."""
    return any(low <= code <= high for low, high in CJK)


def _rule(char: str) -> tuple[str, bool]:
    """Return what the written rules make of one character: normal form, is it punctuation."""
    code, category = ord(char), unicodedata.category(char)
    mark = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    mark = mark or category[0] == "P"
    if char in "\t\n\r" or category[0] == "Z":
        return " ", mark
    if code in (0, 0xFFFD) or category in ("Cc", "Cf", "Co", "Cs"):
        return "", mark
    text = f" {char} " if _is_cjk(code) else char
    plain = "".join(
        c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn"
    )
    return "".join(c.lower() for c in plain), mark


_NORMALIZER = normalizers.BertNormalizer(
    clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True
)
_SPLITTER = pre_tokenizers.BertPreTokenizer()


@lru_cache(maxsize=1 << 17)
def agrees(char: str) -> bool:
    """Tell whether the library treats a character as the rules with current tables say."""
    form, mark = _rule(char)
    library_mark = len(_SPLITTER.pre_tokenize_str(f"x{char}x")) == 3
    is_space = char.isspace() or unicodedata.category(char)[0] == "Z"
    return _NORMALIZER.normalize_str(char) == form and (is_space or library_mark == mark)


class Generator:
    """Draws texts of many kinds from one seed."""

    def __init__(self, vocab: list[str], seed: int) -> None:
        """Take the vocabulary, parts of which are strung together, and the seed."""
        self._random = np.random.default_rng(seed)
        self._pieces = [p for p in vocab if is_row(p) and all(agrees(c) for c in p)]
        self._kinds: tuple[Callable[[], str], ...] = (
            self._script_words,
            self._script_words,
            self._mixed,
            self._vocabulary,
            self._identifiers,
            self._prose,
            self._noise,
            self._long_word,
        )

    def text(self) -> str:
        """Return one text."""
        return self._kinds[self._random.integers(len(self._kinds))]()

    def _pick(self, items: str | list[str] | tuple[str, ...]) -> str:
        return items[self._random.integers(len(items))]

    def _between(self, low: int, high: int) -> int:
        return int(self._random.integers(low, high + 1))

    def _char(self, script: str) -> str:
        """Return one character of a script on whose class all agree."""
        while True:
            ranges = SCRIPTS[script]
            low, high = ranges[self._random.integers(len(ranges))]
            char = chr(self._between(low, high))
            if agrees(char):
                return char

    def _word(self, script: str, longest: int = 12) -> str:
        return "".join(self._char(script) for _ in range(self._between(1, longest)))

    def _script(self) -> str:
        return self._pick(list(SCRIPTS))

    def _script_words(self) -> str:
        script = self._script()
        return " ".join(self._word(script) for _ in range(self._between(1, 6)))

    def _mixed(self) -> str:
        words = [self._word(self._script(), 6) for _ in range(self._between(2, 8))]
        return self._pick(("", " ", "_", "-", "\n")).join(words)

    def _vocabulary(self) -> str:
        pieces = [self._pick(self._pieces) for _ in range(self._between(1, 20))]
        glue = self._pick(("", " "))
        return glue.join(p.removeprefix("##") for p in pieces)

    def _identifiers(self) -> str:
        words = [self._pick(WORDS) for _ in range(self._between(2, 12))]
        words = [self._pick((w, w.upper(), w.title(), w.capitalize())) for w in words]
        glue = ("", "", ".", "_", " ", "::", "(", ")", "=", "/")
        return "".join(w + self._pick(glue) for w in words)

    def _prose(self) -> str:
        words = " ".join(self._pick(SENTENCES) for _ in range(2)).split(" ")
        kept = [self._pick(words) for _ in range(self._between(3, 16))]
        return " ".join(kept)

    def _noise(self) -> str:
        text = list(self._prose() if self._between(0, 1) else self._mixed())
        for _ in range(self._between(1, 12)):
            at = self._between(0, len(text))
            source = self._pick((SPACES, CONTROLS, PUNCTUATION))
            text.insert(at, self._pick(source))
        return "".join(text)

    def _long_word(self) -> str:
        script = self._pick(("latin", "cyrillic", "hangul", "marks", "greek"))
        size = self._pick(("90", "99", "100", "101", "102", "200"))
        word = "".join(self._char(script) for _ in range(int(size)))
        return f"{self._pick(WORDS)} {word} {self._pick(WORDS)}"


def public_lines(data: Path, count: int, seed: int) -> list[str]:
    """Return lines and paragraphs drawn from the public data."""
    texts = corpus.load(data)
    found = [line for _, text in texts.chunks() for line in text.split("\n")]
    found += [text for _, text in texts.chunks()]
    found += [t["question"] for t in texts.threads]
    random = np.random.default_rng(seed)
    picked = random.permutation(len(found))[: 2 * count]
    kept = [found[i][:MAX_LINE_CHARS] for i in picked if found[i].strip()]
    return [t for t in kept if all(agrees(c) for c in t)][:count]


def texts_for(options: argparse.Namespace, vocab: list[str]) -> list[str]:
    """Return the texts: the written ones, then public lines if wanted, then generated ones."""
    out = list(dict.fromkeys(SENTENCES))
    if options.data:
        out += public_lines(options.data, options.count // 2, options.seed)
    generator = Generator(vocab, options.seed)
    seen = set(out)
    while len(out) < options.count:
        text = generator.text()
        if text not in seen:
            seen.add(text)
            out.append(text)
    return out[: options.count]


def lines(texts: list[str], pieces: WordPieces, dense: np.ndarray) -> Iterator[str]:
    """Yield the JSON lines; every tenth text that has tokens carries its vector."""
    every = max(len(texts) // N_VECTORS, 1)
    pending, written = 0, 0
    for number, text in enumerate(texts):
        rows, unknown = pieces.rows(text)
        line: dict[str, object] = {"text": text, "ids": rows, "unk": unknown}
        pending += number % every == 0
        if pending and rows and written < N_VECTORS:
            vector = table.embed(dense, rows).astype("<f4")
            line["vec"] = base64.b64encode(vector.tobytes()).decode("ascii")
            pending, written = pending - 1, written + 1
        yield json.dumps(line, separators=(",", ":"))


def print_classes() -> None:
    """Print the assigned code points on which library and current Unicode differ."""
    codes = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and not agrees(chr(c))]
    print(f"{len(codes)} code points differ (Unicode {unicodedata.unidata_version} here)")
    start = None
    for code, following in zip(codes, codes[1:] + [-1], strict=True):
        start = code if start is None else start
        if following != code + 1:
            print(f"{start:05X}-{code:05X} {unicodedata.category(chr(start))}")
            start = None


def main() -> int:
    """Write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=TARGET, help="file to write (%(default)s)")
    parser.add_argument("--table", type=Path, default=OUTPUT, help="table (%(default)s)")
    parser.add_argument("--model", type=Path, help="model folder (default: the package's)")
    parser.add_argument("--count", type=int, default=1000, help="number of texts (%(default)s)")
    parser.add_argument("--seed", type=int, default=20261121, help="seed (%(default)s)")
    parser.add_argument("--data", type=Path, help="public data to draw half of the texts from")
    parser.add_argument("--classes", action="store_true", help="list disagreeing code points")
    options = parser.parse_args()
    if options.classes:
        print_classes()
        return 0
    pieces = WordPieces(read_vocab(model_folder(options.model) / "vocab.txt"))
    read = table.read(options.table)
    if read.pieces != [pieces.vocab[i].encode() for i in pieces.order]:
        raise SystemExit(f"{options.table}: made for another vocabulary")
    texts = texts_for(options, pieces.vocab)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", encoding="ascii", newline="\n") as stream:
        stream.writelines(line + "\n" for line in lines(texts, pieces, read.dense()))
    print(f"wrote {options.out}: {len(texts)} texts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
