"""``python -m orchestrator.launch STUDY --overlay gpu``: the sweep as a RayJob on Kubernetes, with the user's own kubectl."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from orchestrator import sweep
from orchestrator.command import Detach, Stop, command_line

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.checks import Options
    from orchestrator.submission.request import Request

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=sweep.app.info.context_settings)


@app.command()
def launch(
    context: typer.Context,
    overlay: Annotated[
        str, typer.Option(help="The cluster's kind: a folder of deploy/kubernetes/overlays, or the path of your own.")
    ] = "laptop",
    namespace: Annotated[str | None, typer.Option(help="Kubernetes namespace; by default the overlay's.")] = None,
    image: Annotated[str | None, typer.Option(help="Image of this sweep, with tag or digest; by default the overlay's.")] = None,
    kube_context: Annotated[
        str | None, typer.Option("--context", help="Context of your kubeconfig; by default the current one.")
    ] = None,
    replicas: Annotated[
        int | None, typer.Option(min=1, help="The most pods of workers; by default the overlay's, or more if --workers needs more.")
    ] = None,
    detach: Detach = False,
    stop: Stop = False,
    print_only: Annotated[
        bool, typer.Option("--dry-run", help="Check the command and print the YAML for `kubectl apply -f -`; touch no cluster.")
    ] = False,
) -> None:
    """Run a study on Kubernetes: render, check and apply a RayJob, or follow the one that runs it already; control-C detaches.

    Takes every option of orchestrator.sweep; paths are those that the pods see. Needs KubeRay's operator and the secrets that
    deploy/README.md names. What it lacks is told before anything is changed.
    """

    def run(options: Options, request: Request, console: Console) -> int:
        from orchestrator.deployment import launching
        from orchestrator.deployment.order import Order

        order = Order(overlay, namespace, image, kube_context, replicas, detach, stop, print_only)
        return launching.launch(options, request, order, console)

    context.obj = run


def command() -> TyperCommand:
    """The sweep's command with the options of a launch."""
    from orchestrator.deployment.order import RESULTS, STORE

    whole, own = typer.main.get_command(sweep.app), typer.main.get_command(app)
    run_sweep, names = whole.callback, {parameter.name for parameter in own.params}
    kept = [parameter for parameter in whole.params if parameter.name != "dry_run"]
    for parameter in kept:
        parameter.default = {"results": Path(RESULTS), "store": STORE}.get(parameter.name, parameter.default)

    def run(**values: Any) -> None:
        own.callback(**{name: values.pop(name) for name in names})
        run_sweep(**values)

    whole.callback, whole.help, whole.params = run, own.help, [*kept, *own.params]
    return whole


if __name__ == "__main__":
    command_line(command())
