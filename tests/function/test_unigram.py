"""SentencePiece's unigram model without the library, held against the library itself."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pilotlight.errors import ModelError, SourceError
from pilotlight.function.unigram import Unigram, load
from pilotlight.optimize.sequences import pieces

SENTENCES = Path(pieces.__file__).parents[1] / "samples" / "translation.jsonl"
WORDS = "the train leaves house child window rice fish apples market book school tired early week bread price"
SPECIAL = ("</s>", "<unk>", "<pad>")

Pair = tuple[Unigram, Any, dict[str, int]]


def trained(folder: Path, **options: Any) -> Path:
    """A SentencePiece model of few sentences, in English, Chinese, German, French, Spanish."""
    lines = [json.loads(line)["text"] for line in SENTENCES.read_text(encoding="utf-8").splitlines()]
    (folder / "lines.txt").write_text("\n".join([*lines, WORDS] * 3), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "lines.txt"),
        model_prefix=str(folder / "source"),
        **{
            **{
                "vocab_size": 420,
                "character_coverage": 0.98,
                "hard_vocab_limit": False,
                "minloglevel": 2,
                "bos_id": -1,
            },
            **options,
        },
    )
    return folder / "source.model"


def numbered(library: Any) -> dict[str, int]:
    """A vocabulary as Marian has it; the last of the model's pieces is missing, and one character is there besides."""
    known = [library.id_to_piece(number) for number in range(len(library) - 1)]
    texts = ["</s>", "<unk>", *(text for text in known if text not in SPECIAL), "龘", "<pad>"]
    return {text: number for number, text in enumerate(texts)}


def both(folder: Path, **options: Any) -> Pair:
    file = trained(folder, **options)
    library = sentencepiece.SentencePieceProcessor(model_file=str(file))
    numbers = numbered(library)
    written = pieces.write(pieces.read(file), numbers, numbers, folder)
    return load(str(folder), {**written, "special": [numbers[text] for text in SPECIAL]}), library, numbers


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return both(tmp_path_factory.mktemp("pieces"), normalization_rule_name="nmt_nfkc")


def right(library: Any, numbers: dict[str, int], text: str) -> list[int]:
    """As transformers' MarianTokenizer has it: the library's pieces, looked up by their text."""
    return [numbers.get(piece, numbers["<unk>"]) for piece in library.encode(text, out_type=str)]


ODD = "\u2581\u3000\u00a0\u200b\u200d\ufeff\u0301\u0308\u00e9\u1100\u1161\u11a8\uff21\uff76\uff9e\U0001f600"
LETTERS = st.one_of(
    st.characters(codec="utf-8"),
    st.sampled_from(f"aetn .,'{ODD}龘火车"),
    st.characters(codec="ascii"),
)
TEXTS = st.text(LETTERS, max_size=40)


@settings(max_examples=400, deadline=None)
@given(TEXTS)
@example("")
@example("   ")
@example("a\0b")
@example("\u2581 \u2581")
@example("e\u0301\u0301 ｶﾞ ﬁ ① ㎏ ª")
@example("\U0001f469\u200d\U0001f680 \U0001f1e9\U0001f1ea")
@example("龘龘 龘a")
@example("\x00\x01\x1f\x7f\x80\x9f\u2028\u2029")
def test_texts_become_the_same_numbers(pair: Pair, text: str) -> None:
    ours, library, numbers = pair
    assert ours.normalise(text.encode()).decode() == library.normalize(text)
    assert ours.encode(text) == right(library, numbers, text)


def test_every_character_of_the_first_plane_becomes_the_same_numbers(pair: Pair) -> None:
    ours, library, numbers = pair
    texts = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000]
    joined = [f"a{''.join(texts[at : at + 64])}b" for at in range(0, len(texts), 64)]
    alone = [text for text in texts if not "\u3400" <= text < "\uf900"]
    for text in [*alone, *joined]:
        assert ours.encode(text) == right(library, numbers, text), hex(ord(text[0]))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 420), max_size=20))
def test_numbers_become_the_same_text(pair: Pair, chosen: list[int]) -> None:
    ours, library, numbers = pair
    texts = {number: text for text, number in numbers.items()}
    known = [texts[number] for number in chosen if number in texts and texts[number] not in SPECIAL]
    assert ours.decode(chosen) == library.decode_pieces(known).replace("\u2581", " ").strip()


