"""The browser that looks at pages."""

from __future__ import annotations

import shutil

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str | None:
    """Path of a Chromium on the search path; None without one."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)
