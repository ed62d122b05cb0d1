"""A compose project of a test's own: its services as they are, killed as a crash would."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from tests.deploy.engine import IMAGE, ROOT, done, run, until

BUNDLED = ROOT / ".venv" / "bin" / "docker-compose"
"""Compose as a development package has it, where it has."""


def implementations() -> list[str]:
    """The `docker-compose` programs here: the system's, and that of the environment of this repository."""
    path = os.pathsep.join(folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) != BUNDLED.parent)
    found = [shutil.which("docker-compose", path=path), shutil.which(str(BUNDLED))]
    return [program for program in found if program]


class Project:
    """The `demo` profile under a name of its own."""

    def __init__(self, program: str, name: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
            self.port, self.page_port = (int(probe.getsockname()[1]) for probe in (first, second))
        self._program = program
        self._name = name

    def compose(self, *arguments: str, timeout_s: float = 300.0) -> str:
        """Run a command of compose, which must succeed. Returns its output."""
        variables = {"DEMO_REDIS_PORT": str(self.port), "DEMO_GATEWAY_PORT": str(self.page_port), "CROSSTAPE_IMAGE": IMAGE}
        return done(self._program, "-p", self._name, "--profile", "demo", *arguments, timeout_s=timeout_s, **variables)

    def container(self, service: str) -> str:
        """The id of a service's only container."""
        return done("docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={self._name}",
                    "--filter", f"label=com.docker.compose.service={service}").strip()  # fmt: skip

    def states(self) -> dict[str, dict[str, object]]:
        """Service → its container's state as the engine describes it."""
        ids = done("docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={self._name}").split()
        described = json.loads(done("docker", "inspect", *ids)) if ids else []
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one["State"] for one in described}

    def health(self) -> dict[str, str]:
        """Service → `starting`, `healthy` or `unhealthy`."""
        found = {}
        for service, state in self.states().items():
            health = state.get("Health")
            found[service] = str(health["Status"]) if isinstance(health, dict) else str(state["Status"])
        return found

    def healthy(self) -> bool:
        """Whether all of them are."""
        return bool(health := self.health()) and set(health.values()) == {"healthy"}

    def kill(self, service: str) -> None:
        """End all processes of a service at once, from within: the engine then sees a crash, and starts the container again.

        `docker kill` would count as our wish, after which the engine leaves it alone.
        """
        before = self.started_at(service)
        run("docker", "exec", self.container(service), "sh", "-c", "kill -9 -1")
        until(lambda: self.started_at(service) > before, what=f"{service} is started again")

    def started_at(self, service: str) -> str:
        """Returns when its container was started last; later times compare greater."""
        return str(self.states()[service]["StartedAt"])

    def asked(self, path: str) -> str:
        """Returns the gateway's answer, as a browser on this host gets it. Raises `OSError`."""
        with urllib.request.urlopen(f"http://localhost:{self.page_port}{path}", timeout=5) as answer:
            text: str = answer.read().decode()
        return text

    def redis(self) -> Redis:
        """The demo's Redis, as a program on this host reaches it."""
        return Redis(port=self.port, socket_timeout=5)


@contextmanager
def demo(program: str, name: str) -> Iterator[Project]:
    """Builds and starts the demo; at the end prints its logs and removes all of it."""
    project = Project(program, name)
    try:
        project.compose("up", "-d", "--build", timeout_s=600)
        yield project
    finally:
        sys.stdout.write(project.compose("logs", "--tail", "15"))
        project.compose("down", "-v", "--remove-orphans")
