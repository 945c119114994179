"""The tokenizer of the cold path against the library `tokenizers`, with a vocabulary of BERT's size.

    python benchmarks/wordpiece.py [--runs 15] [--vocabulary FILE]

needs the extra `text`. Without `--vocabulary` one is made: 30,522 pieces of the length that English ones have. Both
sides load what they would serve, vocab.txt with its index and tokenizer.json, in fresh processes in turn, and must
give the same numbers and places. Prints a table and writes it to `benchmarks/results/wordpiece.md`.
"""

import argparse
import json
import random
import string
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import machine
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from pilotlight.optimize.wordpiece import write_index

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = 30_522
SHORT = 128  # pieces
LONG = 1_000_000  # characters
JOBS = {"load": "import, load, first text", "short": f"{SHORT} pieces, words seen before", "long": "1 MB of text, once"}

SIDE = """
import sys, time
started = time.perf_counter()
from pilotlight.function import tokenizer
import json
folder, settings = sys.argv[1], json.loads(sys.argv[2])
loaded = tokenizer.load(folder, settings)
done = loaded.encode("What is it?")
load = time.perf_counter() - started
texts = {name: open(f"{folder}/{name}.txt", encoding="utf-8").read() for name in ("short", "long")}
loaded.encode(texts["short"])
times = []
for number in range(51):
    started = time.perf_counter()
    short = loaded.encode(texts["short"])
    times.append(time.perf_counter() - started)
started = time.perf_counter()
long = loaded.encode(texts["long"])
taken = time.perf_counter() - started
check = [len(short.ids), hash((*short.ids, *short.offsets)), len(long.ids), hash((*long.ids, *long.offsets))]
print(json.dumps({"load": load, "short": sorted(times)[25], "long": taken, "check": check}))
"""


def words(number: int) -> Iterator[str]:
    """Words of English length, always the same."""
    chance = random.Random(number)
    while True:
        yield "".join(chance.choices(string.ascii_lowercase, k=chance.choice((1, 2, 3, 4, 4, 5, 6, 7, 8, 10))))


def vocabulary() -> list[str]:
    """Special pieces, letters, and as many whole words and ends of words as make BERT's number."""
    pieces = dict.fromkeys([*SPECIAL, *string.punctuation, *string.ascii_lowercase])
    pieces.update(dict.fromkeys(f"##{letter}" for letter in string.ascii_lowercase))
    for word in words(1):
        if len(pieces) == PIECES:
            return list(pieces)
        pieces[f"##{word}" if len(pieces) % 5 == 0 else word] = None
    raise AssertionError


def prose(pieces: list[str], characters: int) -> str:
    """Sentences of words from the vocabulary, the first ones more often, and of some that are not in it."""
    chance = random.Random(2)
    known = [piece for piece in pieces if piece.isalpha()]
    others, text, length = words(3), [], 0
    while length < characters:
        word = next(others) if chance.random() < 0.05 else known[int(len(known) * chance.random() ** 4)]
        text.append(word + chance.choices(("", ",", "."), (12, 1, 1))[0])
        length += len(text[-1]) + 1
    return " ".join(text).capitalize()[:characters]


def prepare(folder: Path, pieces: list[str]) -> dict[str, str]:
    """Write what both load and encode; the settings of each."""
    made = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.add_special_tokens(SPECIAL)
    made.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    write_index(folder / "vocab.txt")
    long = prose(pieces, LONG)
    places = made.encode(long[:5000]).offsets
    (folder / "short.txt").write_text(long[: places[SHORT - 1][1]], encoding="utf-8")
    (folder / "long.txt").write_text(long, encoding="utf-8")
    return {
        "Pilotlight": json.dumps({"type": "wordpiece", "vocabulary": "vocab.txt", "special": SPECIAL}),
        "library": json.dumps({"type": "tokenizers", "file": "tokenizer.json"}),
    }


def measure(folder: Path, sides: dict[str, str], runs: int) -> dict[tuple[str, str], list[float]]:
    """Seconds of each side and job; one unmeasured run of each goes first, which compiles."""
    times: dict[tuple[str, str], list[float]] = {(side, job): [] for job in JOBS for side in sides}
    for number in range(runs + 1):
        said = {side: side_of(folder, settings) for side, settings in sides.items()}
        if len({str(each["check"]) for each in said.values()}) > 1:
            sys.exit(f"the two differ: {said}")
        for side, job in times if number else ():
            times[side, job].append(said[side][job])
    return times


def side_of(folder: Path, settings: str) -> dict[str, float]:
    command = [sys.executable, "-c", SIDE, str(folder), settings]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=machine.environ())
    return json.loads(done.stdout)


def table(times: dict[tuple[str, str], list[float]], runs: int) -> list[str]:
    lines = ["# WordPiece: Pilotlight's against the library `tokenizers`", ""]
    lines += ["| median (least) ms | Pilotlight | library | library / Pilotlight |", "|---|---|---|---|"]
    for job, name in JOBS.items():
        ours, theirs = times["Pilotlight", job], times["library", job]
        cells = (f"{median(each) * 1000:.2f} ({min(each) * 1000:.2f})" for each in (ours, theirs))
        lines.append(f"| {name} | {' | '.join(cells)} | {median(theirs) / median(ours):.2f} |")
    return [
        *lines,
        "",
        f"{runs} fresh processes of each, in turn, page cache warm. Same numbers and places on both sides.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="processes of each kind (default 15)")
    parser.add_argument("--vocabulary", type=Path, help="a vocab.txt to use instead")
    options = parser.parse_args()
    given = options.vocabulary
    pieces = given.read_text(encoding="utf-8").splitlines() if given else vocabulary()
    with tempfile.TemporaryDirectory() as folder:
        sides = prepare(Path(folder), pieces)
        machine.write("wordpiece", table(measure(Path(folder), sides, options.runs), options.runs), ("tokenizers",))


if __name__ == "__main__":
    main()