@pytest.mark.parametrize(
    "options",
    [
        {"normalization_rule_name": "nfkc_cf"},
        {"normalization_rule_name": "identity"},
        {"add_dummy_prefix": False},
        {"remove_extra_whitespaces": False},
        {"user_defined_symbols": ["<hour>", "<ho", "火"]},
        {"split_by_whitespace": False},
    ],
    ids=lambda options: "-".join(map(str, next(iter(options.items())))),
)
def test_other_settings_are_followed(tmp_path: Path, options: dict[str, Any]) -> None:
    ours, library, numbers = both(tmp_path, **options)

    @settings(max_examples=150, deadline=None)
    @given(st.one_of(TEXTS, st.lists(st.sampled_from(["<hour>", "<ho", " ", "火", "The ", "e", "ß"])).map("".join)))
    def same(text: str) -> None:
        assert ours.normalise(text.encode()).decode() == library.normalize(text)
        assert ours.encode(text) == right(library, numbers, text)

    same()


def test_bytes_stand_for_unknown_characters(tmp_path: Path) -> None:
    ours, library, numbers = both(tmp_path, byte_fallback=True, vocab_size=600)
    texts = {number: text for text, number in numbers.items()}

    @settings(max_examples=200, deadline=None)
    @given(TEXTS)
    @example("et")  # of which a part is unknown, for want of a byte among the pieces
    def same(text: str) -> None:
        encoded = ours.encode(text)
        assert encoded == right(library, numbers, text)
        known = [texts[number] for number in encoded if texts[number] not in SPECIAL]
        assert ours.decode(encoded) == library.decode_pieces(known).strip()

    same()


def test_a_lone_surrogate_is_a_replacement_character(pair: Pair) -> None:
    assert pair[0].encode("a\ud800b") == pair[0].encode("a\ufffdb")


def test_a_piece_is_found_by_its_text(pair: Pair) -> None:
    ours, _, numbers = pair
    assert [ours.number(text) for text in ("</s>", "龘", "<pad>", "no such piece", "")] == [
        *(numbers["</s>"], numbers["龘"], numbers["<pad>"]),
        *(None, None),
    ]
    assert len(ours) == len(numbers)


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"source\.model: it is no unigram model"):
        pieces.read(trained(tmp_path, model_type="bpe"))


@pytest.mark.parametrize("content", [b"", b"\x0a", b"\x0a\x7f", b"{}", b"\xff" * 20])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "source.spm").write_bytes(content)
    with pytest.raises(ModelError, match=r"source\.spm: it is no SentencePiece model, or damaged"):
        pieces.read(tmp_path / "source.spm")


@pytest.mark.parametrize(
    ("cut", "reason"),
    [(slice(0, 10), "it is cut"), (slice(0, -4), "it has "), (slice(1, None), "it holds no pieces of this version")],
)
def test_a_damaged_file_is_refused(tmp_path: Path, cut: slice, reason: str) -> None:
    model = pieces.Sentences([("<unk>", 0, 2), ("\u2581a", -1, 1)], flags={"type": 1, "suffix": 0, "bytes": 0})
    numbers = {"<unk>": 0, "\u2581a": 1}
    written = pieces.write(model, numbers, numbers, tmp_path)
    (tmp_path / pieces.FILE).write_bytes((tmp_path / pieces.FILE).read_bytes()[cut])
    with pytest.raises(ModelError, match=reason):
        load(str(tmp_path), {**written, "special": []})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"loading .*/pieces\.bin: No such file"):
        load(str(tmp_path), {"file": "pieces.bin"})


def test_vocabularies_may_be_apart(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text('{"<unk>": 0, "a": 1}')
    assert pieces.vocabularies(tmp_path) == ({"<unk>": 0, "a": 1}, {"<unk>": 0, "a": 1})
    (tmp_path / "target_vocab.json").write_text('{"<unk>": 0, "b": 1}')
    assert pieces.vocabularies(tmp_path) == ({"<unk>": 0, "a": 1}, {"<unk>": 0, "b": 1})


@pytest.mark.parametrize("content", ["", "[]", '{"a": "b"}', '{"a": -1}', '{"a": true}'])
def test_what_is_no_vocabulary_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "vocab.json").write_text(content)
    with pytest.raises(ModelError, match=r"vocab\.json: not a"):
        pieces.vocabularies(tmp_path)


def words(trie: Sequence[int], text: bytes) -> list[int]:
    from pilotlight.function.unigram import _prefixes

    return [value for _, value in _prefixes(memoryview(trie), text, 0)]  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.sets(st.binary(min_size=1, max_size=4).filter(lambda key: 0 not in key), max_size=300), st.binary(max_size=5))
def test_a_double_array_finds_every_key_that_begins_a_text(keys: set[bytes], text: bytes) -> None:
    from pilotlight.optimize.sequences import doublearray

    ordered = sorted(keys)
    trie = doublearray.build([(key, number) for number, key in enumerate(ordered)])
    for probe in [*ordered, text]:
        assert words(trie, probe) == [number for number, key in enumerate(ordered) if probe.startswith(key)]
