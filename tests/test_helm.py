"""The chart, by Helm itself: every value, what is refused, an install and its upgrades, what a pod runs."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest
import yaml

from gateway.config.model import State
from gateway.units import SIZE
from tests import chart, cluster
from tests.chart import CHART, Manifest, of
from tests.serving import until
from tests.stores import KINDS, fresh_url

if TYPE_CHECKING:
    import helm_python

helm = pytest.mark.more("helm")

NAME: Final = "shop-recommendation-gateway"
VALKEY: Final = {"valkey": {"url": "valkey://:geheim@store:6379/0"}}
ADMIN_PORT: Final = 9090
CUSTOM: Final = "monitoring.coreos.com/v1"
"""The Prometheus operator's kinds, of which kubernetes-validate has no schema."""
VERSIONS: Final = ("1.25", "1.31", "1.37")
"""Of Kubernetes, that manifests are valid for."""


# --- what is made from others -----------------------------------------------------------------------------------


def test_the_values_schema_holds_the_gateways_schema_of_today() -> None:
    kept = chart.SCHEMA.read_text()
    assert kept == chart.schema_text(chart.schema(json.loads(kept))), "run: python -m tests.chart"


def test_the_guide_has_every_value() -> None:
    kept = chart.GUIDE.read_text()
    assert kept == chart.guide(kept), "run: python -m tests.chart"


def test_every_value_has_a_place_in_the_schema() -> None:
    top = json.loads(chart.SCHEMA.read_text())
    for path, _, _ in chart.documented():
        schema = top
        for step in path.split("."):
            schema = schema["properties"][step]
        assert schema, path


def test_the_chart_is_of_this_version_and_serves_what_the_image_serves() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((chart.ROOT / "pyproject.toml").read_text())["project"]
    assert about["appVersion"] == project["version"]
    values = yaml.safe_load(chart.VALUES.read_text())
    assert values["config"] == yaml.safe_load((chart.ROOT / "config/image.yaml").read_text())
    volume = int(values["persistence"]["size"].removesuffix("Gi")) * 2**30
    assert volume > SIZE.read(State.model_fields["max_bytes"].default)


# --- every value ------------------------------------------------------------------------------------------------

MANY: Final = {**VALKEY, "replicaCount": 3}
SWITCHES: Final[Mapping[str, tuple[Mapping[str, Any], set[str]]]] = {
    "nothing": ({}, set()),
    "valkey": (MANY, set()),
    "valkey from a secret": ({"valkey": {"existingSecret": "store"}, "replicaCount": 2}, set()),
    "autoscaling": ({**VALKEY, "autoscaling": {"enabled": True}}, {"HorizontalPodAutoscaler"}),
    "ingress": (
        {"ingress": {"enabled": True, "className": "nginx", "tls": [{"secretName": "tls"}]}},
        {"Ingress"},
    ),
    "podDisruptionBudget": ({**MANY, "podDisruptionBudget": {"enabled": True}}, {"PodDisruptionBudget"}),
    "networkPolicy": (
        {"networkPolicy": {"enabled": True, "from": [{"podSelector": {}}], "egress": [{}]}}, {"NetworkPolicy"},
    ),
    "serviceMonitor": ({"serviceMonitor": {"enabled": True}}, {"ServiceMonitor"}),
    "secrets": ({"secrets": {"ALGOLIA_KEY": "geheim"}, "existingSecret": "mine"}, set()),
    "no persistence": ({"persistence": {"enabled": False}}, set()),
    "a claim of one's own": ({"persistence": {"existingClaim": "mine"}}, set()),
    "no key": ({"apiKey": {"create": False}}, set()),
    "a key of one's own": ({"apiKey": {"existingSecret": "mine"}}, set()),
    "text": ({"config": (chart.ROOT / "config/image.yaml").read_text()}, set()),
}  # fmt: skip
FIRST: Final = {"ConfigMap", "Deployment", "Service", "ServiceAccount"}


