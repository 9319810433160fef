"""What a benchmark against JAX says first: the versions, and the machine and device it runs on."""

from __future__ import annotations

import os
import platform

import jax
import numpy as np

import graphflow as gf


def heading() -> str:
    """Two lines: Python and packages; system, cores and the device that jax computes on."""
    versions = f"jax {jax.__version__}, numpy {np.__version__}, graphflow {gf.__version__}"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    device = jax.devices()[0]
    return (
        f"python {platform.python_version()}, {versions}\n{machine}, {device.platform}: {device.device_kind}"
    )
