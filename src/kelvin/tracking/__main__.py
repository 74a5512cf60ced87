"""`make ui`: publish what is missing, then become `mlflow ui` on 127.0.0.1."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from kelvin.common.errors import KelvinError
from kelvin.tracking.publishing import publish_missing
from kelvin.tracking.store import database, opened, tracking_uri


def ui(port: int) -> None:
    """Does not return; KelvinError outside the project's root, and where a server runs already."""
    if not Path("params.yaml").exists():
        raise KelvinError("params.yaml is not here: run this from the project's root")
    uri, db = tracking_uri(), database()
    if uri.startswith("http"):
        raise KelvinError(f"MLFLOW_TRACKING_URI is a server already: open {uri} in a browser")
    published, kept = publish_missing()
    if db is not None and not db.exists():
        with opened():  # its workers would all create the database at once
            pass
    print(f"{published} runs published, {kept} were there. Open http://127.0.0.1:{port}", flush=True)
    # one worker serves one person; four, and MLflow's job queues, take a gigabyte and a minute more
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1",
                              "--port", str(port), "--backend-store-uri", uri, "--workers", "1"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m kelvin.tracking")
    command = parser.add_subparsers(required=True).add_parser("ui", help="compare in a browser")
    command.add_argument("--port", type=int, default=5000)
    arguments = parser.parse_args()
    try:
        ui(arguments.port)
    except KelvinError as error:
        sys.exit(f"kelvin: {error}")


if __name__ == "__main__":
    main()
