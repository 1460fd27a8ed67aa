"""`gateway try`: one request to one provider, through the real code, and the whole dialogue on paper.

configuration ▸ this one provider, opened ▸ login ▸ asked ▸ tailoring ▸ provider ─▸ vendor
                                                               recording ◂──┘
what is printed: every request and answer, then the normalized result, or what went wrong and where to look

trial.py       the provider, opened and asked          recording.py   what went over the wire
telling.py     the dialogue as text                     advice.py      an error in plain words, and the option
                                                                       that it is about
"""

from gateway.trying.command import try_

__all__ = ["try_"]
