"""Write deploy/grafana/dashboards: ``python deploy/grafana/source``; --check only says whether they are up to date."""

import json
import sys
from pathlib import Path

from batching import batching
from overhead import overhead
from overview import overview
from saturation import saturation
from stacks import stacks
from traffic import traffic

DIRECTORY = Path(__file__).parent.parent / "dashboards"


def main() -> int:
    """Exit code 1 when ``--check`` finds a file out of date, or one that nothing makes."""
    written = {
        f"{make.__name__}.json": json.dumps(make(), indent=1, ensure_ascii=False) + "\n"
        for make in (overview, traffic, stacks, overhead, batching, saturation)
    }
    if "--check" in sys.argv[1:]:
        return int({path.name: path.read_text(encoding="utf-8") for path in DIRECTORY.iterdir()} != written)
    for name, text in written.items():
        (DIRECTORY / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
