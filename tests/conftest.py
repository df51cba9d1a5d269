"""Property tests: no deadline for an example, since the machines that run them are shared."""

from hypothesis import settings

settings.register_profile("shared", deadline=None, max_examples=60)
settings.load_profile("shared")
