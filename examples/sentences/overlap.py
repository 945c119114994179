"""How much of a question stands in an answer: the four overlap features of SM-CNN, for training and for serving.

Severyn and Moschitti, "Learning to Rank Short Text Pairs with Convolutional Deep Neural Networks", SIGIR 2015. Standard
library only, since it ships.
"""

from collections.abc import Collection, Mapping

_STOP_WORDS = """
a an the this that these those such each every either neither any some no all both few more most much many other own
same i me my mine we us our ours you your yours he him his she her hers it its they them their theirs one who whom
whose which what when where why how and or but nor so yet if then than as while because until although though since
whether of at by for with about against between into through during before after above below to from up down in out
on off over under again further upon within without toward towards per via am is are was were be been being do does
did doing done have has had having can could will would shall should may might must ca wo n't not 's 'm 'd 're 've
'll there here just only very too also now once ever even still
. , ; : ? ! ( ) " ' ` - -- ... $ & %
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


def features(question: Collection[str], answer: Collection[str], idf: Mapping[str, float], rare: float) -> list[float]:
    """Common words and the sum of their idf, first of all words, then without stop words.

    Each is divided by the number of different words in both. `rare` is the idf of a word that `idf` lacks.
    """
    asked, answered = set(question), set(answer)
    return [*_shared(asked, answered, idf, rare), *_shared(asked - STOP_WORDS, answered - STOP_WORDS, idf, rare)]


def _shared(asked: set[str], answered: set[str], idf: Mapping[str, float], rare: float) -> tuple[float, float]:
    common = asked & answered
    words = len(asked) + len(answered) or 1  # nothing but stop words
    return len(common) / words, sum(idf.get(word, rare) for word in sorted(common)) / words
