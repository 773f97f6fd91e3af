"""A kubectl whose cluster is a file of canned answers; kustomize is the real one's. Every call is noted."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path


class FakeKubectl:
    """The cluster as a test tells it.

    Args:
        folder: To keep it in; ``folder/bin`` belongs on the PATH.
    """

    def __init__(self, folder):
        self._answers, self._calls = folder / "answers.json", folder / "calls.jsonl"
        (folder / "bin").mkdir()
        program = folder / "bin" / "kubectl"
        started = f"#!/bin/sh\nexec {sys.executable} -IS {__file__} {folder} {shutil.which('kubectl')}"
        program.write_text(f'{started} "$@"\n')
        program.chmod(0o755)
        self.answers = {}

    def answer(self, pattern, *answers):
        """What calls that match get, one after the other, the last one for ever: text for stdout, or (exit code, stderr)."""
        self.answers = {pattern: answers} | {key: value for key, value in self.answers.items() if key != pattern}
        self._answers.write_text(json.dumps(self.answers))

    def calls(self, word=""):
        """What was called, without kustomize: lists of arguments, those alone in which a word occurs."""
        return [each["argv"] for each in self._noted() if not word or word in each["argv"]]

    def inputs(self, word):
        """What calls with a word got on stdin."""
        return [each["stdin"] for each in self._noted() if word in each["argv"]]

    def _noted(self):
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        return [each for each in map(json.loads, lines) if "kustomize" not in each["argv"]]


def main(folder, real, argv):
    line, calls = " ".join(argv), folder / "calls.jsonl"
    if "kustomize" in argv:
        return subprocess.run([real, *argv], check=False).returncode
    stdin = "" if sys.stdin.isatty() else sys.stdin.read()
    before = [json.loads(each) for each in calls.read_text().splitlines()] if calls.exists() else []
    with calls.open("a") as file:
        file.write(json.dumps({"argv": argv, "stdin": stdin}) + "\n")
    for pattern, answers in json.loads((folder / "answers.json").read_text()).items():
        if re.search(pattern, line):
            count = sum(bool(re.search(pattern, " ".join(each["argv"]))) for each in before)
            answer = answers[min(count, len(answers) - 1)]
            if isinstance(answer, str):
                sys.stdout.write(answer)
                return 0
            sys.stderr.write(answer[1])
            return answer[0]
    sys.stderr.write(f"error: nobody told this kubectl what to answer to: {line}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
