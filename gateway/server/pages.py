"""The API for people."""


def docs_page() -> bytes:
    return b""


def problem_page(slug: str) -> bytes | None:
    return b"" if slug else None
