"""``corecube simulate``."""

from __future__ import annotations

import json as jsons
from pathlib import Path
from typing import Annotated, Any

import typer

from corecube_cli.console import console, count
from corecube_cli.parameters import ConfigFiles, Json, command, help_text, new_app

app = new_app()

_HELP = help_text(
    "Write simulated files of an instrument, with known truth.",
    "corecube simulate --instrument sdss simulated",
    "corecube simulate --instrument sdss simulated --seed 7 --set rows=256 --set columns=256",
    more="An option that the instrument does not have is answered with the list of those it "
    "has. Another seed changes all values.",
)


@command(app, "simulate", _HELP)
def simulate_files(
    directory: Annotated[
        str, typer.Argument(metavar="DIR", help="Made if it is not there; must be empty.")
    ],
    instrument: Annotated[
        str, typer.Option("--instrument", "-i", metavar="NAME", help="'plugins list' has them.")
    ],
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the random numbers.")] = 1,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the simulation; repeated."),
    ] = None,
    config: ConfigFiles = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not empty.")
    ] = False,
    json: Json = False,
) -> None:
    """Let an instrument write simulated files."""
    from corecube.errors import CorecubeError, PluginError
    from corecube_cli.failures import UsageProblem
    from corecube_cli.outputs import folder_for
    from corecube_cli.settings import instrument as load_instrument

    if seed < 0:
        raise typer.BadParameter(f"{seed} is less than 0", param_hint="--seed")
    caller = load_instrument(instrument, config)
    if not caller.has("simulate"):
        raise UsageProblem(f"instrument '{caller.name}' cannot simulate")
    options = dict(_option(caller.name, text) for text in set_ or ())
    folder = folder_for(directory)
    if any(folder.iterdir()) and not force:
        raise UsageProblem(f"{folder}: is not empty; give another folder, or --force")
    try:
        truth = caller.call("simulate", directory=folder, options=options, seed=seed)
    except (CorecubeError, OSError):
        raise
    except Exception as error:  # a plugin's fault, often a value of the wrong type
        line = " ".join(str(error).split())
        raise PluginError(
            f"instrument {caller.plugin.who} failed to simulate: {type(error).__name__}: {line}"
        ) from error
    if json:
        print(jsons.dumps(truth, indent=1, ensure_ascii=False, allow_nan=False))
    files = [path for path in folder.rglob("*") if path.is_file()]
    sources = truth.get("sources", ()) if isinstance(truth, dict) else ()
    console.say(
        f"{count(len(files), 'file')} in {folder}, {count(len(sources), 'source')}, seed {seed}"
    )
    archive = Path(f"{folder.name or 'simulated'}.corecube")
    console.say(f"next: corecube ingest --instrument {caller.name} {folder} --archive {archive}")


def _option(name: str, text: str) -> tuple[str, Any]:
    """Return key and value of an option; numbers, true and false, null and lists are JSON."""
    from corecube_cli.failures import UsageProblem

    key, equals, value = text.partition("=")
    key = key.strip().removeprefix(f"{name}.")
    if not equals or not key:
        raise UsageProblem(f"--set {text}: write --set key=value")
    try:
        return key, jsons.loads(value)
    except ValueError:
        return key, value
