"""Will it soup?: what can be known of the chosen checkpoints, whether their average holds, and if not, why."""

from functools import partial

import streamlit as st

import soup_core as sc
from pages.shared import doubts, drawing
from pages.shared.context import Context
from pages.views.ingredients.selection import Selection, choose
from soup_core import charts
from soup_core.analysis.preflight import Finding, diagnose, overall, preflight_checks
from soup_core.formatting import listed, plain, points

ICONS = {"good": ":material/check_circle:", "notice": ":material/info:", "warning": ":material/warning:"}
NAMED = 8  # names that a note stands beside
FEW = 0.5  # more than this part of the selection is no outlier that taking out would mend


def draw(context: Context, chosen: Selection) -> None:
    """Draw the verdict and a row per finding as it comes; once a soup has failed, the likeliest reason first."""
    if chosen.soup is None or chosen.evaluation is None:
        st.markdown(
            "**Nothing is chosen yet; put at least two ingredients in, and what speaks for and against them stands here.**"
        )
        return
    doubt = st.container()
    verdict, rows, good, sentence = st.empty(), st.empty(), st.container(), st.empty()
    held_out = context.evaluator("held_out")
    findings: list[Finding] = []
    with drawing.errors_shown(), sc.interruptible(partial(sentence.caption, "Checking")):
        sentence.caption("Checking")
        with rows.container():
            for finding in preflight_checks(context.zoo, held_out, chosen.names):
                findings.append(finding)
                verdict.caption(f"{len(findings)} checks so far")
                if finding.what == "chance":
                    with doubt:
                        doubts.callout(context)
                elif finding.verdict != "good":
                    draw_row(context.zoo, chosen, finding, "check")
        outcome = overall(findings)
        show = {"good": st.success, "notice": st.info, "warning": st.warning}[outcome.verdict]
        with verdict:
            show(plain(outcome.sentence), icon=ICONS[outcome.verdict])
        comparison = sc.compare(chosen.evaluation, chosen.singles[chosen.best])
        if comparison.high < 0:
            reasons = [each for each in diagnose(context.zoo, held_out, chosen.soup) if each.what != "failure"]
            findings = [*reasons, *(each for each in findings if each.what not in {reason.what for reason in reasons})]
            with rows.container():
                st.markdown("##### Why it fails", help="Reasons, the likeliest first, each with its numbers.")
                for finding in findings:
                    if finding.verdict != "good":
                        draw_row(context.zoo, chosen, finding, "why")
    if fine := [finding for finding in findings if finding.verdict == "good"]:
        with good.expander(f"{len(fine)} good {'check' if len(fine) == 1 else 'checks'}"):
            for finding in fine:
                draw_row(context.zoo, chosen, finding, "good")
    draw_notes(context.zoo, chosen)
    sentence.markdown(f"**{meaning(chosen, chosen.evaluation, comparison)}**")


def draw_notes(zoo: sc.Zoo, chosen: Selection) -> None:
    """What was noticed while the files were read, such as a checksum that is missing, and of which files."""
    notes: dict[str, list[str]] = {}
    for name in chosen.names:
        for note in zoo.by_name[name].checkpoint.notes:
            notes.setdefault(note, []).append(name)
    if notes:
        with st.expander("How the files were read"):
            for note, names in notes.items():
                st.markdown(plain(f"{listed(names, NAMED)}: {note}."))


def draw_row(zoo: sc.Zoo, chosen: Selection, finding: Finding, where: str) -> None:
    """A finding in a line: its icon, its sentence, and where it names a few, a button that takes these out."""
    sentence, button = st.columns([5, 1], vertical_alignment="center")
    sentence.markdown(f"{ICONS[finding.verdict]} *{finding.what.capitalize()}.* {plain(finding.sentence)}")
    left = [name for name in chosen.names if name not in finding.names]
    outliers = len(chosen.names) - len(left)
    if finding.verdict == "warning" and 0 < outliers <= FEW * len(chosen.names):
        button.button(
            "Take these out",
            key=f"{where}-{finding.what}",
            on_click=choose,
            args=(zoo, left),
            help=plain(", ".join(finding.names)),
            width="stretch",
        )


def meaning(chosen: Selection, evaluation: sc.Evaluation, comparison: sc.Comparison) -> str:
    """Whether it soups, as measured on all held-out images."""
    if len(chosen.names) == 1:
        return f"One model alone is no average: {plain(chosen.best)} has {charts.percent(evaluation)} held-out."
    outcome = (
        "It does not soup"
        if comparison.high < 0
        else "It soups"
        if comparison.low > 0
        else "It soups, with no gain or loss beyond chance"
    )
    return (
        f"{outcome}: the average of {len(chosen.names)} has {charts.percent(evaluation)} held-out, "
        f"{points(comparison)} against its best ingredient, {plain(chosen.best)}."
    )
