"""The image on a real engine: who it runs as, what it holds, how it ends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosstape.settings import Settings
from tests.deploy import engine
from tests.deploy.engine import IMAGE, ROOT, done, run, until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600), pytest.mark.xdist_group("image")]

HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none")


@pytest.fixture(scope="module", autouse=True)
def image() -> None:
    """Built from this tree."""
    engine.need()
    done("docker", "build", "-q", "-f", "docker/Dockerfile", "-t", IMAGE, ".", timeout_s=600)


@pytest.fixture
def container() -> Iterator[str]:
    """A name that is free, and is again afterwards."""
    name = f"crosstape-test-{os.getpid()}"
    yield name
    run("docker", "rm", "-f", name)


def python(code: str) -> str:
    """Run this code in the image. Returns its output."""
    return done("docker", "run", "--rm", *HARDENED, "--entrypoint", "python", IMAGE, "-c", code)


def test_it_runs_as_nobody_in_particular() -> None:
    """A user of its own, who owns the run directory and nothing that is run."""
    assert python("import os; print(os.getuid(), os.getgid())").split() == ["10001", "0"]
    stat = python("import os; s = os.stat('/var/lib/crosstape'); print(s.st_uid, s.st_gid, oct(s.st_mode & 0o777))")
    assert stat.split() == ["10001", "0", "0o770"]
    assert python("import os; print(os.access('/opt/crosstape', os.W_OK))").strip() == "False"


def test_it_holds_what_runs_and_nothing_else() -> None:
    """No installer, no build tool, no test tool in its environment; no secret in its layers or environment."""
    code = "import importlib.metadata as m, sysconfig; print(*(d.name for d in m.distributions(path=[sysconfig.get_path('purelib')])))"
    names = set(python(code).split())
    assert {"crosstape", "aiohttp", "redis"} <= names
    assert not {"pip", "hatchling", "pytest", "setuptools"} & names
    described = json.loads(done("docker", "inspect", IMAGE))[0]
    history = done("docker", "history", "--no-trunc", "--format", "{{.CreatedBy}}", IMAGE)
    assert not [
        word for word in ("PASSWORD", "SECRET", "TOKEN") if word in history.upper() or word in str(described["Config"]["Env"]).upper()
    ]
    assert described["Config"]["User"] == "10001:0"
    assert described["Config"]["StopSignal"] == "SIGTERM"
    assert described["Config"]["Healthcheck"]["Test"][:2] == ["CMD", "crosstape"]


def test_the_whole_tape_runs_in_one_read_only_container() -> None:
    """`demo` needs no network and no writable place but the run directory and /tmp."""
    printed = done("docker", "run", "--rm", *HARDENED, "--tmpfs", "/tmp", IMAGE, "demo", "--seconds", "15", "--json", timeout_s=120)

    assert max(json.loads(line)["venues"] for line in printed.splitlines() if line.startswith("{")) >= 3


@pytest.mark.parametrize("user", ["1000680000:0", "4242", "0:0"])
@pytest.mark.parametrize("options", [(), ("-e", "HOME=/"), ("--tmpfs", "/var/lib/crosstape:mode=777")])
def test_it_runs_as_any_user_of_group_0(container: str, user: str, options: tuple[str, ...]) -> None:
    """OpenShift starts it so, without a user name and a home: the server of `up` uses the run directory."""
    others = [name.upper() for name in Settings().venues if name != "kraken"]
    settings = [word for name in others for word in ("-e", f"CROSSTAPE_VENUES__{name}__ENABLED=false")]
    done("docker", "run", "-d", "--name", container, "--user", user, "--read-only", "--tmpfs", "/tmp", *options, *settings, IMAGE, "up")
    until(lambda: "server.embedded" in done("docker", "logs", container), what="it has its server")
    assert "Traceback" not in done("docker", "logs", container)


def test_asked_to_stop_it_ends_by_itself(container: str) -> None:
    """SIGTERM reaches the service, which is the first process of its container."""
    done("docker", "run", "-d", "--name", container, "--read-only", IMAGE, "simulate")
    until(lambda: "simulator.listening" in done("docker", "logs", container), what="it listens")
    done("docker", "stop", "-t", "30", container)

    assert json.loads(done("docker", "inspect", container))[0]["State"]["ExitCode"] == 0


GATEWAY = ("-e", "CROSSTAPE_BUS__URL=redis://127.0.0.1:1", "-e", "CROSSTAPE_GATEWAY__HOST=0.0.0.0")
TOKENS = "/run/secrets/gateway_tokens"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param((), "gateway.host", id="nothing set"),
        pytest.param(
            ("-e", f"CROSSTAPE_GATEWAY__TOKENS_FILE={TOKENS}", "-v", f"{ROOT}/docker/no-tokens:{TOKENS}:ro"),
            "gateway.tokens_file",
            id="the file of compose, which has no token",
        ),
    ],
)
def test_a_gateway_serves_no_network_without_tokens(container: str, options: tuple[str, ...], said: str) -> None:
    """It ends with the code of a wrong setting, which it names."""
    result = run("docker", "run", "--name", container, *HARDENED, *GATEWAY, *options, IMAGE, "gateway")

    assert result.returncode == 2, result.stdout
    assert said in result.stdout
    assert "Traceback" not in result.stdout


def test_a_gateway_reads_tokens_from_a_mounted_secret(container: str, tmp_path: Path) -> None:
    """As compose mounts it: with the mode of the host's file, which the container's user must be able to read."""
    file = tmp_path / "tokens"
    file.write_text("desk:0123456789abcdef\n")
    file.chmod(0o444)
    secret = ("-e", f"CROSSTAPE_GATEWAY__TOKENS_FILE={TOKENS}", "-v", f"{file}:{TOKENS}:ro")
    done("docker", "run", "-d", "--name", container, "--read-only", *GATEWAY, *secret, IMAGE, "gateway")
    until(lambda: "gateway.listening" in done("docker", "logs", container), what="it listens")
    code = (
        "import urllib.request as u; print(u.urlopen(u.Request('http://127.0.0.1:8090/api/session',"
        " headers={'Authorization': 'Bearer 0123456789abcdef'})).read().decode())"
    )
    assert '"name":"desk"' in done("docker", "exec", container, "python", "-c", code)
    assert "0123456789abcdef" not in done("docker", "logs", container)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        pytest.param(("-e", "CROSSTAPE_BUS__TIMEOUT_S=soon"), 2, "bus.timeout_s", id="wrong setting"),
        pytest.param(("-e", "CROSSTAPE_BUS__URL=ftp://redis"), 2, "bus.url", id="wrong address"),
        pytest.param(("-e", "CROSSTAPE_BUS__START_S=1"), 3, "127.0.0.1:1", id="no Redis"),
        pytest.param(("--tmpfs", "/var/lib/crosstape:size=4k,uid=10001,mode=700,nr_inodes=1"), 6, "run.dir", id="full disk"),
        pytest.param(("--tmpfs", "/var/lib/crosstape:uid=0,gid=1"), 6, "run.dir", id="no permission"),
        pytest.param(("--tmpfs", "/var/lib/crosstape:uid=10001,mode=700,ro"), 6, "run.dir", id="read-only"),
    ],
)
@pytest.mark.parametrize("service", ["aggregator", "connector --venue kraken"])
def test_what_cannot_start_says_why_and_ends(container: str, service: str, options: tuple[str, ...], code: int, said: str) -> None:
    """The exit code is the documented one, with one line for a person."""
    result = run(
        "docker", "run", "--name", container, *HARDENED, "-e", "CROSSTAPE_BUS__URL=redis://127.0.0.1:1", *options, IMAGE, *service.split()
    )

    assert result.returncode == code, result.stdout
    assert said in result.stdout
    assert "Traceback" not in result.stdout
