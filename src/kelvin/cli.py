"""The command `kelvin`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kelvin.common import signals
from kelvin.common.errors import KelvinError, refused_by_system

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  rich_markup_mode=None)


@app.callback()
def kelvin() -> None:
    """Kelvin: one scale for hot and cold diffusion."""


@app.command()
def repro(
    stages: Annotated[list[str] | None, typer.Argument(
        metavar="[STAGE]...", help="Stages as DVC names them, with all that they need; default: all.",
        show_default=False)] = None,
    jobs: Annotated[int | None, typer.Option(
        "--jobs", "-j", min=1, show_default="2; on a running cluster as many as its threads",
        help="Stages side by side; with a batch system, the number of batch jobs.")] = None,
    dask: Annotated[str | None, typer.Option(
        "--dask", metavar="ADDRESS|KIND", show_default=False,
        help="Run the stages on a Dask cluster: its scheduler's address, or the kind of batch system "
             "(slurm, pbs, lsf, sge, ...) that dask-jobqueue is configured for. Its machines must see "
             "this folder and Python environment under the same paths (docs/clusters.md).")] = None,
) -> None:
    """Run every stage that is out of date, several at once, as `dvc repro` would one by one.

    \b
    kelvin repro                            everything, two stages side by side
    kelvin repro --jobs 8 train             every training, with what it needs
    kelvin repro evaluate@ddpm-default-0    one run's scores
    kelvin repro --dask tcp://head:8786     on a Dask cluster that runs
    kelvin repro --dask slurm --jobs 4      on four Slurm jobs

    Ends with status 0 when everything is up to date, 1 when a stage failed or a parameter is wrong, 2 for
    a wrong option, 130 after Ctrl-C, 143 after SIGTERM. A stage that was stopped goes on
    from its checkpoint the next time.
    """
    try:
        from kelvin.pipeline.runner import repro
        from kelvin.tracking.publishing import publish_missing

        if not repro(stages or (), jobs, dask):
            raise typer.Exit(1)
        publish_missing()
    except KeyboardInterrupt:
        signals.heard()
        print("\nStopped. Run it again to go on: finished stages are kept, others have checkpoints.")
        raise typer.Exit(signals.status()) from None


@app.command()
def plan(
    run: Annotated[str | None, typer.Argument(
        metavar="[RUN]", help="A run of params.yaml; default: every active one.",
        show_default=False)] = None,
) -> None:
    """Print runs as they resolve: every value, with the layer of params.yaml that it comes from.

    \b
    kelvin plan                 the active runs
    kelvin plan blur-strong     one run, active or not

    Nothing is written. Ends with status 1, and a line for each fault, where params.yaml is wrong.
    """
    from kelvin.config.explain import explain, text
    from kelvin.pipeline.checks.params import checked_params

    params = checked_params()
    for name in [run] if run else params.house.active:
        print(f"{name}\n{text(explain(params, name))}\n")


def main() -> None:
    try:
        with refused_by_system():
            app()
    except KelvinError as error:
        print(f"kelvin: {error}", file=sys.stderr)
        sys.exit(1)
