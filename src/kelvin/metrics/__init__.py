"""Measures of images and features; nothing here knows a model."""

from kelvin.metrics.agreement import Agreement, kendall_tau
from kelvin.metrics.authenticity import Authenticity, authenticity
from kelvin.metrics.checks import check_features, check_images
from kelvin.metrics.classes import ClassView, class_view
from kelvin.metrics.comparable import refuse_mixed
from kelvin.metrics.extractors import Extractor, classifier_extractor
from kelvin.metrics.fd_infinity import FDInfinity, fd_infinity
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
from kelvin.metrics.kid import KID, kid
from kelvin.metrics.manifold import (
    DensityCoverage,
    Manifold,
    density_coverage,
    expected_coverage,
    precision_recall,
)
from kelvin.metrics.mmd import MMD, mmd
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
    "Authenticity",
    "Band",
    "ClassView",
    "DensityCoverage",
    "Extractor",
    "FDInfinity",
    "FrechetInterval",
    "KID",
    "MMD",
    "Manifold",
    "MeanInterval",
    "Memorisation",
    "MomentAccumulator",
    "Moments",
    "Scale",
    "Score",
    "authenticity",
    "black_ceiling",
    "check_features",
    "check_images",
    "class_view",
    "classifier_extractor",
    "density_coverage",
    "expected_coverage",
    "fd_infinity",
    "fid_extractor",
    "find_copies",
    "frechet_distance",
    "frechet_from_features",
    "frechet_interval",
    "is_copier",
    "kendall_tau",
    "kid",
    "make_scale",
    "mean_interval",
    "memorisation",
    "mmd",
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
