"""What the emulated Algolia answers when it will not do as asked: a status and one sentence."""

from collections.abc import Mapping
from typing import Any


class Refused(Exception):
    """Ends a request with `{"message", "status"}`, or with an HTML page where the vendor sends one."""

    def __init__(self, status: int, message: str, *, html: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.html = html


def names(text: str) -> frozenset[str]:
    """The words of a text as a set: how long lists of members are written here."""
    return frozenset(text.split())


def member_names(value: Mapping[str, Any], known: frozenset[str], where: str, status: int = 400) -> None:
    """Refuse a member that the vendor does not know, by name."""
    for name in value:
        if name not in known:
            raise Refused(status, f"Unknown parameter: {name} in {where}")


def an_object(value: object, where: str, status: int = 400) -> dict[str, Any]:
    """The value as a JSON object, or a refusal that says where it should have been one."""
    if not isinstance(value, dict):
        raise Refused(status, f"{where} must be an object")
    return value


def a_list(value: object, where: str, status: int = 400) -> list[Any]:
    """The value as a JSON array, or a refusal that says where it should have been one."""
    if not isinstance(value, list):
        raise Refused(status, f"{where} must be an array")
    return value


def a_text(value: object, where: str, status: int = 400) -> str:
    """The value as a string, or a refusal that says where it should have been one."""
    if not isinstance(value, str):
        raise Refused(status, f"{where} must be a string")
    return value


def whole(value: object, where: str, low: int, high: int | None = None, status: int = 400) -> int:
    """The value as an integer within its bounds (a boolean is none)."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused(status, f"{where} must be an integer")
    if value < low or (high is not None and value > high):
        raise Refused(status, f"{where} must be in the range [{low}, {'∞' if high is None else high}]")
    return value
