"""The user's own kubectl as a launch uses it: every call has an end, and every refusal is told in words."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import IO

from trainables.errors import UserError

_ANSWER_SECONDS = 120
OPERATOR = "install KubeRay's operator (deploy/README.md, step 2)"
"""What to do where the cluster knows no RayJob."""
ASK = "ask those who run the cluster for the role in deploy/kubernetes/examples/launcher.yaml"
"""What to do where rights are lacking."""
_AWAY = (
    r"Unable to connect to the server|was refused|i/o timeout|TLS handshake timeout|no such host|no route to host|"
    r"reset by peer|request canceled|context deadline exceeded|etcdserver|unexpected EOF|ServiceUnavailable|TooManyRequests"
)
_WAYS_OUT = {
    r"context .* does not exist|no context exists": "`kubectl config get-contexts` lists yours; give one with --context",
    r"current-context is not set|localhost:8080": "kubectl knows no cluster: choose one, `kubectl config use-context` or --context",
    r"logged in|Unauthorized|provide credentials": "the cluster does not know you: log in to it again",
    r"[Ff]orbidden": f"your account may not do that: {ASK}",
    r"no matches for kind \"Ray|the server doesn't have a resource type \"rayjobs": OPERATOR,
    r"no matches for kind": "the cluster has no such kind of object: install what brings it, or choose another --overlay",
    r"conflict": "somebody else manages these fields: look with `kubectl get -o yaml --show-managed-fields`, and agree who does",
}


class Refused(UserError):
    """Kubectl, or the cluster through it, did not do what was asked."""


class Unreachable(Refused):
    """The cluster does not answer; it may do so later."""


class Missing(Refused):
    """The object is not there."""


class Taken(Refused):
    """An object of that name is there already."""


class Kubectl:
    """Calls kubectl; every method raises :class:`Refused` where that fails, :class:`Unreachable`, ... where more is known.

    Args:
        context: Of the user's kubeconfig; None for the current one.
    """

    def __init__(self, context: str | None = None) -> None:
        self._base = ["kubectl", *(["--context", context] if context else [])]

    def command(self, *arguments: str) -> str:
        """A call as a line for people to copy."""
        return shlex.join([*self._base, *arguments])

    def run(self, *arguments: str, text: str | None = None) -> str:
        """What a call writes to stdout.

        Args:
            arguments: Of kubectl.
            text: For its stdin.
        """
        code, out, error = self.answer(*arguments, text=text)
        if code:
            raise refusal(arguments, error or out)
        return out

    def answer(self, *arguments: str, text: str | None = None) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a call whose exit code is an answer."""
        options = {"input": text or "", "capture_output": True, "text": True, "timeout": _ANSWER_SECONDS + _patience(arguments)}
        try:
            done = subprocess.run([*self._base, *arguments], check=False, **options)
        except FileNotFoundError:
            raise Refused("kubectl is not on the PATH: install it (https://kubernetes.io/docs/tasks/tools/)") from None
        except subprocess.TimeoutExpired:
            raise Unreachable(f"`{self.command(*arguments)}` has not ended after {options['timeout']} seconds") from None
        return done.returncode, done.stdout, done.stderr

    def lines(self, *arguments: str) -> Iterator[str]:
        """Lines of stdout while they are written, to the end of the call, however it ends.

        Leaving the iteration early ends the call.
        """
        with subprocess.Popen([*self._base, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            out: IO[str] = process.stdout
            try:
                yield from out
            finally:
                process.terminate()


def in_namespace(namespace: str | None) -> list[str]:
    """The option for a namespace; none for that of the user's context."""
    return [f"--namespace={namespace}"] if namespace else []


def refusal(arguments: tuple[str, ...], error: str) -> Refused:
    """What went wrong, and what to do about it.

    Args:
        arguments: Of the call.
        error: What it wrote to stderr.
    """
    lines = [line.strip() for line in error.splitlines() if line.strip() and not line.startswith("Warning:")]
    plain = [line for line in lines if not re.match(r"[EWI]\d{4} ", line)] or lines  # without what its libraries log besides
    gist = "; ".join(dict.fromkeys(_told(line) for line in plain[-5:])) or "no reason was given"
    words = f"kubectl {arguments[0] if arguments else ''}: {gist}"
    if re.search(r"\(NotFound\)|NotFound:", error):
        return Missing(words)
    if "AlreadyExists" in error:
        return Taken(words)
    for pattern, way in _WAYS_OUT.items():
        if re.search(pattern, error):
            return Refused(f"{words}. {way[0].upper()}{way[1:]}.")
    return (Unreachable if re.search(_AWAY, error) else Refused)(words)


def _told(line: str) -> str:
    """A line of kubectl's without what it says of itself."""
    line = re.sub(r"^(error|Error)( from server)?(?! \()(: )?", "", line)
    return line.removesuffix(" - did you specify the right host or port?").rstrip(".")


def _patience(arguments: tuple[str, ...]) -> int:
    """Seconds that a call was itself told to wait."""
    found = [int(match[1]) for argument in arguments if (match := re.fullmatch(r"--timeout=(\d+)s", argument))]
    return max(found, default=0)
