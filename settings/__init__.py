"""Every setting: its name, its meaning and its check. For `server.py` and `composition/` alone.

A setting is an environment variable with the prefix `CARTOGRAPH_`, e.g. `CARTOGRAPH_TABLE`.
"""

from settings.declared import PREFIX, Settings
from settings.reading import describe, help_text, load

__all__ = ["PREFIX", "Settings", "describe", "help_text", "load"]
