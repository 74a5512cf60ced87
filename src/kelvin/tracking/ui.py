"""`kelvin ui`: publish what is missing, then become `mlflow ui` on 127.0.0.1, beside a process that shows
trainings in progress."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from kelvin.common.errors import KelvinError
from kelvin.tracking.live import start
from kelvin.tracking.publishing import active_runs, publish_missing
from kelvin.tracking.store import PREFIX, opened, tracking_uri

HOST = "127.0.0.1"


def ui(port: int) -> None:
    """Does not return; KelvinError outside the project's root, where a server runs already, and where
    the port is taken."""
    if not Path("params.yaml").exists():
        raise KelvinError("params.yaml is not here: run this from the project's root")
    uri = tracking_uri()
    if uri.startswith("http"):
        raise KelvinError(f"MLFLOW_TRACKING_URI is a server already: open {uri} in a browser")
    refuse_taken(port)
    new, old = publish_missing()
    print(f"{new} runs published, {old} were there. Open {page(port)}", flush=True)
    start()
    # one worker serves one person; four, and MLflow's job queues, take a gigabyte and a minute more
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "ui", "--host", HOST, "--port", str(port),
                              "--backend-store-uri", uri, "--workers", "1"])


def refuse_taken(port: int) -> None:
    """KelvinError where nothing can listen at a port."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            listener.bind((HOST, port))
        except OSError as error:
            other = port + 1 if 1024 <= port < 65535 else 5000
            raise KelvinError(f"port {port} cannot be used ({error.strerror}): choose another one, "
                              f"kelvin ui --port {other}") from error


def page(port: int) -> str:
    """The address where charts compare the runs of the data set; MLflow's first page without any."""
    with opened() as client:  # makes the database too, which the server's workers would all do at once
        experiment = client.get_experiment_by_name(PREFIX + active_runs().dataset)
    address = f"http://{HOST}:{port}"
    charts = f"/#/experiments/{experiment.experiment_id}/runs?compareRunsMode=CHART" if experiment else ""
    return address + charts
