"""The `filters` language: a lexer and a recursive-descent parser that accept what Algolia accepts, no more.

    conjunction := disjunction ("AND" disjunction)*
    disjunction := operand ("OR" operand)*             without parentheses OR binds tighter than AND
    operand     := "(" conjunction ")" | ["NOT"] filter        one level of parentheses, none under NOT
    filter      := name ":" value [score]              a facet
                 | name ":" number "TO" number         a range, both ends within
                 | name ("<" | "<=" | "=" | "!=" | ">=" | ">") number
                 | name [score]                        a tag
    score       := "<" "score" "=" whole ">"

An OR of which an operand holds an AND is refused, and so is one of several kinds of filter
(https://www.algolia.com/doc/guides/managing-results/refine-results/filtering/in-depth/combining-boolean-operators).
"""

import re
from dataclasses import dataclass

from gateway.sandbox.algolia.conditions import Clause, Condition, Conjunction, Facet, Number

TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')"""
    r"""|(?P<sign><=|>=|!=|<|>|=)|(?P<mark>[():])|(?P<word>[^\s():<>=!"']+)|(?P<end>$))""",
    re.DOTALL,
)
NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
KEYWORDS = frozenset({"AND", "OR", "NOT", "TO"})


class FilterError(ValueError):
    """The filter is not in the language; the message is fit for the caller."""


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    column: int

    def is_word(self, text: str) -> bool:
        return self.kind == "word" and self.text == text


def parse(text: str, *, negation: bool = True, scoring: bool = True) -> Conjunction:
    """Read a `filters` string; an empty one filters nothing.

    Without `negation` and `scoring` it is the subset that a rule's conditions take.

    Raises:
        FilterError: it is not in the language.
    """
    if not text.strip():
        return Conjunction()
    return _Parser(text, negation=negation, scoring=scoring).whole()


def number(text: str) -> Clause:
    """Read one entry of `numericFilters`: `price > 3` or `price:1 TO 5`."""
    clauses = parse(text, negation=False, scoring=False).clauses
    if len(clauses) != 1 or any(not isinstance(one, Number) for one in clauses[0].conditions):
        raise FilterError(f"numericFilters: '{text}' is no numeric filter")
    return clauses[0]


def one_kind(conditions: tuple[Condition, ...]) -> Clause:
    """A clause, unless it would mix kinds of filters."""
    kinds = {condition.kind for condition in conditions}
    if len(kinds) > 1:
        raise FilterError(f"filters: Different types are not allowed in the same OR ({', '.join(sorted(kinds))})")
    return Clause(conditions)


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    at = 0
    while True:
        match = TOKEN.match(text, at)
        if match is None:
            raise FilterError(f"filters: Unexpected token incomplete string or sign at col {at}")
        kind = str(match.lastgroup)
        found.append(Token(kind, _unquoted(match.group(kind), kind), match.start(kind)))
        if kind == "end":
            return found
        at = match.end()


def _unquoted(text: str, kind: str) -> str:
    return re.sub(r"\\([\\\"'])", r"\1", text[1:-1]) if kind == "quoted" else text


class _Parser:
    def __init__(self, text: str, *, negation: bool, scoring: bool) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0
        self._negation = negation
        self._scoring = scoring

    def whole(self) -> Conjunction:
        clauses = self._conjunction()
        if self._now.kind != "end":
            raise self._unexpected("end of filter")
        return Conjunction(tuple(clauses))

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    def _unexpected(self, expected: str) -> FilterError:
        token = self._now
        shown = "end of filter" if token.kind == "end" else f"'{token.text}'"
        return FilterError(f"filters: Unexpected token {shown} expected {expected} at col {token.column}")

    def _took(self, kind: str, text: str) -> bool:
        if self._now.kind != kind or self._now.text != text:
            return False
        self._at += 1
        return True

    def _take(self, kind: str, text: str, expected: str) -> None:
        if not self._took(kind, text):
            raise self._unexpected(expected)

    def _conjunction(self) -> list[Clause]:
        clauses = self._disjunction()
        while self._took("word", "AND"):
            clauses += self._disjunction()
        return clauses

    def _disjunction(self) -> list[Clause]:
        operands = [self._operand()]
        while self._took("word", "OR"):
            operands.append(self._operand())
        if len(operands) == 1:
            return operands[0]
        if any(len(operand) > 1 for operand in operands):
            raise FilterError("filters: filter (X AND Y) OR Z is not allowed, only (X OR Y) AND Z is allowed")
        return [one_kind(tuple(one for operand in operands for one in operand[0].conditions))]

    def _operand(self) -> list[Clause]:
        if self._took("mark", "("):
            if self._depth:
                raise FilterError("filters: only one level of parentheses is allowed")
            self._depth += 1
            clauses = self._conjunction()
            self._take("mark", ")", "')'")
            self._depth -= 1
            return clauses
        negative = self._now.is_word("NOT")
        if negative and not self._negation:
            raise FilterError("filters: NOT is not allowed here")
        self._at += negative
        return [Clause((self._filter(negative),))]

    def _string(self, expected: str) -> str:
        token = self._now
        if token.kind not in {"word", "quoted"} or not token.text:
            raise self._unexpected(expected)
        if token.kind == "word" and token.text in KEYWORDS:
            raise self._unexpected(expected)
        self._at += 1
        return token.text

    def _number(self) -> float:
        token = self._now
        if token.kind != "word" or not NUMBER.fullmatch(token.text):
            raise self._unexpected("numeric")
        self._at += 1
        return float(token.text)

    def _filter(self, negative: bool) -> Condition:
        name = self._string("filter")
        if self._took("mark", ":"):
            if self._tokens[min(self._at + 1, len(self._tokens) - 1)].is_word("TO"):
                return self._range(name, negative)
            value = self._string("string")
            return Facet(name, value, negative, self._score())
        if self._now.kind == "sign" and not self._score_ahead():
            sign = self._now.text
            self._at += 1
            return Number(name, ((sign, self._number()),), negative)
        return Facet("_tags", name, negative, self._score())

    def _range(self, name: str, negative: bool) -> Number:
        low = self._number()
        self._take("word", "TO", "'TO'")
        return Number(name, ((">=", low), ("<=", self._number())), negative)

    def _score_ahead(self) -> bool:
        following = self._tokens[min(self._at + 1, len(self._tokens) - 1)]
        return self._now.text == "<" and following.is_word("score")

    def _score(self) -> int:
        if not (self._now.kind == "sign" and self._score_ahead()):
            return 1
        if not self._scoring:
            raise FilterError("filters: filter scoring is not allowed here")
        self._at += 2
        self._take("sign", "=", "'='")
        score = self._now.text
        if not (score.isascii() and score.isdigit()):
            raise self._unexpected("a whole number")
        self._at += 1
        self._take("sign", ">", "'>'")
        return int(score)
