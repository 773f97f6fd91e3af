"""``python -m orchestrator.submitted PLACES STUDY ...``: the cluster's end of a submission, which Ray's Jobs API starts.

It makes sure that relative paths of the submitting machine are the same places here, and is then the sweep.
"""

from __future__ import annotations

import json
import sys

from orchestrator.command import command_line
from orchestrator.submission.places import check_places
from orchestrator.sweep import app


def main() -> None:
    """Run the sweep as a driver of the cluster that this process is a job of."""
    places, *arguments = sys.argv[1:]
    check_places(json.loads(places))
    app(["--address=auto", *arguments])


if __name__ == "__main__":
    command_line(main)
