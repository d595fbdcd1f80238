"""Programs that some tests need and that may not be there."""

import shutil


def find_browser():
    """Chromium or Chrome, None when there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
