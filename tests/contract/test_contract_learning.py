"""A model can learn, every parameter takes part, and batch mates do not matter."""

from __future__ import annotations

import torch
from contract_case import Case
from torch import Tensor
from torch.optim.lr_scheduler import LinearLR


def test_overfits_a_handful(case: Case) -> None:
    contract = case.contract
    task = case.task(case.configure(*contract.overfit))
    model = case.fresh_model(task)
    batch = case.samples(list(range(contract.overfit_samples)))
    optimizer = torch.optim.Adam(model.parameters(), lr=contract.overfit_lr)
    fall = LinearLR(optimizer, 1.0, 0.01, total_iters=contract.overfit_steps)
    for _ in range(contract.overfit_steps):
        optimizer.zero_grad()
        task.step(model, batch, "train").loss.backward()
        optimizer.step()
        fall.step()
    with torch.no_grad():
        loss = float(task.step(model.eval(), batch, "val").loss)
    assert loss < contract.overfit_loss


def test_every_parameter_gets_a_finite_gradient(case: Case) -> None:
    model = case.fresh_model().train()
    case.task().step(model, case.samples([0, 1, 2]), "train").loss.backward()
    trainable = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert trainable
    assert [name for name, grad in trainable.items() if grad is None] == []
    assert [name for name, grad in trainable.items() if not torch.isfinite(grad).all()] == []
    assert any(bool(grad.any()) for grad in trainable.values())


def test_batch_mates_do_not_matter(case: Case) -> None:
    model = case.fresh_model().double().eval()
    whole = _predict(case, model, [0, 1, 2, 3, 4])
    for position in range(5):
        alone = _predict(case, model, [position])
        among_others = _predict(case, model, [7, position, 6])
        for name, values in whole.items():
            bound = case.contract.tolerance * float(values.abs().max())
            assert (alone[name][0] - values[position]).abs().max() <= bound, name
            assert (among_others[name][1] - values[position]).abs().max() <= bound, name


def test_order_in_the_batch_does_not_matter(case: Case) -> None:
    model = case.fresh_model().double().eval()
    order = [3, 0, 4, 1, 2]
    whole = _predict(case, model, [0, 1, 2, 3, 4])
    shuffled = _predict(case, model, order)
    for name, values in whole.items():
        bound = case.contract.tolerance * float(values.abs().max())
        assert (shuffled[name] - values[order]).abs().max() <= bound, name


def test_the_loss_is_a_mean_over_samples(case: Case) -> None:
    """So that an epoch's loss does not depend on how it was cut into batches."""
    model, task = case.fresh_model().double().eval(), case.task()

    def loss(index: list[int]) -> tuple[float, int]:
        with torch.no_grad():
            output = task.step(model, case.samples(index, dtype=torch.float64), "val")
        return float(output.loss), output.weight

    (together, weight), parts = loss([0, 1, 2, 3]), [loss([0, 1, 2]), loss([3])]
    assert weight == sum(part for _, part in parts)
    mean = sum(value * part for value, part in parts) / weight
    assert abs(together - mean) <= case.contract.tolerance * abs(mean)


def _predict(case: Case, model: torch.nn.Module, index: list[int]) -> dict[str, Tensor]:
    return case.predict(model, case.samples(index, dtype=torch.float64))
