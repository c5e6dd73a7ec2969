"""A first look at a zoo that is proposed and not written yet, and the proposal with what that found out."""

from dataclasses import replace

from soup_core.analysis.first_look.look import SECONDS, FirstLook, first_look
from soup_core.zoo import Zoo, zoo_from
from soup_core.zoo.proposal import Proposal


def is_prepared(proposal: Proposal) -> bool:
    """Whether it is known how the images are prepared."""
    decoded = str(proposal.data.get("source", "")).startswith(("imagefolder:", "torchvision:"))
    return (
        proposal.data.get("source") == "fashion_mnist" or ("preprocessing" if decoded else "normalize") in proposal.data
    )


def look_at(proposal: Proposal, zoo: Zoo | None = None, *, device: str = "auto", seconds: float = SECONDS) -> FirstLook:
    """Run the first ingredient of a proposal, which needs not be written, on a few held-out images: see `first_look`.

    `zoo` is what `zoo_from` makes of the proposal, where that is there already. Raises ZooError where no ingredient is
    usable, and as `first_look` does.
    """
    zoo = zoo or zoo_from(proposal.zoo_file(), proposal.folder)
    return first_look(zoo, prepared=is_prepared(proposal), device=device, seconds=seconds)


def settled(proposal: Proposal, look: FirstLook) -> Proposal:
    """The proposal with the preparation that a look has found best, where none was known, and with a known order of classes.

    A permutation that was found from the answers alone is not taken: its reason is still to be found by a person.
    """
    data = dict(proposal.data)
    if not is_prepared(proposal) and look.best is not look.given:
        data |= look.best.preparation.table()
    if look.best.order and look.best.order.is_known and look.doubt and look.doubt.classes:
        data["classes"] = list(look.doubt.classes)
    return replace(proposal, data=data)
