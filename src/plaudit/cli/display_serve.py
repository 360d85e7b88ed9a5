"""What `plaudit serve --check` prints."""

from rich.text import Text

from plaudit.cli import display
from plaudit.server.checking import CheckReport


def report(found: CheckReport, as_json: bool) -> None:
    """Print what would be served, and what the probes gave."""
    if as_json:
        display.json_line(found)
        return
    console = display.stdout()
    for reward in found.rewards:
        console.print(f"{reward.name}: {reward.serves}", markup=False, soft_wrap=True)
        for engine in reward.engines:
            console.print(f"  engine {engine}", markup=False, soft_wrap=True)
        for path in reward.paths:
            console.print(f"  POST {path}", markup=False, soft_wrap=True)
        if reward.problem:
            console.print(Text(f"  problem: {reward.problem}", style="red"), soft_wrap=True)
    for one in found.watch:
        console.print(f"watch {one.name}", markup=False, soft_wrap=True)
        line = f"  every {one.every:g} s: up to {one.probes} probes, {one.calls} engine calls"
        console.print(line, markup=False, soft_wrap=True)
        rows = f"  {one.known} known rows; cheats: {', '.join(one.cheats)}"
        console.print(rows, markup=False, soft_wrap=True)
        console.print(f"  a value above {one.paid_above:g} is a payment", soft_wrap=True)
    table = display.table("dialect", "without a value", "deadline", numbers=("deadline",))
    for dialect in found.dialects:
        table.add_row(dialect.name, dialect.when_unscored, f"{dialect.deadline:g} s")
    console.print(table)
