"""Whether times go up and down periodically over the run.

A wave is a line in the spectrum: one frequency that has far more power than those around it. Queues have no lines,
whatever their dependence is, only a smooth spectrum that falls with the frequency. So each periodogram ordinate of the
levels of 128 slices is compared with the mean of those a little above and below (3 to 8 away, for a wave that does not
fit the run a whole number of times leaks into its neighbours); the ratio has an F distribution when there is no wave.
Waves from 2 to 32 a run are looked for. Faster ones belong to how a steady server behaves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_SLICES = 128
_FREQUENCIES = range(2, 33)
_NEAREST, _FARTHEST = 3, 8

FloatArray = npt.NDArray[np.float64]


class Wave(NamedTuple):
    """The most conspicuous wave: how often chance has one like it, and how many there are in the run."""

    p_value: float
    cycles: int


def most_conspicuous_wave(ranks: FloatArray) -> Wave:
    """Look for a wave in at least 128 ``ranks`` in time order, of mean 0."""
    edges = np.linspace(0, len(ranks), _SLICES, endpoint=False).astype(int)
    levels = np.add.reduceat(ranks, edges) / np.diff(edges, append=len(ranks))
    power = np.abs(np.fft.rfft(levels)[:-1]) ** 2
    wave = min(Wave(_chance(power, frequency), frequency) for frequency in _FREQUENCIES)
    return wave._replace(p_value=1 - (1 - wave.p_value) ** len(_FREQUENCIES))  # the least of so many


def fold(times: FloatArray, cycles: int) -> tuple[FloatArray, FloatArray]:
    """``times`` of the low half of each of ``cycles`` waves, and those of the high half."""
    phase = np.arange(len(times)) / len(times) * cycles * 2 * np.pi
    ranks = np.argsort(np.argsort(times))
    peak = np.angle(np.sum(ranks * np.exp(1j * phase)))
    high = np.cos(phase - peak) > 0
    return times[~high], times[high]


def _chance(power: FloatArray, frequency: int) -> float:
    """How often the ordinate exceeds its neighbours that much: an F distribution with 2 and 2 × neighbours freedom."""
    around = [
        power[near]
        for distance in range(_NEAREST, _FARTHEST + 1)
        for near in (frequency - distance, frequency + distance)
        if near > 0
    ]
    level = float(np.mean(around))
    if level == 0:
        return float(power[frequency] == 0)
    return float((1 + power[frequency] / level / len(around)) ** -len(around))
