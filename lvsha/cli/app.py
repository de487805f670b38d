"""The commands there are. Each is imported when it is called, from the module that the table names."""

from __future__ import annotations

from importlib import import_module

import click

from lvsha import __version__
from lvsha.cli.session import SOCKET, Session

COMMANDS = {
    "status": ("see", "The director in one glance."),
    "services": ("see", "The services."),
    "servers": ("see", "The servers, or those that a target means."),
    "overrides": ("see", "What was said by hand."),
    "plan": ("see", "What would be changed in the kernel now."),
    "vrrp": ("see", "The VRRP instances, or one of them in full."),
    "doctor": ("see", "What is wrong, or about to be."),
    "drain": ("hand", "Let a server finish its connections and give it no new ones."),
    "undrain": ("hand", "Take a drain back."),
    "disable": ("hand", "Take a server out at once."),
    "enable": ("hand", "Take a disable back."),
    "weight": ("hand", "Set a server's weight by hand."),
    "reload": ("steer", "Read the configuration again."),
    "look": ("steer", "Compare with the kernel now, and repair."),
    "failover": ("steer", "Hand the addresses over to the other director."),
    "hold": ("steer", "Keep this director from being master."),
    "release": ("steer", "Let this director be master again."),
    "events": ("events", "What has happened, and what happens."),
    "realserver": ("realserver", "Make a real server ready for dr or tun, or look at one."),
    "config": ("config", "Check, explain or show the configuration."),
    "completion": ("completion", "Print the shell's completion script."),
}


class Lazy(click.Group):
    """A group that knows its commands by name and imports one when it is called."""

    def list_commands(self, _: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"lvsha.cli.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--socket",
    default=SOCKET,
    envvar="LVSHA_SOCKET",
    show_default=True,
    show_envvar=True,
    help="The control socket of lvshad.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer with JSON.")
@click.version_option(__version__, prog_name="lvsha-cli", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context, socket: str, as_json: bool) -> None:
    """Ask and steer the lvsha director of this machine.

    A TARGET is a server: NAME (in every service that uses it), SERVICE/NAME, ADDRESS, ADDRESS:PORT or
    SERVICE/ADDRESS:PORT.
    """
    context.obj = Session(socket, as_json=as_json)
