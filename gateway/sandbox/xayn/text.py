"""Text as the model sees it: words, their stems, and the vendor's two ways to shorten a long text."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

WORD = re.compile(r"\w+")
SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|\n+")
SHORT_BYTES = 512  # a snippet made by splitting or summarizing is at most this long
STOP_WORDS = frozenset(
    {"a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "from", "has", "have", "he", "her", "his"}
    | {"i", "in", "is", "it", "its", "of", "on", "or", "she", "that", "the", "their", "they", "this", "to"}
    | {"was", "we", "were", "which", "will", "with", "you"}
)


def words(text: str) -> list[str]:
    """The words of a text, in order, without case and accents."""
    plain = unicodedata.normalize("NFKD", text)
    return WORD.findall("".join(char for char in plain if not unicodedata.combining(char)).casefold())


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Plural and singular as one: the S-stemmer of D. Harman, "How effective is suffixing?" (1991)."""
    if len(word) > 4 and word.endswith("ies") and not word.endswith(("eies", "aies")):
        return f"{word[:-3]}y"
    if len(word) > 3 and word.endswith("es") and not word.endswith(("aes", "ees", "oes")):
        return word[:-1]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("us", "ss")):
        return word[:-1]
    return word


def terms(found: Iterable[str]) -> Counter[str]:
    """How often each stem occurs among words, stop words left out."""
    return Counter(stem(word) for word in found if word not in STOP_WORDS)


def split(text: str) -> list[str]:
    """A text as snippets of whole sentences, each of at most 512 bytes."""
    pieces: list[str] = []
    for sentence in sentences(text):
        pieces.extend([sentence] if _size(sentence) <= SHORT_BYTES else _packed(_chopped(sentence)))
    return _packed(pieces)


def summarize(text: str) -> str:
    """Those sentences that have the text's most frequent words, in their order, at most 512 bytes.

    Where even one sentence is longer, its beginning (after H. P. Luhn, 1958).
    """
    weight = terms(words(text))
    chosen: set[int] = set()
    parts = sentences(text)
    for place in sorted(range(len(parts)), key=lambda place: (-_salience(parts[place], weight), place)):
        summary = " ".join(parts[other] for other in sorted(chosen | {place}))
        if _size(summary) <= SHORT_BYTES:
            chosen.add(place)
    return " ".join(parts[place] for place in sorted(chosen)) or split(text)[0]


def sentences(text: str) -> list[str]:
    return [part for part in (raw.strip() for raw in SENTENCE_END.split(text)) if part]


def _salience(sentence: str, weight: Counter[str]) -> float:
    counted = terms(words(sentence))
    return sum(weight[term] * count for term, count in counted.items()) / (1 + sum(counted.values()))


def _packed(pieces: Iterable[str]) -> list[str]:
    packed: list[str] = []
    for piece in pieces:
        if packed and _size(packed[-1]) + 1 + _size(piece) <= SHORT_BYTES:
            packed[-1] = f"{packed[-1]} {piece}"
        else:
            packed.append(piece)
    return packed


def _chopped(sentence: str) -> list[str]:
    """The words of a sentence, a word that is itself too long in parts (UTF-8: at most 4 bytes each)."""
    step = SHORT_BYTES // 4
    return [word[at : at + step] for word in sentence.split() for at in range(0, len(word), step)]


def _size(text: str) -> int:
    return len(text.encode())
