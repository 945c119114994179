"""English text to tokens of the Penn Treebank, in lower case unless asked: the one tokenizer of training and serving.

The Stanford Sentiment Treebank comes tokenised (`it was n't good -LRB- at all -RRB- .`), people write `It wasn't good
(at all).`; both give the same tokens here, and tokens joined by blanks give themselves again. Two things differ from
the Treebank: words joined by hyphens are taken apart, since most such words are seen once, and accents are dropped.

Time is linear in the length of the text. Standard library only, since it ships.
"""

import re

_ACCENTS = dict(zip("àáâãäåçèéêëìíîïñòóôõöùúûüý", "aaaaaaceeeeiiiinooooouuuuy", strict=True))
_SPELLINGS = str.maketrans(
    {
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{EN DASH}": "--",
        "\N{EM DASH}": "--",
        "\N{HORIZONTAL ELLIPSIS}": "...",
        "`": "'",
        "\\": None,  # the Treebank writes 1\/2 and \*
        **_ACCENTS,
        **{accented.upper(): plain.upper() for accented, plain in _ACCENTS.items()},
    }
)
_BRACKETS = (("-lrb-", "("), ("-rrb-", ")"), ("''", '"'))
_TOKEN = r"""
      \w+?(?=n't\b) | can(?=not\b) | n't\b      # was|n't, can|not
    | '(?:s|m|d|re|ve|ll|em|til|n|\d0s)\b       # clitics, '70s
    | (?:[a-z]\.){2,}                           # u.s.
    | \d+(?:[.,]\d+)*\w*                        # 1,000  2.5  21st
    | \w+(?:'(?!(?:s|m|d|re|ve|ll)\b)\w+)*      # words, o'clock
    | \.{2,} | -{2,}
    | (?<!\w)- | -(?!\w)                        # a hyphen inside a word parts it and is dropped
    | [^\s\w-]
"""
_LOWER = re.compile(_TOKEN, re.VERBOSE)


def tokenize(text: str, limit: int = 1000, *, cased: bool = False) -> list[str]:
    """The first `limit` tokens of `text`, in its own case where it is to be `cased`."""
    text = (text if cased else text.lower()).translate(_SPELLINGS)
    for written, meant in _BRACKETS:
        text = text.replace(written, meant).replace(written.upper(), meant)
    pattern = re.compile(_TOKEN, re.VERBOSE | re.IGNORECASE) if cased else _LOWER
    return [match.group() for match, _ in zip(pattern.finditer(text), range(limit), strict=False)]
