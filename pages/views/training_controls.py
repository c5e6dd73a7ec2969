"""The controls of a fine-tuning: one run with its hyperparameters, or a random search for several."""

import streamlit as st

import soup_core as sc
from pages.shared import address
from soup_core.finetune import (
    EPOCHS_AT_MOST,
    RATE_AT_MOST,
    Hyperparameters,
    augmentations_for,
    random_search,
    space_of,
    usual,
)

KINDS = ("one run", "random search")


def settings(zoo: sc.Zoo, side: int | None) -> list[Hyperparameters]:
    """The controls, and the runs that they ask for, of a zoo whose images' shorter side has so many pixels, None for texts."""
    middle = usual(zoo, side)
    kind = st.segmented_control(
        "Train", KINDS, default=KINDS[0], required=True, **address.bound("search", of_zoo=False)
    )
    if kind == KINDS[1]:
        space = space_of(zoo, side)
        low, high = space.learning_rates
        drawn = f"the augmentation from {', '.join(space.augmentations)}; weight decay, mixup and label smoothing too"
        drawn = "weight decay and label smoothing" if side is None else drawn
        runs = st.number_input(
            "Runs",
            2,
            64,
            4,
            **address.bound("runs", of_zoo=False),
            width=115,
            help=f"Each draws a learning rate from {low:g} to {high:g}, {', '.join(map(str, space.epochs))} epochs, and "
            f"{drawn}.",
        )
        seed = st.number_input("Seed", 0, 10_000, 0, **address.bound("tuning_seed", of_zoo=False), width=115)
        return list(random_search(int(runs), seed=int(seed), space=space))
    rate = st.number_input(
        "Learning rate",
        0.0,
        RATE_AT_MOST,
        middle.learning_rate,
        step=middle.learning_rate / 4,
        format="%.3g",
        **address.bound("tuning_rate", of_zoo=True),
        width=135,
    )
    epochs = st.number_input(
        "Epochs", 1, EPOCHS_AT_MOST, middle.epochs, **address.bound("tuning_epochs", of_zoo=True), width=115
    )
    augmentation, mixup = ("none", 0.0) if side is None else _changes(side, middle.augmentation)
    smoothing = st.number_input(
        "Smoothing",
        0.0,
        0.5,
        0.0,
        step=0.05,
        **address.bound("smoothing", of_zoo=False),
        width=125,
        help="Label smoothing: the share of each label spread over all classes.",
    )
    decay = st.number_input(
        "Weight decay",
        0.0,
        RATE_AT_MOST,
        middle.weight_decay,
        step=0.01,
        format="%.3g",
        **address.bound("decay", of_zoo=True),
        width=130,
    )
    seed = st.number_input("Seed", 0, 10_000, 0, **address.bound("tuning_seed", of_zoo=False), width=115)
    return [Hyperparameters(rate, decay, int(epochs), smoothing, mixup, augmentation, int(seed))]


def _changes(side: int, usual_augmentation: str) -> tuple[str, float]:
    """How images are changed and mixed before they are trained on, as the controls say."""
    known = augmentations_for(side)
    usually = known.index(usual_augmentation) if usual_augmentation in known else 0
    augmentation = st.selectbox(
        "Augmentation",
        known,
        usually,
        **address.bound("augmentation", of_zoo=True),
        width=140,
        help="How images are changed by chance before they are trained on.",
    )
    mixup = st.number_input(
        "Mixup",
        0.0,
        2.0,
        0.0,
        step=0.1,
        **address.bound("mixup", of_zoo=False),
        width=115,
        help="Trains on blends of two images (arXiv 1710.09412); 0 for none.",
    )
    return augmentation, mixup
