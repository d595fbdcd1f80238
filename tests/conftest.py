"""What every test shares."""

from hypothesis import settings

# A slow machine is no failure; the examples decide.
settings.register_profile("default", deadline=None)
settings.load_profile("default")
