"""Questions and contexts for the comparison with transformers: short, long, of many scripts, and odd."""

# ruff: noqa: RUF001

import random
from collections.abc import Iterator
from typing import NamedTuple

SENTENCES = (
    "The lighthouse at Kvaløya was built in 1902 by Ingrid Solberg, an engineer from Tromsø.",
    "Its lamp burned paraffin until 1938; since then a 1,000-watt bulb has turned above the strait.",
    'The keeper, Mr. O\'Neill, wrote in his log: "Nothing but fog -- and gulls."',
    "In the winter of '87 the supply boat didn't come for forty-three days.",
    "Twelve people live on the island today (in summer, about 60).",
    "Le phare a été restauré en 2004 grâce à un don de Mme Hélène Dufrêne.",
    "Der Leuchtturmwärter züchtete Schafe; seine Söhne fuhren nach Ålesund.",
    "Маяк построили из красного гранита, который привезли из Выборга.",
    "灯塔建于1902年，由工程师英格丽设计。它高达三十八米。",
    "灯台守は毎晩七時にランプを点けました。霧の日には鐘を鳴らします。",
    "등대는 1902년에 세워졌고 지금은 박물관입니다.",
    "بني المنار عام ١٩٠٢ على جزيرة صغيرة.",
    "प्रकाशस्तंभ 1902 में बनाया गया था।",
    "ประภาคารนี้สร้างขึ้นในปี 1902",
    "Visitors love it 😀👍🏽, and the café 👨‍👩‍👧 sells waffles for €4.50 each!",
    "Write to keeper@kvaloya.example or see https://kvaloya.example/visit?lang=en#hours.",
    "A tube of 3.5 cm × 12 cm, at −7 °C, held ½ litre of H₂O.",
    "Naïve café owners coöperate: Ａ ﬁne ﬂat of ４２ m².",
    "Supercalifragilisticexpialidocious antidisestablishmentarianism incomprehensibilities.",
    "Zero\u200bwidth, soft\u00adhyphen, no\u00a0break, tab\there, line\nbreak and e\u0301 decomposed.",
)
ODD = ("Yes", "😀", "😀😀 👍🏽", "灯", "[SEP] and [CLS] are no words, [MASK] neither.", "  ¿Sí?  ", "a\u0000b\ufeffc d")
QUESTIONS = (
    "Who built the lighthouse?",
    "When?",
    "How many people live there today, and how many in summer?",
    "Wer züchtete Schafe auf der Insel?",
    "Où se trouve le phare restauré ?",
    "谁设计了灯塔？",
    "Кто построил маяк?",
    "What costs €4.50 😀?",
    "what did mr. o'neill write in his log",
)
OPTIONS: tuple[dict[str, object], ...] = (
    {},
    {"top_k": 3},
    {"top_k": 10},
    {"handle_impossible_answer": True},
    {"handle_impossible_answer": True, "top_k": 100},  # so many that no answer is one of them
    {"max_answer_len": 1},
    {"max_answer_len": 40, "top_k": 2},
    {"max_seq_len": 64},
    {"max_seq_len": 64, "top_k": 60, "handle_impossible_answer": True},
    {"max_seq_len": 96, "doc_stride": 20},
    {"max_seq_len": 128, "padding": "max_length"},
    {"padding": "longest", "top_k": 2},
)


class Case(NamedTuple):
    question: str
    context: str
    options: dict[str, object]  # as the pipeline calls them


def cases() -> Iterator[Case]:
    """Each sentence alone, then pairs of sentences, then texts of up to thousands of tokens."""
    chance = random.Random(1902)
    for index in range(200):
        question = QUESTIONS[index % len(QUESTIONS)]
        options = OPTIONS[index % len(OPTIONS)]
        if index < len(SENTENCES):
            context = SENTENCES[index]
        else:
            context = " ".join(chance.choices(SENTENCES, k=chance.choice((1, 2, 3, 5, 8, 30))))
        yield Case(question, context, options)
    for context in ODD:
        yield Case("What is it?", context, {"top_k": 2})
