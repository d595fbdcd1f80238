"""Which processor a model runs on: ``cpu``, ``cuda:N``, or ``auto`` for the first GPU where there is one."""

from __future__ import annotations

AUTO = "auto"
CPU = "cpu"


class NoSuchDevice(Exception):
    """The message is a sentence for whoever asked for the device."""


def resolve_device(device: str, gpus: int, framework: str, favourite: int = 0) -> str:
    """The device to run on: ``cpu`` or ``cuda:N``.

    Args:
        device: what was asked for: one of these, or ``auto``.
        gpus: how many GPUs the framework can use here.
        framework: its name, for the message.
        favourite: the GPU that ``auto`` means.

    Raises:
        NoSuchDevice: no such device, or the framework does not reach it.
    """
    if device == AUTO:
        return f"cuda:{favourite}" if favourite < gpus else CPU
    gpu = gpu_number(device)
    if gpu is not None and gpu >= gpus:
        raise NoSuchDevice(f"{framework} can use {gpus} GPUs here, so it cannot run on {device}")
    return device


def gpu_number(device: str) -> int | None:
    """The number of the GPU that ``device`` names, or None for ``cpu``.

    Raises:
        NoSuchDevice: it is neither ``cpu`` nor ``cuda:N``.
    """
    if device == CPU:
        return None
    name, _, number = device.partition(":")
    if name != "cuda" or not number.isdecimal():
        raise NoSuchDevice(f"unknown device {device!r}; one of cpu, cuda:N, auto is expected")
    return int(number)
