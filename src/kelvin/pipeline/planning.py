"""From a resolved params.yaml to the plan: one small file for each instance of a stage."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from kelvin.artifacts.folders import RECORDED, DatasetFolders
from kelvin.artifacts.manifests import Manifest
from kelvin.artifacts.typed import type_fault
from kelvin.common.errors import KelvinError
from kelvin.common.files import project_root, read_json, write_text
from kelvin.config.digest import Code
from kelvin.config.entries import Record
from kelvin.config.plan import (
    ABOUT,
    FOLDER,
    PARAMETERS,
    CalibratePlan,
    Checked,
    CheckedMetrics,
    CheckedRun,
    ClassifierPlan,
    EvaluatePlan,
    Plan,
    PreparePlan,
    PretrainPlan,
    RawImages,
    RecordPlan,
    ReferencePlan,
    ReportPlan,
    SamplePlan,
    Start,
    TrackPlan,
    TrainPlan,
    Varied,
    checksum,
    plan_path,
)
from kelvin.config.resolve import Params, load, refusal
from kelvin.config.schema import MetricsCount, ReferenceConfig, RunConfig
from kelvin.config.values import Kinded, Section
from kelvin.config.vary import Variant
from kelvin.datasets.sources.raw_state import folder_fingerprint, raw_fingerprint

OWN_PART = re.compile(r'"kind": "([A-Za-z_][\w.]*):[A-Za-z_]\w*"')
MORPH = "morph"  # the one degradation that needs images of another data set


class Planner:
    """params: resolved; scripts: the folder of the stages' scripts; environ: names the raw data; every:
    {run: what `samplers: every` stands for}, as far as it is known."""

    def __init__(self, params: Params, scripts: Path, environ: Mapping[str, str], code: Code,
                 every: Mapping[str, list[str]] | None = None) -> None:
        self.params, self.house, self.code = params, params.house, code
        self.scripts, self.environ, self.every = scripts, environ, dict(every or {})
        self.common = {"dataset": self.house.dataset, "threads": self.house.threads}

    def plan(self, model: type[Plan], stage: str, **content: Any) -> Plan:
        """A stage's plan with the digest of its code, a user's own parts among it."""
        text = json.dumps(content, default=lambda o: o.model_dump())
        own = sorted(set(OWN_PART.findall(text)))
        return model(code=self.code.digest(self.scripts / f"{stage}.py", tuple(own)), own=own, **content)

    def files(self) -> Iterator[tuple[Path, Plan]]:
        """(path, plan) of every stage instance."""
        house, metrics = self.house, self.params.metrics
        reference = ReferenceConfig(**metrics.model_dump(include=set(ReferenceConfig.model_fields)))
        yield plan_path("prepare", house.dataset), self.plan(
            PreparePlan, "prepare", source=self.raw(house.dataset))
        yield plan_path("classifier"), self.plan(
            ClassifierPlan, "classifier", **self.common, classifier=self.params.classifier,
            limit=metrics.limit, seed=house.seed)
        yield plan_path("reference"), self.plan(ReferencePlan, "reference", **self.common,
                                                metrics=reference)
        yield plan_path("calibrate"), self.plan(CalibratePlan, "calibrate", **self.common,
                                                metrics=metrics)
        yield plan_path("pretrain"), self.pretrain()
        for name, replicate in self.params.active():
            run = self.run(name)
            about = {**self.common, "run": name, "replicate": replicate, "seed": house.seed + replicate}
            part = {"classes": run.classes, "split": run.split, "fold": run.fold}
            item = name, str(replicate)
            yield plan_path("train", *item), self.train(run, about)
            yield plan_path("sample", *item), self.plan(
                SamplePlan, "sample", **about, **part, source=run.source,
                ema_more=run.training.ema_more, sampling=run.sampling,
                samplers={s: house.samplers[s] for s in run.sampling.samplers},
                metrics=MetricsCount(images=metrics.images, limit=metrics.limit, bounded=metrics.bounded),
                seed_of_subsample=metrics.seed)
            yield plan_path("evaluate", *item), self.plan(EvaluatePlan, "evaluate", **about, **part,
                                                          metrics=metrics)
        yield plan_path("report"), self.plan(
            ReportPlan, "report", dataset=house.dataset, scale=house.scale, active=house.active,
            replicates=house.replicates, runs={name: self.run(name) for name in house.active},
            varied={name: self.varied(name, point)
                    for name, point in self.params.variants.items() if name in house.active},
            studies=house.studies, samplers=house.samplers, metrics=metrics, images=self.params.images,
            records={name: recorded(record) for name, record in house.records.items()})
        yield plan_path("track"), self.plan(
            TrackPlan, "track", dataset=house.dataset, replicates=house.replicates,
            studies={name: study.runs for name, study in house.studies.items()},
            titles={name: self.params.run(name).title for name in house.active})

    def run(self, name: str) -> RunConfig:
        """A run as stages read it: `samplers: every` written out."""
        run = self.params.run(name)
        if run.sampling.samplers != "every":
            return run
        if name not in self.every or ":" in run.degradation.kind:  # a user's own may have changed
            from kelvin.pipeline.checks.run import with_samplers  # its imports take seconds

            self.every[name] = with_samplers(self.params, run).sampling.samplers
        return run.drawn_by(self.every[name])

    def varied(self, name: str, point: Variant) -> Varied:
        """KelvinError for a declared sampler that the run does not draw by."""
        record = self.house.records[point.record]
        declared = record.samplers.get(point.run, [])
        samplers = self.run(name).sampling.samplers
        if absent := [s for s in declared if s not in samplers]:
            raise KelvinError(f"records.{point.record}.samplers.{point.run} names {absent[0]}, which "
                              f"runs.{name} does not draw by; it draws by {', '.join(samplers)}")
        return Varied(run=point.run, values=dict(point.values), tuned_by=record.tuned_by,
                      samplers=declared)

    def raw(self, dataset: str) -> RawImages:
        images = self.house.datasets[dataset].images
        return RawImages(dataset=dataset, images=images, raw=raw_fingerprint(images, self.environ))

    def train(self, run: RunConfig, about: dict[str, Any]) -> Plan:
        if run.source == "folder":
            roots = (Path("."), project_root())
            path = next((root / run.path for root in roots if (root / run.path).exists()), Path(run.path))
            own = {"config": None, "epoch_sampler": None, "path": run.path,
                   "raw": folder_fingerprint(path)}
        else:
            own = {"config": run.trained(), "path": None, "raw": None,
                   "epoch_sampler": self.house.samplers[run.sampling.epoch_sampler]}
            if self.params.metrics.bounded:
                own |= {"bounded": True, "limit": self.params.metrics.limit}
        return self.plan(TrainPlan, "train", **about, scale=self.house.scale, **own)

    def pretrain(self) -> Plan:
        scratch, starts = [], []
        for name, replicate in self.params.active():
            run = self.params.run(name)
            other = run.pretrain and run.pretrain.dataset
            source = self.raw(other) if other not in (None, self.house.dataset) else None
            blend = self.raw(self.house.blend) if run.degradation.kind == MORPH else None
            if run.pretrain or blend:
                starts.append(Start(run=name, replicate=replicate, config=run.trained(), source=source,
                                    blend=blend))
            else:
                scratch.append(f"{name}-{replicate}")
        return self.plan(PretrainPlan, "pretrain", **self.common, seed=self.house.seed, scratch=scratch,
                         starts=starts, checked=self.checked())

    def checked(self) -> Checked:
        """What the first stage that knows the images and the runs refuses."""
        folds = self.params.images.folds
        return Checked(metrics=part(CheckedMetrics, self.params.metrics), folds=folds and folds.k,
                       runs={name: part(CheckedRun, self.params.run(name)) for name in self.house.active})


def recorded(record: Record) -> RecordPlan:
    """Where a recorded study lies, and whether and as what it was made."""
    about = RECORDED / record.folder / ABOUT
    return RecordPlan(title=record.title, folder=record.folder,
                      made=checksum(about) if about.exists() else None)


def part(model: type[Section], whole: Section) -> Any:
    """The keys of a section that a smaller one has."""
    values = whole.model_dump(include=set(model.model_fields))
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section) \
                and not issubclass(field.annotation, Kinded):
            values[name] = part(field.annotation, getattr(whole, name))
    return model(**values)


def write_plan(script: Path, environ: Mapping[str, str]) -> list[Path]:
    """Validate params.yaml and write data/plan: files whose content is as it was are left alone, those
    of no stage instance are removed; returns what was written."""
    file, code = Path("params.yaml"), Code()
    if not file.is_file():
        load(file)  # which says what is wrong
    refuse_place(Path.cwd())
    state: dict[str, Any] = {"sha256": checksum(file), "checked": code.digest(script, left_out=())}
    every = every_before(state)
    fresh = every is None
    if fresh:
        from kelvin.pipeline.checks.params import checked_params  # its imports take seconds

        params = checked_params(file)
    else:
        params = load(file)
    planner = Planner(params, script.parent, environ, code, every)
    plans = dict(planner.files())
    if fresh:
        refuse_for_images(params, plans, environ)
    changed, texts = [], {path: text_of(plan) for path, plan in plans.items()}
    for path, text in texts.items():
        if not is_written(path, text):
            write_text(path, text)
            changed.append(path)
    for path in [path for path in FOLDER.rglob("*.json") if path not in {PARAMETERS, *texts}]:
        path.unlink()
    write_text(PARAMETERS, json.dumps(state | {"every": planner.every}) + "\n")
    code.remember()
    return changed


def refuse_place(root: Path) -> None:
    """KelvinError where the last stage could not write its database, whose address is quoted in SQL."""
    if {"'", '"'} <= set(str(root)):
        raise KelvinError(f"{root}: MLflow takes no path with both kinds of quotes (' and \"); rename a "
                          "folder of it")


def every_before(state: Mapping[str, Any]) -> dict[str, list[str]] | None:
    """What `samplers: every` stood for in each run when these parameters were checked by this code; None
    where they were not."""
    with suppress(OSError, ValueError, TypeError, LookupError, AttributeError):  # missing, or damaged
        before = read_json(PARAMETERS)
        if state.items() <= before.items():
            return dict(before["every"])
    return None


def text_of(plan: Plan) -> str:
    return json.dumps(plan.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"


def is_written(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def refuse_for_images(params: Params, plans: Mapping[Path, Plan], environ: Mapping[str, str]) -> None:
    """KelvinError where the images cannot carry what is planned: those that were prepared by this very
    plan, else what the raw files say of them. A folder or archive of the data set itself that is not
    there, or that cannot be read, is left to `prepare`, the first stage."""
    from kelvin.datasets.sources.find import data_roots
    from kelvin.pipeline.checks.expected import manifest_of, without_decoding
    from kelvin.pipeline.checks.images import manifest_faults, physical_memory, size_faults
    from kelvin.pipeline.checks.judges import judge_faults
    from kelvin.pipeline.checks.params import in_protocol_layer
    from kelvin.pipeline.checks.starts import start_faults

    dataset, pretrain = params.house.dataset, plans[plan_path("pretrain")]
    lines: list[str] = []
    manifest: Mapping[str, Any] | None = prepared_manifest(dataset, plans)
    if manifest is None:
        images = params.images
        raw = None
        try:
            raw = without_decoding(images, data_roots(environ))
            manifest = None if raw is None else manifest_of(raw, images)
        except KelvinError as error:
            # of pictures that may be left out, only `prepare` knows how many there are
            is_open = images.source == "folder" and (raw is None or images.on_error == "skip")
            lines = [] if is_open else [f"datasets.{dataset}: {error}"]
    if manifest is not None:
        memory = physical_memory()
        lines = size_faults(dataset, manifest, memory) or manifest_faults(pretrain.checked, manifest,
                                                                          memory)
    lines += judge_faults(params.classifier, params.metrics, manifest)
    lines = [in_protocol_layer(line, params) for line in lines]
    lines += start_faults(pretrain.starts, manifest, environ, pretrain.checked.metrics)
    if lines:
        raise refusal(lines)


def prepared_manifest(dataset: str, plans: Mapping[Path, Plan]) -> dict[str, Any] | None:
    """Of images that were prepared by this very plan; None where there are none, or it is damaged, which
    the stages that read it say."""
    path, planned = DatasetFolders(dataset).manifest, plan_path("prepare", dataset)
    if not path.exists() or not is_written(planned, text_of(plans[planned])) \
            or path.stat().st_mtime_ns < planned.stat().st_mtime_ns:
        return None
    with suppress(ValueError):
        manifest = read_json(path)
        if type_fault(manifest, Manifest) is None:
            return manifest
    return None
