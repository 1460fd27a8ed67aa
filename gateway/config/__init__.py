"""The configuration: one YAML file, read, checked, compared and hashed. What stands in it: `gateway schema`.

load ▸ Loaded ┬▸ configuration    the sections as types (`model`)
              ├▸ warnings()       what parses but will hurt
              ├▸ effective()      without secrets ▸ diff() against a running gateway's
              └▸ epoch()          a keyed hash
ConfigError ◂ all mistakes, each with file, line and path
"""

from gateway.config.changes import Changes, diff
from gateway.config.effective import effective, epoch
from gateway.config.hazards import Hazard, warnings
from gateway.config.loading import Loaded, load
from gateway.config.mistakes import ConfigError, Mistake
from gateway.config.model import Configuration, ConfiguredProvider
from gateway.config.schema import json_schema

__all__ = [
    "Changes", "ConfigError", "Configuration", "ConfiguredProvider", "Hazard", "Loaded", "Mistake", "diff",
    "effective", "epoch", "json_schema", "load", "warnings",
]  # fmt: skip
