"""What `cost` shows: the options side by side, what stands by instead, and which one to take."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pilotlight.cli import output
from pilotlight.cli.cost_steps import Case, Compared, Standing
from pilotlight.cli.sim_output import dollars, milliseconds
from pilotlight.measure import break_even, cost, plot
from pilotlight.measure.choices import NAMES, Option

_STORED = (
    "An image is kept in ECR as well, for $0.10 a GB and month (belief); to start, it is taken for as fast as a zip."
)
_SEEN = 0.0001  # dollars a month
_PARTS = {"package": "Package", "start": "Start", "architecture": "Processor", "front": "Front"}


def record(case: Case, compared: Compared) -> dict[str, object]:
    """Times in milliseconds, dollars a month."""
    return {
        "function": case.deployed._asdict(),
        "traffic": case.traffic.text,
        "requests_per_month": compared.requests,
        "target_p99_ms": case.target.within * 1000,
        "times": {architecture: each.source for architecture, each in case.timed.items()},
        "region": cost.REGION,
        "options": [_option(each) for each in compared.options],
        "always_on": [_standing(each) for each in compared.standing],
        "not_possible": [each._asdict() for each in compared.refused],
        "recommendation": recommendation(case, compared),
        "notes": notes(case, compared),
    }


def _option(option: Option) -> dict[str, object]:
    return {
        **option.choice._asdict(),
        "provisioned": option.provisioned,
        "p50_ms": None if option.p50 is None else option.p50 * 1000,
        "p99_ms": None if option.p99 is None else option.p99 * 1000,
        "cold_share": option.cold,
        "lost_share": option.lost,
        "items": dict(option.items),
        "total": option.total,
    }


def _standing(standing: Standing) -> dict[str, object]:
    found = standing.cost
    return {
        "what": found.machine.name,
        "number": found.number,
        "items": dict(found.items),
        "total": found.total,
        "cheaper_from_requests_per_month": standing.even,
    }


def show(case: Case, compared: Compared) -> None:
    output.line(f"{case.deployed.name}: {case.deployed.memory:,} MB, {compared.requests:,.0f} requests a month")
    output.line(f"{case.traffic.amount}, {case.traffic.text}")
    for architecture, timed in case.timed.items():
        output.line(f"{architecture}: {timed.source}")
    output.line(f"Target: 99 of 100 requests answered in {milliseconds(case.target.within)} ms\n")
    output.line(f"  {'':36} {'p50 ms':>10} {'p99 ms':>10} {'cold':>8} {'lost':>8} {'$ a month':>12}")
    best = compared.options[0]
    for part, title in _PARTS.items():
        output.line(f"\n  {title}")
        for option in _beside(compared.options, part):
            output.line(_row(option, part, is_best=option is best))
    _show_standing(compared.standing)
    _show_refused(compared)
    output.line(f"\n{recommendation(case, compared)}")
    for note in notes(case, compared):
        output.note(note)


def _beside(options: Sequence[Option], part: str) -> Iterator[Option]:
    """The best option and those that differ from it in `part` alone."""
    best = options[0].choice
    for option in options:
        if option.choice._replace(**{part: getattr(best, part)}) == best:
            yield option


def _row(option: Option, part: str, is_best: bool) -> str:
    value = getattr(option.choice, part)
    name = NAMES.get(value, value) + (f" of {option.provisioned}" if value == "provisioned" else "")
    figures = f"{milliseconds(option.p50):>10} {milliseconds(option.p99):>10} {option.cold:>8.2%} {option.lost:>8.2%}"
    return f"  {'>' if is_best else ' '} {name:34} {figures} {dollars(option.total):>12}"


def _show_standing(standing: Sequence[Standing]) -> None:
    output.line("\n  Instead of Lambda")
    for each in standing:
        found = each.cost
        number = f"{found.number} x " if found.number else ""
        even = f"  {_even(each)}" if each.price is not None else ""
        output.line(f"    {number + found.machine.name:72} {dollars(found.total):>14}{even}")


def _even(standing: Standing) -> str:
    if standing.even is None:
        return "cheaper at no number of requests"
    return f"cheaper from {float(f'{standing.even:.3g}'):,.0f} requests a month on"


def _show_refused(compared: Compared) -> None:
    output.line("\n  Not offered")
    for each in compared.refused:
        output.line(f"    {NAMES.get(each.part, each.part)}: {each.why}")


def recommendation(case: Case, compared: Compared) -> str:
    """What to take, why, what the next one costs more, and what is cheaper by price alone."""
    best = compared.options[0]
    holds = best.holds(case.target)
    rivals = [each.cost for each in compared.standing if each.price is not None]
    rival = min(rivals, key=lambda each: each.total, default=None)
    if rival is None or (holds and rival.total >= best.total):
        taken = f"Take {_named(best)}, for {dollars(best.total)} a month: {_why(case, best)}{_next(case, compared)}."
        return taken + _by_price(compared, best.total)
    why = (
        f"at this rate it costs {dollars(best.total - rival.total)} less than the best of Lambda, {_named(best)}"
        if holds
        else f"it answers {_within(case)}, and on Lambda nothing does; of what is offered there {_named(best)} "
        f"comes nearest, for {dollars(best.total)}"
    )
    taken = f"Take {rival.number} x {rival.machine.name}, for {dollars(rival.total)} a month: {why}."
    return taken + _by_price(compared, rival.total)


def _by_price(compared: Compared, total: float) -> str:
    """What costs less and has cold starts that nobody has measured."""
    cheaper = [each.cost for each in compared.standing if each.price is None and each.cost.total < total]
    return "".join(
        f" By price alone {each.machine.name}, is cheaper, by {dollars(total - each.total)}: its cold starts are not "
        "in these figures and its callers have to sign requests, so measure whether it holds the target."
        for each in cheaper
    )


def _named(option: Option) -> str:
    number = f" of {option.provisioned}" if option.provisioned else ""
    return option.choice.text.replace(NAMES["provisioned"], NAMES["provisioned"] + number)


def _within(case: Case) -> str:
    within = f"99 of 100 requests in {milliseconds(case.target.within)} ms"
    return within + (f" with {case.target.cold:.2%} of cold starts at most" if case.target.cold < 1 else "")


def _why(case: Case, best: Option) -> str:
    if best.holds(case.target):
        return f"the cheapest of Lambda that answers {_within(case)}"
    return f"nothing answers {_within(case)}, and of what is offered it comes nearest"


def _next(case: Case, compared: Compared) -> str:
    """The next that differs in more than what costs and takes the same; less than `dollars` shows is no difference."""
    best = compared.options[0]
    others = [each for each in compared.options if each.total - best.total >= _SEEN and each.holds(case.target)]
    if not others:
        return f"; no other that does costs {dollars(_SEEN)} more" if best.holds(case.target) else ""
    other = others[0]
    more = other.total - best.total
    ratio = f", {more / best.total:.0%}" if best.total else ""
    return f"; the next, {_named(other)}, costs {dollars(more)} more{ratio}"


def notes(case: Case, compared: Compared) -> list[str]:
    found = list(case.traffic.notes)
    if len(case.timed) == 1:
        known = next(iter(case.timed))
        found.append(
            f"Times of the other processor are taken for those of {known}: measure them, and give --times twice."
        )
    found += dict.fromkeys(note for each in case.timed.values() for note in (*each.notes, *each.restore_notes()))
    found.append(_STORED)
    if any(each.price is not None for each in compared.standing):
        found.append(
            "What is always on has the workers that hold the target at the busiest minute, and none to spare; the "
            "break-even takes the share of cold starts for the same at every rate, and the busiest minute for as many "
            "times the mean, for which provisioned environments are as many more as those workers: where more callers "
            "even it out, what is always on costs less from fewer requests on."
        )
    return found


def draw(case: Case, compared: Compared, path: Path) -> None:
    """Dollars a month over requests a month."""
    marks = [compared.requests, *(each.even for each in compared.standing if each.even)]
    least, most = break_even.span(marks)
    standing = [each for each in compared.standing if each.price is not None]
    with plot.figure(path) as axes:
        for colour, each in zip(plot.COLOURS[1:], standing, strict=False):
            assert each.price is not None
            points = break_even.curve(compared.price, each.price, least, most)
            requests = [point.requests for point in points]
            name = each.cost.machine.name
            axes.step(requests, [point.always_on for point in points], where="post", label=name, color=colour)
            if each.even:
                axes.plot([each.even], [compared.price(each.even)], "o", color=colour)
        requests = [point.requests for point in break_even.curve(compared.price, compared.price, least, most)]
        label = f"Lambda, {NAMES[compared.options[0].choice.start]}"
        axes.plot(requests, [compared.price(each) for each in requests], color=plot.COLOURS[0], label=label)
        axes.axvline(compared.requests, color=plot.COLOURS[5], linewidth=0.8, linestyle=":")
        axes.set(xscale="log", yscale="log", xlabel="requests a month", ylabel="$ a month", title=case.deployed.name)
        axes.figure.legend(loc="outside lower left")  # within, it would cross the lines
