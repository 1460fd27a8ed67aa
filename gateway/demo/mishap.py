"""Why a demo cannot go on."""


class Mishap(Exception):
    """The demo ends here, with exit code 1; the message is for whoever started it."""