@helm
@pytest.mark.parametrize("switch", SWITCHES)
def test_every_switch_renders_valid_manifests(switch: str) -> None:
    values, more = SWITCHES[switch]
    manifests = chart.rendered(values)
    shared, persistence, key = (values.get(name, {}) for name in ("valkey", "persistence", "apiKey"))
    claim = not shared and persistence.get("enabled", True) and not persistence.get("existingClaim")
    kept = {"PersistentVolumeClaim"} if claim else set()
    made = key.get("create", True) and not key.get("existingSecret")
    secret = {"Secret"} if made or "url" in shared or "secrets" in values else set()
    test = {"Pod"} if key.get("create", True) or key.get("existingSecret") else set()
    assert {one["kind"] for one in manifests} == FIRST | more | kept | secret | test
    for one in manifests:
        validate(one)


def validate(manifest: Manifest) -> None:
    """Raises where Kubernetes would refuse it, a member that it does not know included."""
    import kubernetes_validate  # noqa: PLC0415  # of the group `more`

    if manifest["apiVersion"] == CUSTOM:
        assert manifest.keys() == {"apiVersion", "kind", "metadata", "spec"}
        return
    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)


OTHERS: Final[Mapping[str, Any]] = {
    "image.repository": "mine/gateway", "image.tag": "1.2.3", "image.pullPolicy": "Always",
    "imagePullSecrets": [{"name": "registry"}], "nameOverride": "gw", "fullnameOverride": "gw",
    "replicaCount": 0, "config": {"revision": "2"},
    "apiKey.create": False, "apiKey.existingSecret": "mine", "secrets": {"A": "b"}, "existingSecret": "mine",
    "extraEnv": [{"name": "A", "value": "b"}],
    "extraVolumes": [{"name": "more", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "tmp", "mountPath": "/more"}],
    "valkey.url": "valkey://store:6379/0", "valkey.existingSecret": "store", "valkey.existingSecretKey": "other",
    "persistence.enabled": False, "persistence.size": "1Gi", "persistence.storageClass": "fast",
    "persistence.accessModes": ["ReadWriteOncePod"], "persistence.existingClaim": "mine",
    "autoscaling.enabled": True, "autoscaling.minReplicas": 3, "autoscaling.maxReplicas": 4,
    "autoscaling.targetCPUUtilizationPercentage": 50,
    "podDisruptionBudget.enabled": True, "podDisruptionBudget.maxUnavailable": "50%",
    "service.type": "LoadBalancer", "service.port": 8080, "service.annotations": {"a": "b"},
    "ingress.enabled": True, "ingress.className": "nginx", "ingress.annotations": {"a": "b"},
    "ingress.hosts": [{"host": "b.example", "paths": ["/v1"]}], "ingress.tls": [{"hosts": ["b.example"]}],
    "networkPolicy.enabled": True, "networkPolicy.from": [{"podSelector": {}}], "networkPolicy.monitoring": [],
    "networkPolicy.egress": [{"ports": [{"port": 443, "protocol": "TCP"}]}],
    "serviceMonitor.enabled": True, "serviceMonitor.interval": "30s", "serviceMonitor.labels": {"a": "b"},
    "prometheusRule.enabled": True, "prometheusRule.labels": {"a": "b"},
    "grafanaDashboard.enabled": True, "grafanaDashboard.labels": {"a": "b"},
    "resources": {"limits": {"cpu": "2"}},
    "preStopSeconds": 9, "terminationGracePeriodSeconds": 99, "startupSeconds": 600,
    "serviceAccount.create": False, "serviceAccount.name": "mine", "serviceAccount.annotations": {"a": "b"},
    "podAnnotations": {"a": "b"}, "podLabels": {"a": "b"}, "podSecurityContext": {"runAsUser": 1000},
    "securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}},
    "nodeSelector": {"a": "b"}, "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    ],
    "priorityClassName": "high",
}  # fmt: skip
"""Another value for each."""
NEEDS: Final = {"autoscaling": VALKEY, "valkey.existingSecretKey": {"valkey": {"existingSecret": "store"}}}
"""What a value means nothing without, beside its own `enabled`."""
FILES: Final = {"prometheusRule": "alerts/gateway.yaml", "grafanaDashboard": "dashboards/gateway.json"}


