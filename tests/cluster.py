"""As much of a Kubernetes API server as Helm needs to install, look up, upgrade and uninstall: it keeps objects.

    discovery   /version /api /apis /api/v1 /apis/GROUP/VERSION /openapi/v3     what kinds there are
    objects     POST, GET, PUT, PATCH (apply, merge), DELETE                    in memory, by path

Nothing acts on the objects: no pod ever runs. Helm keeps its releases in memory (`storage_driver`), as its own
client for Secrets speaks protobuf. Whether objects are valid is for kubernetes-validate to say, in the tests.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

Object = dict[str, Any]

KINDS: Final[Mapping[str, Mapping[str, str]]] = {
    "v1": {
        "secrets": "Secret", "configmaps": "ConfigMap", "services": "Service", "pods": "Pod",
        "serviceaccounts": "ServiceAccount", "persistentvolumeclaims": "PersistentVolumeClaim",
    },
    "apps/v1": {"deployments": "Deployment"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "networking.k8s.io/v1": {"ingresses": "Ingress", "networkpolicies": "NetworkPolicy"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "monitoring.coreos.com/v1": {"servicemonitors": "ServiceMonitor", "prometheusrules": "PrometheusRule"},
}  # fmt: skip
"""Plural names and kinds, by API version."""


class Cluster:
    """What is in it."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        """By path."""
        self.url = ""
        self._version = 0
        self._lock = threading.Lock()

    def secret(self, namespace: str, name: str) -> Object:
        return self.objects[f"/api/v1/namespaces/{namespace}/secrets/{name}"]

    def deployment(self, namespace: str, name: str) -> Object:
        return self.objects[f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]

    def answer(self, method: str, target: str, sent: Any) -> tuple[int, Object]:
        """One exchange."""
        url = urlsplit(target)
        with self._lock:
            if (found := discovery(url.path)) is not None:
                return 200, found
            match method:
                case "POST":
                    return self._keep(f"{url.path}/{sent['metadata']['name']}", sent, 201)
                case "PUT":
                    return self._keep(url.path, sent, 200)
                case "PATCH":
                    return self._keep(url.path, merged(self.objects.get(url.path, {}), sent), 200)
                case "DELETE":
                    return (200, self.objects.pop(url.path)) if url.path in self.objects else missing(url.path)
            return (200, self.objects[url.path]) if url.path in self.objects else missing(url.path)

    def _keep(self, path: str, sent: Object, status: int) -> tuple[int, Object]:
        self._version += 1
        sent["metadata"] |= {"resourceVersion": str(self._version), "uid": path}
        self.objects[path] = sent
        return status, sent


def missing(path: str) -> tuple[int, Object]:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
    return 404, {**status, "message": f"{path} not found"}


def merged(below: Object, above: Object) -> Object:
    """RFC 7396, which is enough for what Helm applies."""
    result = dict(below)
    for key, value in above.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key) or {}, value) if isinstance(value, dict) else value
    return result


def discovery(path: str) -> Object | None:
    """What clients ask about the API itself."""
    groups = [version.split("/")[0] for version in KINDS if "/" in version]
    match path:
        case "/version":
            return {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
        case "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        case "/apis":
            versions = {version.split("/")[0]: version for version in KINDS}
            return {
                "kind": "APIGroupList",
                "apiVersion": "v1",
                "groups": [_group(versions[one]) for one in groups],
            }
        case "/openapi/v3":
            return {"paths": {at[1:]: {"serverRelativeURL": f"/openapi/v3{at}"} for at in map(_at, KINDS)}}
    if path.startswith("/openapi/v3/"):
        return _openapi(path.removeprefix("/openapi/v3/").removeprefix("apis/").removeprefix("api/"))
    version = path.removeprefix("/apis/").removeprefix("/api/")
    if version not in KINDS:
        return None
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    resources = [
        {"name": plural, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": verbs}
        for plural, kind in KINDS[version].items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}


def _at(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _openapi(version: str) -> Object:
    """Says of every kind that fields are validated here, so that Helm does not do it by an older way."""
    group, _, number = version.rpartition("/")
    validates = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
    paths = {}
    for plural, kind in KINDS[version].items():
        of = {"group": group, "version": number, "kind": kind}
        patch = {"x-kubernetes-group-version-kind": of, "parameters": validates, "responses": {}}
        paths[f"{_at(version)}/namespaces/{{namespace}}/{plural}/{{name}}"] = {"patch": patch}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.34.0"}, "paths": paths}


def _group(version: str) -> Object:
    group, number = version.split("/")
    one = {"groupVersion": version, "version": number}
    return {"name": group, "versions": [one], "preferredVersion": one}


@contextmanager
def running() -> Iterator[Cluster]:
    """On a free port of loopback, for the time of the block."""
    cluster = Cluster()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _exchange(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, said = cluster.answer(self.command, self.path, yaml.safe_load(body) if body else None)
            text = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _exchange  # noqa: N815  # the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        cluster.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield cluster
        finally:
            server.shutdown()
            thread.join()
