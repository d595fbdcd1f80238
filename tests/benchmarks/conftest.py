import pytest

from benchmarks.results import Cell, Part, Result, ServerEntry, ToolTimes
from loadtest.results.environment import Environment
from loadtest.statistics.estimate import Estimate, Interval
from model_store.store import ModelStore


def estimate(value, low=None, high=None, **options):
    interval = None if low is None else Interval(low, high)
    return Estimate(value=value, interval=interval, **options)


def cell(server="gateway", **changes):
    return Cell(
        **{
            "server": server,
            "form": "HTTP",
            "size": "3 KB",
            "bytes": 3136,
            "connections": 64,
            "requests": 1000,
            "p50": estimate(0.0123),
            "p99": estimate(0.0456),
            "throughput": estimate(12345.6),
            "rate_ratio": estimate(0.97, 0.91, 1.04),
            "cpu": 123.4e-6,
            "resident": 100 * 2**20,
            "peak": 1999 * 2**20,
            **changes,
        }
    )


@pytest.fixture
def make_cell():
    return cell


@pytest.fixture
def make_result():
    """A result in which everything is as wide as it gets, with ``changes``."""

    def make(**changes):
        return Result(
            **{
                "started": "2026-01-01T00:00:00+00:00",
                "seconds": 1500.0,
                "quick": True,
                "window": 1.0,
                "blocks": 6,
                "busy": 0.1,
                "stolen_cpu": 0.01,
                "environment": Environment(cpu="A Processor", cores=2, memory_gib=8.0, system="Linux", python="3.11.7"),
                "servers": (
                    ServerEntry(name="direct", version="x 1", difference=0.0),
                    ServerEntry(name="Other", version="y 2", remark="one worker", problem="has ended " + "word " * 30),
                ),
                "cells": (
                    cell("direct", rate_ratio=None),
                    cell(),
                    cell("Ray Serve", p50=estimate(1.2345), p99=estimate(12.345, enough=False), cpu=0.0123456),
                    cell("Envoy", problem="no good answer any more: 12 × timeout"),
                ),
                "tools": (
                    ToolTimes(
                        tool="h2load",
                        server="gateway",
                        form="gRPC",
                        connections=64,
                        p50=0.1234,
                        p99=1.2345,
                        throughput=5678.9,
                        rate_ratio=1.234,
                    ),
                ),
                "parts": (
                    Part(form="HTTP", part="gateway.codecs", cpu=30e-6),
                    Part(form="HTTP", part="kernel: sockets and the clock", cpu=60e-6),
                    Part(form="gRPC", part="gateway.codecs", cpu=1500e-6),
                ),
                "left_out": ("Other has ended",),
                **changes,
            }
        )

    return make


@pytest.fixture
def digits_store(model_store_root):
    return ModelStore(model_store_root)
