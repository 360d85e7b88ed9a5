"""What a person sees of a dry run."""

import msgspec
from rich.markup import escape

from plaudit.cli.display import count, json_line, money, readout_and_mode, stdout, unknown_cost
from plaudit.runs.plan import Load, Plan


def plan(found: Plan, as_json: bool) -> None:
    """Print a dry run."""
    if as_json:
        json_line(found)
        return
    stdout().print(
        f"{found.judge}: {readout_and_mode(found.readout, found.mode)}\n"
        f"{found.samples} samples, {found.rejected} rows rejected\n"
        f"{_load(found)}{_vote_note(found)}"
    )
    members = [] if isinstance(found.members, msgspec.UnsetType) else found.members
    for member in members:
        stdout().print(
            f"{escape(member.name)}, {member.judge}:\n{_load(member)}{_vote_note(member)}"
        )


def _load(load: Load) -> str:
    cost = escape(unknown_cost())
    if load.cost_usd_limit is not None:
        cost = f"at most about {money(load.cost_usd_limit)}" if load.cost_usd_limit else "nothing"
    prior = f", {load.prior_calls} of them for the prior" if load.prior_calls else ""
    more = ""
    if load.continuation_calls_limit:
        more = (
            f"up to {count(load.continuation_calls_limit, 'call')} more to score options as "
            "continuations, where replies show too few log-probabilities\n"
        )
    return (
        f"{count(load.calls, 'call')} to send{prior}, {load.stored} answered by the store\n{more}"
        f"about {load.input_tokens_estimated} tokens in, at most {load.output_tokens_limit} out\n"
        f"cost: {cost}"
    )


def _vote_note(found: Load) -> str:
    if found.votes == 1:
        return ""
    return (
        f"\ncounted with {found.least_votes} votes a sample; where they differ, up to {found.votes}"
    )
