"""What the manifests of a sweep make of a cluster, as pods of this machine (:mod:`tests.deploy.local_pods`): PostgreSQL, MLflow,
Redis where there is one, Ray's head and one pod of each group, and for each submission a submitter, with the commands and the
environment that KubeRay's operator gives them (1.7.0: ``pod.go``, ``job.go``).

Of the network policies it holds that pods which may not talk at all cannot; single ports are not looked at.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import secrets
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster.hosts import Network, head_answers
from tests.deploy.local_pods import LocalPod, Node
from tests.deploy.policies import quantity
from tests.deploy.rendered import named, pods
from tests.deploy.selecting import may_talk

_ANY_PORT = 30001  # as Ray's processes choose theirs
_OBJECT_STORE = 0.3  # of the container's memory, as Ray would find it in a cgroup
_SECONDS = 240.0  # for a server to answer, on a machine that is busy with the rest

# The entrypoint of the official image: a database of the user's name, open to all who know the password.
_POSTGRES = """
printf %s "$POSTGRES_PASSWORD" > /tmp/password
initdb --no-sync --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256
echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
echo "CREATE DATABASE $POSTGRES_USER" | postgres --single -D "$PGDATA" postgres
exec postgres -D "$PGDATA" -F -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql
"""
_HEALTHY = """python -c "import urllib.request; r=urllib.request.urlopen('%s/api/gcs_healthz', timeout=10); \
exit(0 if b'success' in r.read() else 1)" >/dev/null 2>&1"""


class LocalCluster:
    """The pods of one sweep.

    Args:
        net: Where their hosts are made.
        folder: Of volumes and logs.
        objects: What ``orchestrator.launch --dry-run`` prints.

    Attributes:
        password: Of the databases, which the secrets that the user makes hold.
        workers: The pods of the groups, in their order.
    """

    def __init__(self, net: Network, folder: Path, objects: list[dict[str, Any]]) -> None:
        self.job, self.password, self._token = named(objects, "RayJob"), secrets.token_hex(24), secrets.token_hex(32)
        self._node = Node(folder, objects, {name: {"password": self.password} for name in ("postgresql", "redis")})
        self._name, self._namespace = f"{self.job['metadata']['name']}-abcde", self.job["metadata"]["namespace"]
        self._spec = self.job["spec"]["rayClusterSpec"]
        rendered = {pod.component: pod for pod in pods(objects)}

        def pod(component: str, name: str) -> LocalPod:
            host = net.host(component.removeprefix("ray-"))
            self._node.names[name] = host.address
            return LocalPod(self._node, rendered[component], host, name)

        self.database, self.mlflow = pod("postgresql", "postgresql-0"), pod("mlflow", "mlflow-0")
        self.redis = pod("redis", "redis-0") if "redis" in rendered else None
        self.head = pod("ray-head", f"{self._name}-head")
        labels = [group["template"]["metadata"]["labels"] for group in self._spec["workerGroupSpecs"]]
        components = [each["app.kubernetes.io/component"] for each in labels]
        self.workers = [pod(component, f"{self._name}-{component}") for component in components]
        self.submitter = pod("submitter", f"{self.job['metadata']['name']}-submitter")
        self._service("postgresql", self.database)
        if self.redis is not None:
            self._service("redis", self.redis)
        self._service("mlflow", self.mlflow)
        self._service(f"{self._name}-head-svc", self.head)
        self._keep_apart()

    @property
    def pods(self) -> list[LocalPod]:
        """All of them."""
        return [self.database, self.mlflow, *([self.redis] if self.redis else []), self.head, *self.workers, self.submitter]

    @property
    def worker(self) -> LocalPod:
        """The one that does the work."""
        return self.workers[0]

    def volume(self, name: str) -> Path:
        """The folder behind a claim."""
        return self._node.claim(name)

    def begin(self) -> None:
        """Start everything, and wait until it answers."""
        self.database.begin(["sh", "-euc", _POSTGRES])
        self._wait(self.database, self.database.is_ready)
        self.mlflow.begin([*self.mlflow.container["command"], *self.mlflow.container["args"]])
        if self.redis is not None:
            self.begin_redis()
        self.begin_head()
        service = self._address(f"{self._name}-head-svc")
        for pod, group in zip(self.workers, self._spec["workerGroupSpecs"], strict=True):
            more = self._ray_environment(group["groupName"], service)
            more |= {"RAY_gcs_rpc_server_reconnect_timeout_s": "600"} if self.redis else {}
            pod.begin(self._start_command(group, f"{service}:6379"), more)
        self._wait(self.worker, lambda: len(self.state("nodes")) == 1 + len(self.workers))
        self._wait(self.mlflow, self.mlflow.is_ready)

    def begin_redis(self) -> None:
        """Start it, or start it again from its volume, and wait until it answers."""
        self.redis.begin([*self.redis.container["command"], *self.redis.container["args"]])
        self._wait(self.redis, self.redis.is_ready)

    def begin_head(self) -> None:
        """Start Ray's head, the first or one in the place of a dead one, and wait until it answers."""
        more = self._ray_environment("headgroup", "127.0.0.1")
        group = self._spec["headGroupSpec"]
        if self.redis is not None:
            store = self._spec["gcsFaultToleranceOptions"]
            more |= {"RAY_REDIS_ADDRESS": store["redisAddress"], "REDIS_PASSWORD": self._node.secret(store["redisPassword"])}
            more |= {"RAY_external_storage_namespace": "uid-of-the-cluster"}
            group = group | {"rayStartParams": group["rayStartParams"] | {"redis-password": "$REDIS_PASSWORD"}}
        self.head.begin(self._start_command(group, ""), more)
        self._wait(self.head, lambda: head_answers(self.head.host, self._authentication()))

    def submit(self, job: str) -> str:
        """Have a submitter submit the entrypoint, unless that has been done, and follow it to its end; returns its log.

        Args:
            job: Its name.
        """
        address = f"http://{self._address(f'{self._name}-head-svc')}:8265"
        follow = f"ray job logs --address {address} --follow {job}"
        resources = self.job["spec"].get("entrypointResources")
        place = f"--entrypoint-resources {json.dumps(resources)} " if resources else ""
        entrypoint = self.job["spec"]["entrypoint"].strip()
        submit = f"ray job submit --address {address} --no-wait --submission-id {job} {place}-- {entrypoint} ;"
        once = f"if ! ray job status --address {address} {job} >/dev/null 2>&1 ; then {submit} fi ; {follow}"
        more = {"PYTHONUNBUFFERED": "1", "RAY_DASHBOARD_ADDRESS": address.removeprefix("http://"), "RAY_JOB_SUBMISSION_ID": job}
        more |= self._authentication()
        return self.submitter.ask(["/bin/bash", "-ce", "--", f"until {_HEALTHY % address} ; do sleep 2 ; done ; {once}"], more)

    def told(self, job: str) -> dict[str, Any]:
        """What Ray tells of a job."""
        return self._asked(f"/api/jobs/{job}")

    def state(self, kind: str) -> list[dict[str, Any]]:
        """What Ray's State API knows of nodes, actors or tasks, those that have ended too."""
        return self._asked(f"/api/v0/{kind}?detail=1&limit=10000")["data"]["result"]["result"]

    def _asked(self, path: str) -> Any:
        """The dashboard's answer, to this process and not to a pod."""
        question = urllib.request.Request(f"http://{self.head.host.address}:8265{path}")
        question.add_header("Authorization", f"Bearer {self._token}")
        with urllib.request.urlopen(question, timeout=60) as answer:
            return json.load(answer)

    def _start_command(self, group: dict[str, Any], head: str) -> list[str]:
        """``ray start`` as the operator writes it."""
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        own = {name: quantity(amount) for name, amount in group.get("resources", {}).items()}
        options = {"num-cpus": f"{own.pop('CPU', math.ceil(quantity(limits['cpu']))):g}", "memory": int(quantity(limits["memory"]))}
        options |= {"resources": f"'{json.dumps({name: int(amount) for name, amount in own.items()})}'"} if own else {}
        options |= {"dashboard-agent-listen-port": 52365, "metrics-export-port": 8080, **group["rayStartParams"]}
        options |= {"object-store-memory": int(_OBJECT_STORE * quantity(limits["memory"]))}
        options |= {"address": head} if head else {"dashboard-host": "0.0.0.0", "node-ip-address": self.head.host.address}
        words = ["ray start", *(["--head --no-monitor"] if not head else []), "--block"]
        words += [f"--{name}={value}" for name, value in sorted(options.items())]
        return ["/bin/bash", "-c", "--", f"ulimit -n 65536; {' '.join(words)}"]

    def _ray_environment(self, group: str, head: str) -> dict[str, str]:
        """What the operator adds to that of the manifest."""
        names = {"RAY_CLUSTER_NAME": self._name, "RAY_CLUSTER_NAMESPACE": self._namespace, "RAY_NODE_TYPE_NAME": group}
        names |= {"RAY_CLOUD_INSTANCE_ID": f"{self._name}-{group}", "RAY_PORT": "6379", "RAY_ADDRESS": f"{head}:6379"}
        return names | {"RAY_USAGE_STATS_KUBERAY_IN_USE": "1", "RAY_DASHBOARD_ENABLE_K8S_DISK_USAGE": "1"} | self._authentication()

    def _authentication(self) -> dict[str, str]:
        return {"RAY_AUTH_MODE": self._spec["authOptions"]["mode"], "RAY_AUTH_TOKEN": self._token}

    def _address(self, service: str) -> str:
        return f"{service}.{self._namespace}.svc.cluster.local"

    def _service(self, name: str, pod: LocalPod) -> None:
        """Let all pods find it by every name that a cluster's DNS has for it."""
        full = self._address(name).split(".")
        self._node.names.update(dict.fromkeys((".".join(full[:length]) for length in (1, 2, 3, 5)), pod.host.address))

    def _keep_apart(self) -> None:
        """Let pods have no connection where the policies allow none in either direction."""
        for one, other in itertools.combinations(self.pods, 2):
            if not self._may_talk(one, other) and not self._may_talk(other, one):
                one.host.refuse(other.host)

    def _may_talk(self, source: LocalPod, target: LocalPod) -> bool:
        ports = [each["containerPort"] for each in target.container.get("ports", [])]
        labels = source.pod.labels, target.pod.labels
        return any(may_talk(self._node.objects, *labels, port) for port in (*ports, _ANY_PORT))

    @staticmethod
    def _wait(pod: LocalPod, condition: Callable[[], bool]) -> None:
        limit = time.monotonic() + _SECONDS
        while True:
            with contextlib.suppress(OSError):  # nobody listens yet
                if condition():
                    return
            assert time.monotonic() < limit, f"{pod.name} is not ready:\n{pod.log.read_text()[-5000:]}"
            time.sleep(0.5)
