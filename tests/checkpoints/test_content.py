import json
import math
import random
import threading
import zlib
from collections.abc import Iterator, Mapping

import pytest
import torch
from blake3 import blake3
from torch import Tensor

from soup_core.checkpoints import content, memory_of
from soup_core.checkpoints.content import Content, crc32_of_both
from soup_core.checkpoints.safetensors import TensorInfo

RUN = 64


@pytest.fixture(autouse=True)
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "RUN", RUN)


def tensors() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {
        "b": torch.randn(7, 31),
        "a": torch.randn(RUN),
        "half": torch.randn(3 * RUN).half(),
        "brain": torch.randn(RUN + 1).bfloat16(),
        "wide": torch.randn(5, dtype=torch.float64),
        "none": torch.zeros(0, 3),
        "count": torch.arange(200),
        "scalar": torch.tensor(3),
        "flags": torch.tensor([True, False]),
    }


def infos(state: Mapping[str, Tensor]) -> dict[str, TensorInfo]:
    return {name: TensorInfo(each.dtype, tuple(each.shape), 0, each.nbytes) for name, each in state.items()}


def blocks(state: Mapping[str, Tensor], runs: int = 1) -> Iterator[tuple[str, int, memoryview]]:
    for name, each in state.items():
        for begin in range(0, each.numel(), runs * RUN):
            yield name, begin, memory_of(each.reshape(-1)[begin : begin + runs * RUN])


def taken(state: Mapping[str, Tensor], checksums: Mapping[str, int] | None = None, runs: int = 1) -> content.Found:
    made = Content(infos(state), checksums or {})
    for block in blocks(state, runs):
        made.add(*block)
    return made.found()


def test_the_digest_is_the_one_described() -> None:
    state = tensors()
    listed = []
    for name in sorted(state):
        data = state[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        step = RUN * state[name].element_size()
        runs = [blake3(data[begin : begin + step]).digest() for begin in range(0, len(data), step)]
        dtype = str(state[name].dtype).split(".")[1]
        listed.append([name, dtype, list(state[name].shape), blake3(b"".join(runs)).hexdigest()])
    expected = blake3(json.dumps(listed).replace(" ", "").encode()).hexdigest()
    assert taken(state).digest == f"b3-{expected}"


def test_order_threads_and_the_number_of_runs_at_once_change_nothing() -> None:
    state = tensors()
    shuffled = list(blocks(state))
    random.Random(0).shuffle(shuffled)
    made = Content(infos(state))

    def add(part: list[tuple[str, int, memoryview]]) -> None:
        for block in part:
            made.add(*block)

    threads = [threading.Thread(target=add, args=(shuffled[each::2],)) for each in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.found() == taken(state) == taken(state, runs=2) == taken(dict(reversed(state.items())))


@pytest.mark.parametrize("name", ["b", "a", "count", "flags", "scalar"])
def test_every_part_of_a_tensor_is_in_the_digest(name: str) -> None:
    state, other = tensors(), tensors()
    place = other[name].reshape(-1)
    place[-1] = not place[-1] if place.dtype == torch.bool else place[-1] + 1
    assert taken(other).digest != taken(state).digest
    renamed = {f"{key}x" if key == name else key: each for key, each in state.items()}
    reshaped = {**state, name: state[name].reshape(1, *state[name].shape)}
    assert len({taken(each).digest for each in (state, renamed, reshaped)}) == 3


def test_what_is_no_whole_run_is_not_taken_and_is_missing() -> None:
    state = tensors()
    made = Content(infos(state))
    made.add("b", 1, memory_of(state["b"].reshape(-1)[1:130]))
    made.add("b", 0, memory_of(state["b"].reshape(-1)[: RUN - 1]))
    made.add("b", RUN, memory_of(state["b"].reshape(-1)[RUN : 3 * RUN - 1]))
    assert [each for each in made.missing() if each[0] == "b"] == [("b", 0, 64), ("b", 128, 192), ("b", 192, 217)]
    for name, begin, end in list(made.missing()):
        made.add(name, begin, memory_of(state[name].reshape(-1)[begin:end]))
    assert made.found() == taken(state)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_row_26_what_is_not_finite_is_found_wherever_it_lies(dtype: torch.dtype, wrong: float) -> None:
    for place in (0, RUN - 1, RUN, 98):
        state = {"bad": torch.full((99,), torch.finfo(dtype).max, dtype=dtype), "none": torch.zeros(0, dtype=dtype)}
        state["good"] = state["bad"].clone()  # whose sum overflows
        state["bad"][place] = wrong
        assert taken(state).not_finite == ("bad",)


def test_row_10_a_tensor_whose_checksum_differs_is_named() -> None:
    state = tensors()
    checksums = {name: zlib.crc32(each.reshape(-1).view(torch.uint8).numpy().tobytes()) for name, each in state.items()}
    assert taken(state, checksums).damaged == ()
    assert taken(state, {**checksums, "count": checksums["count"] ^ 1}).damaged == ("count",)
    del checksums["a"]  # one without a checksum cannot be checked
    state["b"][6, 30] += 1
    state["a"] += 1
    assert taken(state, checksums).damaged == ("b",)


def test_checksums_of_parts_make_that_of_the_whole() -> None:
    data = random.Random(0).randbytes(3000)
    for length in (0, 1, 2, 63, 1000, 2999, 3000):
        first, second = data[: len(data) - length], data[len(data) - length :]
        assert crc32_of_both(zlib.crc32(first), zlib.crc32(second), length) == zlib.crc32(data)
