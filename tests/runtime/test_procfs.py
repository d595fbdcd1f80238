from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import Any

from gateway.runtime.procfs import group_members, port_owner, read_stat, start_time


def test_a_command_with_parentheses_and_spaces_is_read(tmp_path: Any) -> None:
    program = tmp_path / "odd ) name ("
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "60"], start_new_session=True)
    try:
        stat = read_stat(process.pid)
        assert stat is not None
        assert (stat.pid, stat.group) == (process.pid, process.pid)
        assert stat.start_time == start_time(process.pid)
    finally:
        process.kill()
        process.wait()


def test_no_process_has_no_stat() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    assert read_stat(process.pid) is None
    assert start_time(process.pid) is None


def test_a_zombie_neither_runs_nor_belongs_to_its_group(wait_until: Any) -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""], start_new_session=True)
    wait_until(lambda: (stat := read_stat(process.pid)) and stat.state == "Z")
    assert start_time(process.pid) is None
    assert group_members(process.pid) == []
    process.wait()


def test_the_members_of_a_group_are_found() -> None:
    assert os.getpid() in group_members(os.getpgrp())


def test_the_owner_of_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert port_owner(port).startswith(f"pid {os.getpid()} (")
    assert port_owner(port) == ""


def test_the_owner_of_an_ipv6_port_is_named() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        assert port_owner(server.getsockname()[1]).startswith(f"pid {os.getpid()} (")