def test_there_is_another_value_for_each() -> None:
    assert {*OTHERS} == {path for path, _, _ in chart.documented()}


@helm
@pytest.mark.parametrize("path", OTHERS)
def test_every_value_makes_a_difference(path: str) -> None:
    section = path.partition(".")[0]
    if section in FILES and not (CHART / FILES[section]).exists():
        pytest.skip(f"there is no {FILES[section]}")
    before: dict[str, Any] = copy.deepcopy(dict(NEEDS.get(path, NEEDS.get(section, {}))))
    switch = f"{section}.enabled"
    if switch in OTHERS and path != switch:
        before.setdefault(section, {})["enabled"] = True
    after = copy.deepcopy(before)
    put(after, path, OTHERS[path])
    manifests = chart.rendered(after)
    assert without_key(manifests) != without_key(chart.rendered(before))
    for one in manifests:
        validate(one)


def put(values: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split(".")
    for step in above:
        values = values.setdefault(step, {})
    values[last] = value


def without_key(manifests: list[Manifest]) -> str:
    """All of it but the key, which is another one each time where Helm sees no cluster."""
    kept = [one for one in manifests if not one["metadata"]["name"].endswith("-key")]
    return re.sub(r"checksum/environment: \w+", "", yaml.safe_dump(kept))


# --- what is refused --------------------------------------------------------------------------------------------

WRONG: Final[list[tuple[Mapping[str, Any], str]]] = [
    ({"replicaCount": 2}, "/replicaCount"),
    ({"replicaCount": "1"}, "/replicaCount"),
    ({"replicaCount": 2, "persistence": {"enabled": False}}, "/replicaCount"),
    ({"autoscaling": {"enabled": True}}, "/autoscaling/enabled"),
    ({"autoscaling": {"minReplicas": 0}}, "/autoscaling/minReplicas"),
    ({"replicas": 2}, "'replicas' not allowed"),
    ({"image": {"name": "x"}}, "'name' not allowed"),
    ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
    ({"valkey": {"url": "http://store"}}, "/valkey/url"),
    ({"persistence": {"size": "10"}}, "/persistence/size"),
    ({"persistence": {"accessModes": []}}, "/persistence/accessModes"),
    ({"service": {"type": "ExternalName"}}, "/service/type"),
    ({"service": {"port": 70000}}, "/service/port"),
    ({"ingress": {"enabled": True, "hosts": []}}, "/ingress/hosts"),
    ({"ingress": {"enabled": "yes"}}, "/ingress/enabled"),
    ({"podDisruptionBudget": {"maxUnavailable": "some"}}, "/podDisruptionBudget/maxUnavailable"),
    ({"networkPolicy": {"from": {"podSelector": {}}}}, "/networkPolicy/from"),
    ({"serviceMonitor": {"interval": "15"}}, "/serviceMonitor/interval"),
    ({"secrets": {"a-b": "c"}}, "'a-b'"),
    ({"secrets": {"A": {"b": "c"}}}, "/secrets/A"),
    ({"resources": {"memory": "1Gi"}}, "/resources"),
    ({"preStopSeconds": -1}, "/preStopSeconds"),
    ({"terminationGracePeriodSeconds": 20}, "must be 25 at least"),
    ({"config": ""}, "/config"),
    ({"config": ["a"]}, "/config"),
    ({"config": {"auth": None}}, "'auth'"),
    ({"config": {"providers": None}}, "'providers'"),
    ({"config": {"defaults": {"timeot": "1s"}}}, "'timeot' not allowed"),
    ({"config": {"defaults": {"timeout": "soon"}}}, "/config/defaults/timeout"),
    ({"config": {"providers": {"x": {"adapter": "xayn", "options": {"url": "https://a"}}}}}, "'token'"),
    ({"config": {"providers": {"x": {"adapter": "nobody"}}}}, "/config/providers/x/adapter"),
    ({"config": {"auth": {"api_keys": {"x": {"sha256": "00", "scopes": ["ops"]}}}}}, "/sha256"),
    ({"config": {"server": {"drain": "${DRAIN}"}}}, "terminationGracePeriodSeconds must be given"),
    ({"config": {"state": {"url": "valkey://store:6379"}}}, "give it as valkey.url"),
    ({**VALKEY, "config": {"state": {"url": "sqlite:./state.db"}}}, "must be absent or ${VALKEY_URL}"),
    ({"config": "providers: ["}, "config: is no YAML"),
    ({"config": "providers: {}"}, "config: needs `auth`"),
    ({**VALKEY, "config": "auth: {api_keys: {}}"}, 'add to it: `state: {url: "${VALKEY_URL}"}`'),
]


@helm
@pytest.mark.parametrize(("values", "why"), WRONG, ids=[json.dumps(values) for values, _ in WRONG])
def test_a_wrong_value_is_refused(values: Mapping[str, Any], why: str) -> None:
    import helm_python  # noqa: PLC0415  # of the group `more`

    with pytest.raises((helm_python.HelmValuesError, helm_python.HelmRenderError)) as refused:
        chart.rendered(values)
    assert why in str(refused.value)


# --- what is in it ----------------------------------------------------------------------------------------------


@helm
def test_the_linter_has_nothing_to_say() -> None:
    import helm_python  # noqa: PLC0415  # of the group `more`

    for values, _ in SWITCHES.values():
        report = helm_python.lint(CHART, dict(values), strict=True)
        assert [one["error"] for one in report["messages"]] in (["icon is recommended"], [])
        assert report["errors"] == []


def pod_of(manifests: list[Manifest]) -> dict[str, Any]:
    found: dict[str, Any] = of(manifests, "Deployment")["spec"]["template"]["spec"]
    return found


@helm
def test_one_pod_with_a_file_is_recreated_and_several_with_a_store_roll() -> None:
    one = of(chart.rendered(), "Deployment")["spec"]
    assert (one["replicas"], one["strategy"]) == (1, {"type": "Recreate"})
    volumes = {volume["name"]: volume for volume in one["template"]["spec"]["volumes"]}
    assert volumes["state"]["persistentVolumeClaim"] == {"claimName": f"{NAME}-state"}
    many = of(chart.rendered(MANY), "Deployment")["spec"]
    assert many["replicas"] == 3
    assert many["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    scaled = of(chart.rendered({**VALKEY, "autoscaling": {"enabled": True}}), "Deployment")["spec"]
    assert "replicas" not in scaled


@helm
def test_it_needs_no_rights() -> None:
    pod = pod_of(chart.rendered())
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    own = container["securityContext"]
    assert own["readOnlyRootFilesystem"] and not own["allowPrivilegeEscalation"]
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert not any(
        "subPath" in mount for mount in container["volumeMounts"]
    )  # a changed ConfigMap would not arrive


@helm
def test_it_is_asked_where_it_answers_and_has_time_to_end() -> None:
    pod = pod_of(chart.rendered({"config": {"server": {"drain": "1.5m"}}, "preStopSeconds": 7}))
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": 8080, "admin": ADMIN_PORT}
    paths = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {probe["port"] for probe in paths.values()} == {"admin"}
    assert [probe["path"] for probe in paths.values()] == ["/readyz", "/livez", "/readyz"]
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "7"]
    assert pod["terminationGracePeriodSeconds"] == 7 + 90 + 15


@helm
def test_the_admin_listener_is_never_public() -> None:
    values = {
        "service": {"type": "LoadBalancer"},
        "ingress": {"enabled": True},
        "networkPolicy": {"enabled": True},
    }
    manifests = chart.rendered(values)
    assert of(manifests, "Service", "-admin")["spec"]["type"] == "ClusterIP"
    public = of(manifests, "Service", NAME)["spec"]
    assert [port["targetPort"] for port in public["ports"]] == ["http"]
    (rule,) = of(manifests, "Ingress")["spec"]["rules"]
    assert rule["http"]["paths"][0]["backend"]["service"] == {"name": NAME, "port": {"name": "http"}}
    api, admin = of(manifests, "NetworkPolicy")["spec"]["ingress"]
    assert "from" not in api and admin["from"][0]["namespaceSelector"]["matchLabels"]


@helm
def test_what_watches_it_finds_it() -> None:
    manifests = chart.rendered({"serviceMonitor": {"enabled": True}})
    monitor, service = of(manifests, "ServiceMonitor")["spec"], of(manifests, "Service", "-admin")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    public = of(manifests, "Service", NAME)["metadata"]["labels"]
    assert not monitor["selector"]["matchLabels"].items() <= public.items()  # or each pod would be read twice
    labels = of(manifests, "Deployment")["spec"]["template"]["metadata"]["labels"]
    for one in (service, of(manifests, "Service", NAME)):
        assert one["spec"]["selector"].items() <= labels.items()
        assert not one["spec"]["selector"].items() <= of(manifests, "Pod")["metadata"]["labels"].items()


@helm
@pytest.mark.parametrize("section", FILES)
def test_dashboard_and_alerts_go_in_as_they_are(section: str) -> None:
    file = CHART / FILES[section]
    if not file.exists():
        pytest.skip(f"there is no {file}")
    manifests = chart.rendered({section: {"enabled": True}})
    if section == "prometheusRule":
        assert of(manifests, "PrometheusRule")["spec"] == yaml.safe_load(file.read_text())
    else:
        dashboard = of(manifests, "ConfigMap", "-dashboard")
        assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert json.loads(dashboard["data"][f"{NAME}.json"]) == json.loads(file.read_text())


@helm
def test_no_secret_stands_anywhere_but_in_a_secret() -> None:
    for values in ({**MANY, "secrets": {"A": "geheim-a"}}, {"secrets": {"A": "geheim-a"}}):
        manifests = chart.rendered(values)
        key = base64.b64decode(of(manifests, "Secret", "-key")["data"]["key"]).decode()
        rest = yaml.safe_dump([one for one in manifests if one["kind"] != "Secret"])
        assert "geheim" not in rest and key not in rest
        assert base64.b64encode(b"geheim").decode() not in rest


@helm
@pytest.mark.parametrize("switch", ["nothing", "valkey", "text"])
def test_what_is_rendered_passes_gateway_check(switch: str, tmp_path: Path) -> None:
    manifests = chart.rendered(SWITCHES[switch][0])
    file = tmp_path / "gateway.yaml"
    file.write_text(of(manifests, "ConfigMap", NAME)["data"]["gateway.yaml"])
    command = [sys.executable, "-m", "gateway", "check", "--config", str(file)]
    environ = {**os.environ, **environment(manifests)}
    done = subprocess.run(command, check=False, env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    if switch == "text":
        assert file.read_text() == SWITCHES[switch][0]["config"]


def environment(manifests: list[Manifest], kind: str = "Deployment") -> dict[str, str]:
    """What a container gets of the Secrets among them."""
    pod = pod_of(manifests) if kind == "Deployment" else of(manifests, kind)["spec"]
    (container,) = pod["containers"]
    kept = {one["metadata"]["name"]: one["data"] for one in manifests if one["kind"] == "Secret"}
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= kept[source["secretRef"]["name"]]
    for variable in container["env"]:
        if "value" not in variable:
            source = variable["valueFrom"]["secretKeyRef"]
            found[variable["name"]] = kept[source["name"]][source["key"]]
    return {name: base64.b64decode(value).decode() for name, value in found.items()}


# --- install, upgrade -------------------------------------------------------------------------------------------


@pytest.fixture
def web() -> Iterator[tuple[cluster.Cluster, helm_python.Config]]:
    """A cluster, and Helm that is connected to it."""
    import helm_python  # noqa: PLC0415  # of the group `more`

    with cluster.running() as running:
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": running.url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "c",
        }
        kubeconfig = yaml.safe_dump(content)
        with helm_python.Config(kubeconfig_content=kubeconfig, namespace="web", storage_driver="memory") as config:
            yield running, config


def template(running: cluster.Cluster) -> Manifest:
    """Another one means other pods."""
    found: Manifest = running.deployment("web", NAME)["spec"]["template"]
    return found


@helm
def test_the_key_is_made_once(web: tuple[cluster.Cluster, helm_python.Config]) -> None:
    running, config = web
    config.install(CHART, "shop", {}, namespace="web")
    made = running.secret("web", f"{NAME}-key")["data"]
    key = base64.b64decode(made["key"])
    assert len(key) >= 32 and base64.b64decode(made["sha256"]).decode() == sha256(key).hexdigest()
    config.upgrade(CHART, "shop", {"replicaCount": 0}, namespace="web")
    assert running.secret("web", f"{NAME}-key")["data"] == made
    config.uninstall("shop")
    assert [path.rpartition("/")[2] for path in running.objects] == [f"{NAME}-key", f"{NAME}-state"]
    config.install(CHART, "shop", {}, namespace="web")
    assert running.secret("web", f"{NAME}-key")["data"] == made

    before = template(running)
    del running.objects[f"/api/v1/namespaces/web/secrets/{NAME}-key"]
    config.upgrade(CHART, "shop", {}, namespace="web")
    assert running.secret("web", f"{NAME}-key")["data"] != made
    assert template(running) != before  # pods have the new key's hash in their environment


@helm
def test_a_changed_configuration_restarts_nothing_and_a_changed_secret_does(
    web: tuple[cluster.Cluster, helm_python.Config],
) -> None:
    running, config = web
    running.objects["/api/v1/namespaces/web/secrets/mine"] = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine"}, "data": {"A": "YQ=="},
    }  # fmt: skip
    values: dict[str, Any] = {"existingSecret": "mine", "secrets": {"B": "b"}}
    config.install(CHART, "shop", values, namespace="web")
    first = template(running)
    text = running.objects[f"/api/v1/namespaces/web/configmaps/{NAME}"]["data"]["gateway.yaml"]
    config.upgrade(CHART, "shop", {**values, "config": {"revision": "2"}}, namespace="web")
    assert running.objects[f"/api/v1/namespaces/web/configmaps/{NAME}"]["data"]["gateway.yaml"] != text
    assert template(running) == first
    config.upgrade(CHART, "shop", {**values, "secrets": {"B": "c"}}, namespace="web")
    second = template(running)
    assert second != first
    running.objects["/api/v1/namespaces/web/secrets/mine"]["data"]["A"] = "Yg=="
    config.upgrade(CHART, "shop", {**values, "secrets": {"B": "c"}}, namespace="web")
    assert template(running) != second


