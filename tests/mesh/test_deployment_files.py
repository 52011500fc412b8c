"""Files that only somebody else's engine can run are at least what that engine takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.certificates import Authority
from tests.mesh.envoy_process import DEPLOY as ENVOY

ROOT = Path(__file__).resolve().parents[2]
KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1"
KUBERNETES = "1.34"


def ran(*command: str | Path, environment: dict[str, str] | None = None) -> str:
    """What a program printed; it must end well."""
    full = [str(part) for part in command]
    full[0] = shutil.which(full[0], path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") or full[0]
    done = subprocess.run(
        full, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_compose_takes_the_compose_file() -> None:
    assert "ok" in ran("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")


def compose() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return services


@pytest.mark.parametrize("name", compose())
def test_what_a_composed_service_mounts_is_there(name: str) -> None:
    mounted = [volume.partition(":")[0] for volume in compose()[name].get("volumes", ()) if volume.startswith("./")]
    assert [file for file in mounted if not (ROOT / file).is_file()] == []


def test_the_composed_server_is_started_with_flags_that_it_has() -> None:
    text = ran(sys.executable, "-m", "cloneservice_server", "serve", "--help")
    assert [flag for flag in _flags(compose()["server"]["command"]) if flag not in text] == []


def _flags(arguments: list[str]) -> list[str]:
    return [argument.partition("=")[0] for argument in arguments if argument.startswith("--")]


@pytest.mark.parametrize("dockerfile", ["server/Dockerfile", "fake_stripe/Dockerfile"])
def test_hadolint_has_nothing_to_say_of_the_dockerfiles(dockerfile: str) -> None:
    assert ran("hadolint", dockerfile) == ""


@pytest.mark.parametrize("name", ["minimal.yaml", "full.yaml"])
def test_envoy_takes_its_configuration(name: str, tmp_path: Path) -> None:
    authority = Authority("cluster.local")
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls/ca.crt").write_bytes(authority.pem)
    authority.leaf("spiffe://cluster.local/envoy").write(tmp_path / "tls", "envoy")
    shutil.copy(ENVOY / "cloneservice.binpb", tmp_path)
    (tmp_path / name).write_text((ENVOY / name).read_text().replace("/etc/envoy", str(tmp_path)))
    ran("envoy", "--mode", "validate", "-c", tmp_path / name)


@pytest.fixture(scope="session")
def kustomize(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kustomize program, built by Go."""
    if shutil.which("go") is None:
        pytest.skip("kustomize is built with Go, which is not here")
    folder = tmp_path_factory.mktemp("kustomize")
    ran("go", "install", KUSTOMIZE, environment={"GOBIN": str(folder), "GOFLAGS": "-mod=mod"})
    return folder / "kustomize"


@pytest.mark.parametrize("overlay", ["base", "istio"])
def test_kubernetes_takes_what_kustomize_builds(kustomize: Path, overlay: str, tmp_path: Path) -> None:
    built = tmp_path / "built.yaml"
    built.write_text(ran(kustomize, "build", f"deploy/kubernetes/{overlay}"))

    told = ran("kubernetes-validate", "-k", KUBERNETES, "--strict", built)

    documents = list(yaml.safe_load_all(built.read_text()))
    kinds = [document["kind"] for document in documents]
    known = [kind for kind in kinds if f"resource {kind.lower()}/" in told]
    others = {"ServiceMonitor", "PeerAuthentication", "AuthorizationPolicy", "DestinationRule", "VirtualService"}
    assert set(kinds) - others == set(known), told  # every kind of Kubernetes' own was checked


def test_the_deployed_server_is_started_with_flags_and_variables_that_it_has() -> None:
    deployment = yaml.safe_load((ROOT / "deploy/kubernetes/base/deployment.yaml").read_text())
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    patch = yaml.safe_load((ROOT / "deploy/kubernetes/istio/deployment.yaml").read_text())
    variables = [*container["env"], *patch["spec"]["template"]["spec"]["containers"][0]["env"]]
    flags = [
        "--" + each["name"].removeprefix("CLONESERVICE_").lower().replace("_", "-")
        for each in variables
        if each["name"].startswith("CLONESERVICE_")
    ]
    text = ran(sys.executable, "-m", "cloneservice_server", "serve", "--help")

    assert [flag for flag in [*_flags(container["args"]), *flags] if flag not in text] == []
