"""Lua scripts: every atomic change of the store is one, so that it happens whole, alone, and in one round trip.

    Script(body, LUA of a part, LUA of another …)     source = prelude + these + body; sent once, then its SHA-1

Conventions, for all parts:

* A part that others' changes call offers a text `LUA` of `local function`s and, beside it, Python functions that
  prepare their arguments. Names of functions are unique over all parts. These are called by `accept`, `edit`,
  `erase`, `erased` and `sweep`, inside their own scripts:
    activity     `note(rows, most)`, rows made by Python's `noted(event)`, most by `rows_kept(max_bytes)`;
                 `note_items(ids)` · `forget(user)` · `forget_before(time)`
    experiments  `credit(one)`, made by Python's `credited(earned)`; `forget_unit(hex)`
    ids          `forget_id(provider, entity, id)`
    answers      `drop_answers_of(user)`
    subscription `ring(topic)`, by who tells other processes something
    records      a record is the hash `item:ID` or `user:ID`: see there
* In Lua, `A` is the argument that was given in Python (msgpack: lists, dicts, texts, numbers, booleans), and
  `key('log')`, `key('user', id)` are the names of keys. Never use a key that `key` has not made.
* In place of None send False: nil ends a Lua table. Bytes travel as text: a JSON body decoded, a hash in hex
  (`raw(hex)` makes bytes of it again).
* Numbers given to `redis.call` keep all of their digits, but `..` and `tostring` write only 14: use `whole(n)`
  in names and members (`%d`). Results: integers, texts and lists as Redis has them (a number loses its fraction:
  return `num(x)`), never nil inside a list.
* A script is never undone: check everything, then write. A memory that is full (`maxmemory`) refuses the first
  write and none after it, so nothing is written half.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Any, Final

import msgspec

PRELUDE: Final = """
local A = cmsgpack.unpack(ARGV[1])
local function key(...) return KEYS[1] .. table.concat({...}, ':') end
local function whole(n) return string.format('%d', n) end
local function num(x) return string.format('%.17g', x) end
local function raw(hex) return (hex:gsub('..', function(two) return string.char(tonumber(two, 16)) end)) end
"""


class Script:
    """One atomic change, or one consistent look."""

    def __init__(self, body: str, *parts: str) -> None:
        self.source = "\n".join((PRELUDE, *dict.fromkeys(parts), body))
        self.sha = sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def command(self, prefix: str, argument: Any) -> tuple[Any, ...]:
        """What is sent: the prefix is the one key, so that a cluster knows where all of them are."""
        return "EVALSHA", self.sha, 1, prefix, msgspec.msgpack.encode(argument)

    def __repr__(self) -> str:
        return f"Script({self.sha[:8]})"
