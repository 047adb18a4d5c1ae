"""deploy/ fits the code. `make lint` checks it against the schemas."""

import re
import subprocess
from datetime import timedelta

import pytest
from django.conf import settings
from django.core.management import load_command_class
from django.urls import resolve

from config.environment import env
from config.settings import ROOT
from invoices.issuing.calls import MARGIN, longest_send
from invoices.providers import PROVIDERS
from tests.deploy import manifests
from tests.deploy.manifests import Part

IN_SECRET = {  # the cluster's Secret, created as docs/operations.md says
    "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "APP_ENV_INVOICE_CREDENTIALS_KEY", "WEBHOOK_SECRET",
    "WEBHOOK_INTERNAL_SECRET", "EMAIL_URL",
}  # fmt: skip
REQUIRED = {variable.name for variable in env.variables.values() if variable.default is None}
BOTH = pytest.mark.parametrize("parts", [manifests.pods(), manifests.services()], ids=["kubernetes", "compose"])


def queues(part: Part) -> list[str]:
    return part.arguments[1:] if part.arguments[0] == "worker" else []


@BOTH
def test_every_part_is_a_run_mode_and_every_queue_has_a_worker(parts: list[Part]) -> None:
    parser = load_command_class("config", "run").create_parser("manage.py", "run")
    modes = [parser.parse_args(part.arguments).mode for part in parts]
    assert {mode: modes.count(mode) for mode in set(modes) - {"worker"}} == {
        "api": 1, "beat": 1, "consumer": 1, "migrate": 1,
    }  # fmt: skip
    served = [queue for part in parts for queue in queues(part)]
    assert sorted(served) == sorted(settings.QUEUES)


@BOTH
def test_a_parts_grace_period_covers_its_longest_request(parts: list[Part]) -> None:
    longest = max(longest_send(provider) for provider in PROVIDERS) + MARGIN
    for part in parts:
        if any(queue.startswith("invoice-issuance") for queue in queues(part)):
            assert timedelta(seconds=part.grace) >= longest, part.name
        if "webhook-deliveries" in queues(part):
            assert part.grace > settings.WEBHOOK_TIMEOUT + 5
        if part.arguments == ["api"]:
            assert part.grace >= 30 + 5 + 10  # the longest statement, the wait for the gateway, a margin


def test_the_api_is_the_deployment_invoice_at_the_gateways_upstream_port() -> None:
    (api,) = [part for part in manifests.pods() if part.arguments == ["api"]]
    assert (api.raw["kind"], api.name) == ("Deployment", "invoice")
    (container,) = api.raw["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 31140}]
    paths = {probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")}
    live, health = "/v1/api/health/live", "/v1/api/health"
    assert paths == {"startup": live, "readiness": health, "liveness": live}
    assert resolve(live) and resolve(health)
    nginx = (ROOT / "deploy" / "nginx.conf").read_text()
    assert re.search(r"upstream invoice_upstream \{\s+server 127\.0\.0\.1:31140;", nginx)
    assert "/v1/api/health/live" in (ROOT / "deploy" / "healthcheck.py").read_text()


def test_the_deployments_of_the_partitions_differ_only_in_their_number() -> None:
    parts = [part for part in manifests.pods() if part.name.startswith("invoice-issuance-")]
    assert [part.name for part in parts] == [f"invoice-issuance-{p}" for p in range(settings.PARTITIONS)]
    texts = {str(part.raw).replace(f"issuance-{p}", "issuance-P") for p, part in enumerate(parts)}
    assert len(texts) == 1


def test_every_other_part_has_a_heartbeat_probe() -> None:
    for part in [*manifests.pods(), *manifests.services()]:
        mode = part.arguments[0]
        if mode in ("worker", "beat", "consumer"):
            probes = re.findall(r"config/processes/heartbeat\.py', '(\w+)'", str(part.raw))
            assert probes == [mode], part.name


def test_there_is_one_beat_and_the_consumer_is_a_stateful_set() -> None:
    beat, consumer = (
        next(part.raw for part in manifests.pods() if part.arguments == [mode]) for mode in ("beat", "consumer")
    )
    assert (beat["spec"]["replicas"], beat["spec"]["strategy"]) == (1, {"type": "Recreate"})
    assert consumer["kind"] == "StatefulSet"


def test_pods_have_no_privileges_no_writable_disk_and_no_plain_secret() -> None:
    for part in manifests.pods():
        pod = part.raw["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]["cpu"]
        assert container["envFrom"] == [{"configMapRef": {"name": "invoice"}}, {"secretRef": {"name": "invoice"}}]
        given = {variable["name"] for variable in container.get("env", [])}
        assert not given & IN_SECRET


def test_the_network_policy_that_denies_all_ingress_selects_every_pod() -> None:
    deny = manifests.of_kind("NetworkPolicy")[0]["spec"]
    assert deny["policyTypes"] == ["Ingress"] and "ingress" not in deny
    for part in manifests.pods():
        assert deny["podSelector"]["matchLabels"].items() <= part.raw["spec"]["template"]["metadata"]["labels"].items()


def test_the_settings_know_every_variable_and_no_required_one_is_missing() -> None:
    known = set(env.variables)
    config, example = set(manifests.config_map()), set(manifests.example())
    composed = set(manifests.compose()["x-hoadon"]["environment"])
    assert config <= known and not config & IN_SECRET
    assert config | IN_SECRET >= REQUIRED
    assert composed <= known and example - {"POSTGRES_PASSWORD"} <= known
    assert composed | example >= REQUIRED


def test_the_image_contains_the_apps_without_tests_and_runs_as_an_unprivileged_user() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    apps = {app for app in settings.INSTALLED_APPS if (ROOT / app).is_dir()}
    assert allowed == apps | {
        "fixtures",
        "manage.py",
        "requirements.lock",
        ".env.development",
        "deploy/healthcheck.py",
    }
    image = (ROOT / "Dockerfile").read_text()
    for line in ("USER 10001:10001", "STOPSIGNAL SIGTERM", 'ENTRYPOINT ["python", "manage.py", "run"]', "HEALTHCHECK"):
        assert f"\n{line}" in image
    final = image[image.rindex("\nFROM") :]
    assert "pip install" not in final and "apt-get" not in image


def test_kustomize_lists_every_manifest() -> None:
    listed = re.findall(r"^  - (\S+\.yaml)$", (manifests.KUBERNETES / "kustomization.yaml").read_text(), re.MULTILINE)
    assert set(listed) == {path.name for path in manifests.KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}


def test_git_ignores_the_secrets_of_deploy() -> None:
    for path in ("deploy/.env", "deploy/tls/tls.key"):
        assert subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT).returncode == 0, path
