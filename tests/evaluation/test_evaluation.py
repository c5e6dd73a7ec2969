import math
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import soup_core as sc
from soup_core.evaluation import best_first, hardest_first, measure
from soup_core.evaluation import evaluator as evaluating
from soup_core.runtime.store import EvaluationRow, Store
from soup_core.weight_space import bank
from tests.evaluations import evaluation
from tests.marks import needs_cuda
from tests.patience import PATIENCE
from tests.scarce_memory import NO_ROOM, with_room_for
from tests.zoos import Linear

Make = Callable[..., Path]
HOLD_A_CLAIM = """
import sys, time
from pathlib import Path
from soup_core.runtime.store import Store
with Store(Path(sys.argv[1])).claim("name"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_linear_models_soup_has_the_mean_of_the_logits(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    evaluate = sc.Evaluator(zoo)
    mean = torch.stack([evaluate.logits(sc.Soup({name: 1.0})) for name in zoo.names]).mean(0)
    soup = sc.uniform_soup(zoo)
    torch.testing.assert_close(evaluate.logits(soup), mean, atol=1e-5, rtol=1e-5)
    split = zoo.data.split("held_out")
    found = evaluate(soup)
    assert found.correct == int((mean.argmax(1) == split.labels).sum())
    assert found.loss == pytest.approx(float(F.cross_entropy(mean, split.labels)), abs=1e-5)
    assert found.bits().tolist() == (mean.argmax(1) == split.labels).tolist()


def test_singles_are_the_ingredients_without_the_base(based_zoo: Make) -> None:
    zoo = sc.open_zoo(based_zoo(3))
    evaluate = sc.Evaluator(zoo, "test")
    singles = evaluate.singles()
    assert list(singles) == ["m0", "m1", "m2"]
    assert singles == {name: evaluate(sc.Soup({name: 1.0})) for name in zoo.names}
    assert len(set(singles.values())) == 3


def test_the_best_first_are_those_with_most_images_right_and_ties_go_by_name() -> None:
    counts = {"m10": 7, "b": 9, "m2": 7, "a": 9, "z": 10}
    evaluations = {name: sc.Evaluation(count, 10, 0.5, 0.1, b"\x00\x00") for name, count in counts.items()}
    assert best_first(evaluations) == ["z", "a", "b", "m10", "m2"]
    assert best_first({}) == []


def test_an_evaluation_is_itself_again_from_its_tensors() -> None:
    bits = bytes([0b10110000, 0b10000000])  # four of nine
    original = sc.Evaluation(4, 9, 0.1 + 0.2, 1 / 3, bits, 0, "bfloat16")
    tensors = original.to_tensors()
    assert tensors["figures"].tolist() == [4, 9, 0.1 + 0.2, 1 / 3, 0]
    assert tensors["figures"].dtype == torch.float64
    assert tensors["correctness"].tolist() == [176, 128]
    assert sc.Evaluation.from_tensors(tensors, "bfloat16") == original
    assert sc.Evaluation.from_tensors(tensors).precision == "float32"
    broken = sc.Evaluation.from_tensors(sc.Evaluation(4, 9, math.nan, math.nan, bits, 2).to_tensors())
    assert (broken.correct, broken.total, broken.not_finite, broken.correctness) == (4, 9, 2, bits)
    assert math.isnan(broken.loss)
    assert math.isnan(broken.ece)


def test_batch_sizes_agree_in_logits(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    soup = sc.uniform_soup(zoo)
    by_size = [sc.Evaluator(zoo, batch_size=size).logits(soup) for size in (1, 7, 120)]
    torch.testing.assert_close(by_size[0], by_size[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(by_size[0], by_size[2], atol=1e-5, rtol=0)


def test_what_is_known_is_not_run_again(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    soup = sc.uniform_soup(zoo)
    first = sc.Evaluator(zoo).trial(soup)
    again = sc.Evaluator(sc.open_zoo(zoo.folder)).trial(soup)
    assert (first.images_evaluated, again.images_evaluated) == (120, 0)
    assert first.evaluation == again.evaluation


def test_a_stopped_trial_bounds_and_is_continued(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    evaluate = sc.Evaluator(zoo, batch_size=10)
    singles = {name: evaluate(sc.Soup({name: 1.0})) for name in zoo.names}
    order = hardest_first(singles.values())
    soup = sc.uniform_soup(zoo)
    stopped = evaluate.trial(soup, errors_below=1, order=order)
    assert stopped.evaluation is None
    assert stopped.images_evaluated < evaluate.total
    assert evaluate.trial(soup, errors_below=1, order=order).images_evaluated == 0
    whole = evaluate.trial(soup, errors_below=10_000, order=order)
    assert whole.evaluation is not None
    assert whole.evaluation.correct <= stopped.correct_at_most
    fresh = sc.Evaluator(zoo, store=Store(zoo.folder / "fresh.sqlite"))
    told, again = whole.evaluation, fresh(soup)
    assert (again.correct, again.correctness, again.total) == (told.correct, told.correctness, told.total)
    assert (again.loss, again.ece) == pytest.approx((told.loss, told.ece), abs=1e-5)  # other batches, other rounding


def test_a_trial_that_is_broken_off_leaves_no_record(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    evaluate, soup = sc.Evaluator(zoo, batch_size=10), sc.uniform_soup(zoo)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), sc.interruptible(stop):
        evaluate.trial(soup)
    assert evaluate.known(soup) is None
    assert evaluate.trial(soup).images_evaluated == evaluate.total


def test_hardest_first_puts_most_missed_images_first() -> None:
    order = hardest_first([evaluation([1, 0, 1, 0]), evaluation([1, 1, 1, 0])])
    assert order.indices.tolist() == [3, 1, 0, 2]


def test_non_finite_logits_count_as_wrong() -> None:
    logits = torch.tensor([[1.0, 0.0], [float("nan"), 0.0], [float("inf"), 0.0]])
    found = measure(logits, torch.tensor([0, 0, 0]))
    assert (found.correct, found.not_finite) == (1, 2)


def test_ece_of_a_known_case() -> None:
    confident = torch.tensor([0.8, 0.2]).log().repeat(10, 1)
    labels = torch.tensor([0] * 6 + [1] * 4)
    one_bin = measure(confident, labels)
    gaps = [abs(part.double().mean() - 0.8) * len(part) for part in (labels == 0).tensor_split(10)]
    assert one_bin.ece == pytest.approx(float(sum(gaps)) / 10)


def test_row_45_a_damaged_store_is_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite"
    file.write_bytes(b"not a database at all" * 100)
    store = Store(file)
    assert store.notice is not None
    assert "set aside" in store.notice
    assert any(path.name.startswith("store.sqlite.damaged-") for path in tmp_path.iterdir())
    store.keep_evaluations([EvaluationRow("k", 1, 1, 0.0, 0.0, 0, b"\x80")])
    assert Store(file).evaluation("k") is not None


def test_row_45_a_damaged_record_is_computed_again(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    evaluate, soup = sc.Evaluator(zoo), sc.Soup({"m0": 1.0})
    right = evaluate(soup)
    wrong = EvaluationRow(evaluate.key(soup), right.correct + 1, 120, 0.0, 0.0, 0, right.correctness)
    evaluate.store.keep_evaluations([wrong])
    assert evaluate(soup) == right


def test_labels_beyond_the_classes_are_refused(linear_zoo: Make) -> None:
    folder = linear_zoo(2)
    file = folder / "zoo.toml"
    text = file.read_text()
    file.write_text(text.replace("num_classes = 3", "num_classes = 2"))
    with pytest.raises(sc.ZooError, match=r"head\.\w+ has shape"):
        sc.open_zoo(folder)


@needs_cuda
def test_cuda_agrees_with_the_cpu(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    soup = sc.uniform_soup(zoo)
    ours, theirs = (sc.Evaluator(zoo, device=device).logits(soup) for device in ("cuda", "cpu"))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_an_unknown_device_is_refused(linear_zoo: Make) -> None:
    with pytest.raises(sc.SoupError, match="not available here"):
        sc.Evaluator(sc.open_zoo(linear_zoo(2)), device="toaster")


def test_a_batch_size_of_zero_is_not_the_default(linear_zoo: Make) -> None:
    with pytest.raises(sc.SoupError, match="batch size must be at least 1; found 0"):
        sc.Evaluator(sc.open_zoo(linear_zoo(2)), batch_size=0)


def test_many_are_evaluated_as_one_by_one(deep_zoo: Make) -> None:
    zoo = sc.open_zoo(deep_zoo(4))
    soups = [sc.uniform_soup(zoo), *(sc.Soup({name: 1.0}) for name in zoo.by_name), sc.uniform_soup(zoo)]
    one, many = (sc.Evaluator(zoo, store=Store(zoo.folder / name)) for name in ("one", "many"))
    many(soups[2])
    assert list(many.many(iter(soups))) == [one(soup) for soup in soups]
    assert list(many.many([])) == []


def test_the_bank_and_the_stream_evaluate_alike(deep_zoo: Make) -> None:
    zoo = sc.open_zoo(deep_zoo(4))
    soup = sc.Soup({"m0": 0.5, "m1": 0.8, "base": -0.3}, {"head.bias": {"m3": 1.0}})
    streamed, banked = (sc.Evaluator(zoo, memory=memory, store=Store(zoo.folder / f"{memory}")) for memory in (0, 1))
    assert (streamed.bank, banked.bank is not None) == (None, True)
    torch.testing.assert_close(streamed.logits(soup), banked.logits(soup), atol=1e-4, rtol=1e-4)


def test_a_number_of_images_draws_a_fixed_part_of_the_split(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    soup = sc.uniform_soup(zoo)
    whole, some, again = sc.Evaluator(zoo), sc.Evaluator(zoo, images=40), sc.Evaluator(zoo, images=40)
    assert (whole.total, some.total) == (120, 40)
    assert torch.equal(some.data.images, again.data.images)
    rows = [image.flatten().tolist() for image in whole.data.images]
    places = [rows.index(image.flatten().tolist()) for image in some.data.images]
    assert places == sorted(set(places))
    assert places != list(range(40))
    assert some(soup).bits().tolist() == whole(soup).bits()[places].tolist()
    assert some.key(soup) != whole.key(soup)
    assert again.trial(soup).images_evaluated == 0
    assert sc.Evaluator(zoo, images=120).key(soup) == sc.Evaluator(zoo, images=500).key(soup) == whole.key(soup)
    for wrong in (0, -3):
        with pytest.raises(sc.SoupError, match="At least one image"):
            sc.Evaluator(zoo, images=wrong)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_labelled_and_kept_apart(deep_zoo: Make, precision: str) -> None:
    zoo = sc.open_zoo(deep_zoo(2))
    soup = sc.uniform_soup(zoo)
    full, half = sc.Evaluator(zoo), sc.Evaluator(zoo, precision=precision)
    assert full.key(soup) != half.key(soup)
    exact, rounded = full(soup), half(soup)
    assert (exact.precision, rounded.precision) == ("float32", precision)
    assert exact.loss != rounded.loss
    assert rounded.loss == pytest.approx(exact.loss, rel=0.02)
    assert half.known(soup) == rounded
    assert sc.ensemble(half, ["m0"]).precision == precision


def test_a_precision_that_the_device_has_not_is_refused(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    assert sc.available_precisions("cpu") == ("float32", "bf16", "fp16")
    assert sc.available_precisions("cuda") == ("float32", "tf32", "bf16", "fp16")
    for precision in ("tf32", "float8", ""):
        with pytest.raises(sc.SoupError, match="The precision on cpu is one of float32, bf16, fp16"):
            sc.Evaluator(zoo, device="cpu", precision=precision)


@pytest.mark.parametrize("room", [1, 2, 7, 40])
def test_row_41_a_batch_that_does_not_fit_is_halved(
    linear_zoo: Make, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    soup = sc.uniform_soup(zoo)
    ample = sc.Evaluator(zoo, store=Store(zoo.folder / "ample"))
    wanted, logits = ample(soup), ample.logits(soup)
    tried = with_room_for(room, monkeypatch)
    evaluate = sc.Evaluator(zoo, batch_size=100)
    found = evaluate(soup)
    assert (found.correct, found.correctness) == (wanted.correct, wanted.correctness)
    torch.testing.assert_close(evaluate.logits(soup), logits, atol=1e-5, rtol=0)
    assert evaluate.batch_size <= room
    failed = [size for size in tried if size > room]
    assert failed == [100 >> step for step in range(len(failed))]  # each size fails once, and is not tried again
    assert sum(size for size in tried if size <= room) == 2 * 120


def test_row_41_a_candidate_that_may_be_stopped_halves_too(linear_zoo: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo = sc.open_zoo(linear_zoo(5))
    ample = [step.accepted for step in sc.greedy_soup(zoo, sc.Evaluator(zoo, store=Store(zoo.folder / "ample")))]
    with_room_for(4, monkeypatch)
    assert [step.accepted for step in sc.greedy_soup(zoo, sc.Evaluator(zoo))] == ample


def test_row_41_where_no_image_fits_it_says_so_and_others_go_on(
    linear_zoo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = sc.open_zoo(linear_zoo(2))
    evaluate, soup = sc.Evaluator(zoo), sc.uniform_soup(zoo)
    with monkeypatch.context() as full:
        with_room_for(0, full)
        with pytest.raises(sc.OutOfMemory, match="one image"):
            evaluate(soup)
        assert evaluate.known(soup) is None
    assert sc.Evaluator(zoo)(soup).total == 120
    assert evaluate(soup) == sc.Evaluator(zoo)(soup)


def test_row_41_a_bank_that_does_not_fit_into_memory_is_streamed(
    linear_zoo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    soup = sc.uniform_soup(zoo)
    streamed = sc.Evaluator(zoo, device="cpu", memory=0, store=Store(zoo.folder / "streamed"))(soup)
    tried = []

    def no_room(*given: object) -> None:
        tried.append(given)
        raise RuntimeError(NO_ROOM)

    monkeypatch.setattr(bank, "Bank", no_room)
    evaluate = sc.Evaluator(zoo, device="cpu")
    assert evaluate(soup) == streamed
    assert tried == [(zoo, "cpu")]
    assert evaluate.bank is None


def test_row_41_a_model_that_does_not_fit_into_memory_is_told(
    linear_zoo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(evaluating, "state_dict", no_room)
    zoo = sc.open_zoo(linear_zoo(3))
    with pytest.raises(sc.OutOfMemory, match="no room for the model in the memory of cpu; free some"):
        sc.Evaluator(zoo, device="cpu")(sc.uniform_soup(zoo))


def test_another_error_of_the_model_is_no_lack_of_memory(linear_zoo: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(self: Linear, inputs: Tensor) -> Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(Linear, "forward", forward)
    zoo = sc.open_zoo(linear_zoo(2))
    with pytest.raises(sc.DataError, match=r"does not take images of 1×2×2 .*: mat1 and mat2"):
        sc.Evaluator(zoo)(sc.uniform_soup(zoo))


def test_work_in_the_background_lets_an_evaluation_in_front_go_first(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(3))
    behind, front = (sc.Evaluator(zoo, batch_size=30) for _ in range(2))
    assert behind.bank is front.bank is not None  # made now: reading the files has yield points of its own
    first, other = sc.Soup({"m0": 1.0}), sc.Soup({"m1": 1.0})
    batches: list[str] = []
    fronts: list[Future[None]] = []
    inside = threading.Event()

    def in_front() -> None:
        def note() -> None:
            batches.append("front")
            inside.set()

        with sc.interruptible(note):
            front(other)

    with ThreadPoolExecutor(1) as pool:

        def note() -> None:
            batches.append("behind")
            if len(batches) == 1:
                fronts.append(pool.submit(in_front))
                assert inside.wait(PATIENCE)

        with sc.interruptible(note, background=True):
            behind(first)
        fronts[0].result(30)
    assert batches == ["behind", *["front"] * 4, *["behind"] * 3]


def test_a_claim_holds_between_threads(tmp_path: Path) -> None:
    file = tmp_path / "s.sqlite"
    held, release = threading.Event(), threading.Event()

    store, another = Store(file), Store(file)

    def hold() -> None:
        with another.claim("name") as mine:
            assert mine
            held.set()
            assert release.wait(PATIENCE)

    with ThreadPoolExecutor(2) as pool:
        holder = pool.submit(hold)
        assert held.wait(PATIENCE)
        with store.claim("name", wait=False) as mine:
            assert not mine
        with store.claim("another", wait=False) as mine:
            assert mine

        def wait() -> bool:
            with store.claim("name") as mine:
                return mine and release.is_set()

        waiter = pool.submit(wait)
        assert not waiter.done()
        release.set()
        holder.result(30)
        assert waiter.result(30)
    with store.claim("name", wait=False) as mine:
        assert mine


def test_row_46_a_claim_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    file = tmp_path / "s.sqlite"
    store = Store(file)
    command = [sys.executable, "-c", HOLD_A_CLAIM, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(sc.__file__).parents[1]) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with store.claim("name", wait=False) as mine:
                assert not mine
        finally:
            holder.kill()
        holder.wait(PATIENCE)
        with store.claim("name", wait=False) as mine:
            assert mine


@pytest.mark.parametrize("ask", [sc.Evaluator.trial, sc.Evaluator.logits])
def test_row_44_two_that_evaluate_a_soup_at_the_same_moment_run_its_images_once(
    linear_zoo: Make, evaluated: list[sc.Soup], ask: Callable[[sc.Evaluator, sc.Soup], object]
) -> None:
    """Each with a store of its own on the same file, as two processes have."""
    folder = linear_zoo(6)
    together = threading.Barrier(2, timeout=PATIENCE)
    stores = [Store(folder / "s.sqlite") for _ in range(2)]

    def run(store: Store) -> list[object]:
        zoo = sc.open_zoo(folder)
        evaluate = sc.Evaluator(zoo, batch_size=10, store=store)
        found = []
        for name in zoo.names:
            together.wait()
            found.append(ask(evaluate, sc.Soup({name: 1.0})))
        return found

    with ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.map(run, stores)
    assert evaluated == [sc.Soup({f"m{index}": 1.0}) for index in range(6)]
    for our, their in zip(ours, theirs, strict=True):
        if isinstance(our, Tensor):
            assert torch.equal(our, their)
        else:
            assert {our.images_evaluated, their.images_evaluated} == {0, 120}
            assert our.evaluation == their.evaluation


def test_row_45_kept_tensors_that_are_damaged_count_as_none(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.sqlite")
    tensors = {"a": torch.arange(5), "b": torch.rand(2, 3).half()}
    for content in ("substr(content, 1, length(content) - 1)", "x''", "CAST(content || x'00' AS BLOB)"):
        store.keep_tensors("k", tensors)
        found = store.tensors("k")
        assert found is not None
        assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
        store._write((f"UPDATE tensors SET content = {content}", [()]))
        assert store.tensors("k") is None
    assert store.tensors("another") is None


def test_row_45_a_step_that_is_missing_or_damaged_counts_as_none_and_a_new_one_ends_what_followed(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "s.sqlite")

    def numbers() -> list[int]:
        found = [store.step("run", number) for number in range(6)]
        return [int(step["number"]) for step in found if step is not None]

    def keep(number: int) -> None:
        store.keep_step("run", number, {"number": torch.tensor(number)})

    for number in range(6):
        keep(number)
    assert numbers() == [0, 1, 2, 3, 4, 5]
    store._write(("UPDATE steps SET content = substr(content, 1, 40) WHERE number = 4", [()]))
    assert numbers() == [0, 1, 2, 3, 5]
    store._write(("DELETE FROM steps WHERE number = 1", [()]))
    assert numbers() == [0, 2, 3, 5]
    keep(1)
    assert numbers() == [0, 1]  # what followed was forgotten
    assert store.step("another", 0) is None


@needs_cuda
def test_on_cuda_many_are_evaluated_as_one_by_one(deep_zoo: Make) -> None:
    zoo = sc.open_zoo(deep_zoo(4))
    soups = [sc.interpolate(sc.Soup({"m0": 1.0}), sc.Soup({"m1": 1.0}), step / 40) for step in range(41)]
    one, many = (sc.Evaluator(zoo, device="cuda", store=Store(zoo.folder / name)) for name in ("one", "many"))
    for ours, theirs in zip(many.many(soups), map(one, soups), strict=True):
        assert ours.correctness == theirs.correctness
        assert ours.loss == pytest.approx(theirs.loss, abs=1e-6)


@needs_cuda
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 1e-5), ("tf32", 2e-2), ("bf16", 5e-2), ("fp16", 2e-2)]
)
def test_on_cuda_each_precision_is_labelled_and_near_the_cpus(deep_zoo: Make, precision: str, tolerance: float) -> None:
    zoo = sc.open_zoo(deep_zoo(3))
    soup = sc.uniform_soup(zoo)
    before = torch.get_float32_matmul_precision()
    found = sc.Evaluator(zoo, device="cuda", precision=precision)(soup)
    assert torch.get_float32_matmul_precision() == before
    assert found.precision == precision
    assert found.loss == pytest.approx(sc.Evaluator(zoo, device="cpu")(soup).loss, rel=tolerance)


def test_a_key_is_computed_once_a_question(linear_zoo: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo = sc.open_zoo(linear_zoo(4))
    evaluate, soup = sc.Evaluator(zoo), sc.uniform_soup(zoo)
    asked: list[sc.Soup] = []
    key = sc.Evaluator.key
    monkeypatch.setattr(sc.Evaluator, "key", lambda self, soup: asked.append(soup) or key(self, soup))
    for ask in (evaluate, evaluate.logits):
        for each in (soup, sc.Soup({"m1": 1.0})):
            for _ in ("a miss", "a hit"):
                asked.clear()
                ask(each)
                assert asked == [each]
    evaluate.store.keep_bound(key(evaluate, sc.Soup({"m2": 1.0})), "order", 1, 1)
    asked.clear()
    evaluate.trial(sc.Soup({"m2": 1.0}), errors_below=1, order=hardest_first([evaluate(soup)]))
    assert asked == [soup, sc.Soup({"m2": 1.0})]


def test_reading_the_checkpoints_into_memory_can_be_ended_and_begun_again(linear_zoo: Make) -> None:
    zoo = sc.open_zoo(linear_zoo(3))

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), sc.interruptible(stop):
        _ = sc.Evaluator(zoo).bank
    assert sc.Evaluator(zoo).bank is not None
