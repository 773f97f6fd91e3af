"""``python -m orchestrator.submit STUDY``: the sweep as a job of a Ray cluster, which goes on without this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from orchestrator import sweep
from orchestrator.command import Detach, Stop, command_line
from orchestrator.submission.request import Request, Submission

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.checks import Options

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=sweep.app.info.context_settings)


@app.command()
def submit(
    context: typer.Context,
    detach: Detach = False,
    stop: Stop = False,
    image: Annotated[
        bool, typer.Option("--image", help="The project is installed on the cluster's nodes; by default this checkout is sent.")
    ] = False,
) -> None:
    """Run a study on a cluster: submit it through Ray's Jobs API, or follow the job that runs it already; control-C detaches.

    Takes every option of orchestrator.sweep. --address is http(s)://... of the cluster's dashboard, auto or host:port; by default
    what RAY_API_SERVER_ADDRESS or RAY_ADDRESS say. Relative paths are of this machine; the cluster must see the same there.
    """
    asked = Submission(detach, stop, image)

    def run(options: Options, request: Request, console: Console) -> int:
        from orchestrator import submitting

        return submitting.submit(options, request, asked, console)

    context.obj = run


def command() -> TyperCommand:
    """The sweep's command with the options of a submission."""
    whole, own = typer.main.get_command(sweep.app), typer.main.get_command(app)
    run_sweep, names = whole.callback, {parameter.name for parameter in own.params}

    def run(**values: Any) -> None:
        own.callback(**{name: values.pop(name) for name in names})
        run_sweep(**values)

    whole.callback, whole.help, whole.params = run, own.help, [*whole.params, *own.params]
    return whole


if __name__ == "__main__":
    command_line(command())
