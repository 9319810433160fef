"""Training: gradient methods, schedules, clipping, averaging, accumulation, checkpoints and event files."""

from graphflow.train import schedules
from graphflow.train.accumulation import GradientAccumulation
from graphflow.train.adam import Adam, AdamW, Lamb
from graphflow.train.adaptive import Adafactor, RMSProp
from graphflow.train.averaging import ExponentialMovingAverage
from graphflow.train.checkpoints import CheckpointManager
from graphflow.train.clipping import clip_by_global_norm, global_norm
from graphflow.train.events import SummaryWriter
from graphflow.train.loss_scale import LossScale
from graphflow.train.method import Method, Minimizer
from graphflow.train.sgd import SGD
from graphflow.train.watch import Watch, watch

__all__ = [
    "SGD",
    "Adafactor",
    "Adam",
    "AdamW",
    "CheckpointManager",
    "ExponentialMovingAverage",
    "GradientAccumulation",
    "Lamb",
    "LossScale",
    "Method",
    "Minimizer",
    "RMSProp",
    "SummaryWriter",
    "Watch",
    "clip_by_global_norm",
    "global_norm",
    "schedules",
    "watch",
]


def __dir__() -> list[str]:
    return sorted(__all__)