@helm
def test_everything_can_be_installed_and_the_notes_say_how_to_call_it(
    web: tuple[cluster.Cluster, helm_python.Config],
) -> None:
    running, config = web
    values: dict[str, Any] = {}
    for path, value in OTHERS.items():
        if path.endswith(".enabled"):
            put(values, path, value)
    notes = config.install(CHART, "shop", {**values, **VALKEY}, namespace="web")["notes"]
    assert {one["kind"] for one in running.objects.values()} >= {"ServiceMonitor", "Ingress", "NetworkPolicy"}
    named = re.findall(r"(deployment|service|secret)[/ ]([a-z-]+)", notes)
    paths = {(path.split("/")[-2].removesuffix("s"), path.split("/")[-1]) for path in running.objects}
    assert len(named) == 4 and {*named} <= paths
    assert "http://recommendations.example" in notes


# --- what a pod runs --------------------------------------------------------------------------------------------


class Pod:
    """The default Deployment's container as a process here: its arguments, its environment, its volumes."""

    def __init__(self, directory: Path, manifests: list[Manifest]) -> None:
        self._directory = directory
        (container,) = pod_of(manifests)["containers"]
        self._mounts = {mount["mountPath"]: directory / mount["name"] for mount in container["volumeMounts"]}
        self._at: Path = self._mounts[container["workingDir"]]
        self._arguments = [self._here(argument) for argument in container["args"]]
        self._environ = environment(manifests)
        self._mounted = 0
        for place in self._mounts.values():
            place.mkdir()
        self.mount(manifests)
        self._process: asyncio.subprocess.Process
        self.lines: list[dict[str, Any]] = []

    def _here(self, argument: str) -> str:
        """Paths are this pod's own, and so are ports, for this machine has others that listen."""
        for path, place in self._mounts.items():
            if argument.startswith(f"{path}/"):
                return str(place) + argument.removeprefix(path)
        return re.sub(r":\d+$", ":0", argument)

    def mount(self, manifests: list[Manifest]) -> None:
        """As the kubelet does: files are links through `..data`, a link that is replaced at one blow."""
        place = self._mounts["/etc/gateway"]
        self._mounted += 1
        version = place / f"..version-{self._mounted}"
        version.mkdir()
        for name, text in of(manifests, "ConfigMap", NAME)["data"].items():
            (version / name).write_text(text)
            if not (place / name).is_symlink():
                (place / name).symlink_to(f"..data/{name}")
        (place / "..data_tmp").symlink_to(version.name)
        (place / "..data_tmp").replace(place / "..data")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Pod]:
        """From start to SIGTERM, which it ends well after."""
        command = [sys.executable, "-m", "gateway", *self._arguments]
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(chart.ROOT), **self._environ}
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*command, cwd=self._at, env=environ, stdout=pipe)
        reading = asyncio.create_task(self._read())
        try:
            await until(lambda: any(line["event"] == "listening" for line in self.lines))
            yield self
            self._process.terminate()
            assert await self._process.wait() == 0
            await reading
        finally:
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(json.loads(line))

    def url(self, listener: str) -> str:
        (said,) = [line for line in self.lines if line["event"] == "listening"]
        return "http://127.0.0.1:" + str(said[listener]).rpartition(":")[2]

    @property
    def state(self) -> Path:
        return self._at / "state.db"


