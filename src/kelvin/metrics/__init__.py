"""Measures of images and features; nothing here knows a model."""

from kelvin.metrics.agreement import Agreement, kendall_tau
from kelvin.metrics.checks import check_features, check_images
from kelvin.metrics.classes import ClassView, class_view
from kelvin.metrics.comparable import refuse_mixed
from kelvin.metrics.extractors import Extractor, classifier_extractor
from kelvin.metrics.fmd import (
    Band,
    Scale,
    Score,
    black_ceiling,
    make_scale,
    normalise,
    score_band,
    small_protocol,
    small_scale,
)
from kelvin.metrics.frechet import frechet_distance, frechet_from_features
from kelvin.metrics.inception import fid_extractor
from kelvin.metrics.intervals import (
    FrechetInterval,
    MeanInterval,
    frechet_interval,
    mean_interval,
)
from kelvin.metrics.manifold import (
    DensityCoverage,
    Manifold,
    density_coverage,
    expected_coverage,
    precision_recall,
)
from kelvin.metrics.moments import MomentAccumulator, Moments, moments, stream_moments
from kelvin.metrics.nearest import (
    Memorisation,
    find_copies,
    is_copier,
    memorisation,
    nearest,
    nearest_ratio,
)
from kelvin.metrics.similarity import psnr, rmse, ssim

__all__ = [
    "Agreement",
    "Band",
    "ClassView",
    "DensityCoverage",
    "Extractor",
    "FrechetInterval",
    "Manifold",
    "MeanInterval",
    "Memorisation",
    "MomentAccumulator",
    "Moments",
    "Scale",
    "Score",
    "black_ceiling",
    "check_features",
    "check_images",
    "class_view",
    "classifier_extractor",
    "density_coverage",
    "expected_coverage",
    "fid_extractor",
    "find_copies",
    "frechet_distance",
    "frechet_from_features",
    "frechet_interval",
    "is_copier",
    "kendall_tau",
    "make_scale",
    "mean_interval",
    "memorisation",
    "moments",
    "nearest",
    "nearest_ratio",
    "normalise",
    "precision_recall",
    "psnr",
    "refuse_mixed",
    "rmse",
    "score_band",
    "small_protocol",
    "small_scale",
    "ssim",
    "stream_moments",
]
