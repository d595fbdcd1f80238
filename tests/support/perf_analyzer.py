"""Where Triton's perf_analyzer is, if anywhere."""

import functools
import os
import shutil
import subprocess


@functools.cache
def find_perf_analyzer():
    """Its path, from $PERF_ANALYZER or the search path; None when there is none that runs on this machine."""
    path = shutil.which(os.environ.get("PERF_ANALYZER", "perf_analyzer"))
    # The wheel holds a program for a C library that is newer than many a system's.
    works = path and subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0
    return path if works else None