@helm
@pytest.mark.parametrize("kind", KINDS)
async def test_a_pod_answers_with_the_key_and_takes_a_changed_configmap(tmp_path: Path, kind: str) -> None:
    values = {"valkey": {"url": fresh_url()}} if kind == "valkey" else {}
    manifests = chart.rendered(values)  # each makes another key
    key = base64.b64decode(of(manifests, "Secret", "-key")["data"]["key"]).decode()
    asks = of(manifests, "Pod")["spec"]["containers"][0]
    async with Pod(tmp_path, manifests).running() as pod, aiohttp.ClientSession() as session:
        credentials = {"Authorization": f"Bearer {key}"}
        question = {"user": {"id": "u1"}, "count": 5}

        async def answer(url: str, **more: Any) -> tuple[int, Any]:
            async with session.post(
                f"{url}/v1/recommendations", json={**question, **more}, headers=credentials
            ) as said:
                return said.status, await said.json()

        async with session.post(f"{pod.url('listen')}/v1/recommendations", json=question) as refused:
            assert refused.status == 401
        assert (await answer(pod.url("listen")))[0] == (await answer(pod.url("admin")))[0] == 200
        for path in ("/livez", "/readyz", "/metrics"):
            async with session.get(pod.url("admin") + path) as probe:
                assert probe.status == 200
        assert pod.state.exists() is (kind == "sqlite")  # on the volume

        environ = {
            "PATH": os.environ["PATH"],
            "URL": pod.url("listen"),
            "KEY": environment(manifests, "Pod")["KEY"],
        }
        command = [sys.executable, *asks["command"][1:]]  # `helm test`
        tested = await asyncio.create_subprocess_exec(*command, env=environ, stdout=subprocess.PIPE)
        assert (await tested.communicate())[0] == b"with the key 200, without 401\n"
        assert tested.returncode == 0

        assert (await answer(pod.url("listen"), placement="new"))[0] == 404
        pod.mount(chart.rendered({**values, "config": {"placements": {"new": {"providers": ["local"]}}}}))

        async def taken() -> bool:
            return (await answer(pod.url("listen"), placement="new"))[0] == 200

        await until(taken, 60)


@helm
async def test_a_key_of_another_release_is_refused(tmp_path: Path) -> None:
    """Or the test above might say nothing of keys."""
    other = base64.b64decode(of(chart.rendered(), "Secret", "-key")["data"]["key"]).decode()
    async with Pod(tmp_path, chart.rendered()).running() as pod, aiohttp.ClientSession() as session:
        url = f"{pod.url('listen')}/v1/recommendations?user=u1"
        async with session.get(url, headers={"Authorization": f"Bearer {other}"}) as answer:
            assert answer.status == 401
