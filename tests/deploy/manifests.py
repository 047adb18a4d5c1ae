"""The parts of deploy/compose.yaml and of the Kubernetes manifests, each with its command."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from config.settings import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
SECONDS = {"s": 1, "m": 60}


@dataclass(frozen=True)
class Part:
    name: str
    arguments: list[str]  # of `manage.py run`
    grace: float  # seconds from SIGTERM to SIGKILL
    raw: dict[str, Any]


@cache
def documents() -> list[dict[str, Any]]:
    files = [path for path in sorted(KUBERNETES.glob("*.yaml")) if path.name != "kustomization.yaml"]
    return [document for path in files for document in yaml.safe_load_all(path.read_text())]


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [document for document in documents() if document["kind"] in kinds]


def pods() -> list[Part]:
    """Every Deployment, StatefulSet and Job."""
    parts = []
    for document in of_kind("Deployment", "StatefulSet", "Job"):
        pod = document["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        grace = pod.get("terminationGracePeriodSeconds", 30)
        parts.append(Part(document["metadata"]["name"], container["args"], grace, document))
    return parts


def services() -> list[Part]:
    """Every service of compose.yaml that runs our image."""
    parts = []
    for name, service in compose()["services"].items():
        if service["image"] == "hoadon":
            grace = service["stop_grace_period"]
            parts.append(Part(name, service["command"], int(grace[:-1]) * SECONDS[grace[-1]], service))
    return parts


def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())


def config_map() -> dict[str, str]:
    (document,) = of_kind("ConfigMap")
    return document["data"]


def example() -> dict[str, str]:
    """deploy/env.example."""
    lines = (ROOT / "deploy" / "env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
