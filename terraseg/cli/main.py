"""The `terraseg` command: its sub-commands, and what becomes of an error."""

import os
import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

import terraseg
from terraseg.errors import TerrasegError

COMMANDS = {
    "check": "look through imagery and labels, and write a first terraseg.toml",
    "plan": "show how training would be done on this machine, and why",
    "models": "list the networks with their sizes and costs",
    "lr-find": "find a learning rate by a range test",
    "train": "train a model by the plan",
    "ensemble": "average several models in one",
    "evaluate": "score the maps of a project against its labels",
    "predict": "turn rasters into class maps",
    "clean": "drop what is unsure, ragged or too small from a class map",
    "vectorize": "turn a class map into polygons",
    "measure": "areas, shares and object sizes of a class map",
    "export": "a model for QGIS, STAC or ArcGIS, or in bytes for speed",
    "report": "write the report page of a project",
    "map": "all of it, from imagery and labels to report; redoes only what is stale",
    "demo": "make a small town and map it",
}
# Click's class for wrong usage; recent releases of typer carry their own click, older ones import it.
USAGE_ERROR: Any = typer.BadParameter.__base__
OK, OUR_BUG, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


class LazyGroup(TyperGroup):
    """The sub-commands, each loaded from its own module when it is called: `--help` loads none of them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name, loaded now; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"terraseg.cli.{cmd_name.replace('-', '_')}")
        single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        single.command(name=cmd_name)(module.run)
        return typer.main.get_command(single)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list in `--help`, from the summaries alone."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    cls=LazyGroup, add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)


def _version(shown: bool) -> None:
    if shown:
        typer.echo(f"terraseg {terraseg.__version__}")
        raise typer.Exit


@app.callback(epilog="--debug after any command shows the traceback of an error.")
def root(version: bool = typer.Option(False, "--version", callback=_version, is_eager=True)) -> None:
    """Overhead imagery to maps: train, predict, vectorize, measure. Start with `terraseg demo` or `terraseg check FOLDER`."""


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and leaves with 0 when done, 1 for a bug of ours, 2 for bad usage or input."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """The exit code of a command line; what it has to say goes to the terminal."""
    debug = "--debug" in arguments
    # GDAL would take 5 % of the memory for its block cache; we read each block about once.
    os.environ.setdefault("GDAL_CACHEMAX", "128")
    hook = sys.unraisablehook
    sys.unraisablehook = hook if debug else _of_interest
    try:
        result: Any = app(args=[a for a in arguments if a != "--debug"], standalone_mode=False)
        return result if isinstance(result, int) else OK
    except TerrasegError as error:
        if debug:
            raise
        return _fail(" ".join(str(error).split()), BAD_INPUT)
    except USAGE_ERROR as error:
        return _fail(error.format_message(), BAD_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted; the same command goes on from here", INTERRUPTED)
    except Exception as error:  # the outermost boundary: a bug of ours, said in one line
        if debug:
            raise
        kind = type(error).__name__
        return _fail(f"internal error ({kind}: {error}); run again with --debug and report what it prints", OUR_BUG)
    finally:
        sys.unraisablehook = hook


def _of_interest(what: "sys.UnraisableHookArgs") -> None:
    """Shows an error that nobody can catch, but for GDAL's messages on damaged files that are no text to rasterio."""
    if not isinstance(what.exc_value, UnicodeDecodeError):
        sys.__unraisablehook__(what)


def _fail(text: str, code: int) -> int:
    print(f"terraseg: {text}", file=sys.stderr)
    return code
