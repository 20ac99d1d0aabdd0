"""Our descents are torch's SGD, AdamW and Adam."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from vlprompt.recipes import OPTIMIZERS, TrainingSettings
from vlprompt.training.descent import descent_of

SHAPES = {"context": (4, 128), "first.weight": (8, 33), "first.bias": (8,)}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.0},
        {"nesterov": True},
        {"dampening": 0.3},
        {"weight_decay": 0.0},
        {"precision": "fp16"},
    ],
)
def test_a_step_is_that_of_torch_s_sgd_to_the_last_bit(options):
    settings = TrainingSettings(**options)
    generator = torch.Generator().manual_seed(1)
    ours = {name: torch.nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in SHAPES.items()}
    theirs = {name: torch.nn.Parameter(tensor.detach().clone()) for name, tensor in ours.items()}
    descent = descent_of(ours, settings)
    sgd = torch.optim.SGD(
        theirs.values(),
        lr=0.002,
        momentum=settings.momentum,
        dampening=settings.dampening,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
        foreach=False,
        fused=None if settings.precision == "fp16" else True,
    )
    for step in range(20):
        descent.learning_rate = sgd.param_groups[0]["lr"] = 0.01 / (1 + step)
        for name, tensor in ours.items():
            tensor.grad = torch.randn(tensor.shape, generator=generator)
            theirs[name].grad = tensor.grad.clone()
        descent.step()
        sgd.step()
    assert all(torch.equal(ours[name], theirs[name]) for name in SHAPES)


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.0, "epsilon": 1e-4}])
@pytest.mark.parametrize(("optimizer", "torchs"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam)])
def test_a_step_is_that_of_torch_s_adams_to_the_last_bit_also_after_taking_up_its_state(optimizer, torchs, options):
    settings = TrainingSettings(optimizer=optimizer, **options)
    generator = torch.Generator().manual_seed(1)
    ours = {name: torch.nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in SHAPES.items()}
    theirs = {name: torch.nn.Parameter(tensor.detach().clone()) for name, tensor in ours.items()}
    descent = descent_of(ours, settings)
    adam = torchs(
        theirs.values(), lr=0.002, weight_decay=settings.weight_decay, eps=settings.epsilon, foreach=False, fused=True
    )
    for step in range(20):
        if step == 10:
            state = {name: tensor.clone() for name, tensor in descent.state().items()}
            descent = descent_of(ours, settings)
            descent.restore(state)
        descent.learning_rate = adam.param_groups[0]["lr"] = 0.01 / (1 + step)
        for name, tensor in ours.items():
            tensor.grad = torch.randn(tensor.shape, generator=generator)
            theirs[name].grad = tensor.grad.clone()
        descent.step()
        adam.step()
    assert all(torch.equal(ours[name], theirs[name]) for name in SHAPES)


def test_a_parameter_without_a_gradient_stays():
    parameters = {"used": torch.nn.Parameter(torch.ones(2)), "unused": torch.nn.Parameter(torch.ones(2))}
    descent = descent_of(parameters, TrainingSettings())
    parameters["used"].grad = torch.ones(2)
    descent.step()
    assert torch.equal(parameters["unused"], torch.ones(2))
    assert list(descent.state()) == ["used"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_does_not_import_the_compiler(optimizer):
    program = f"""
import sys, torch
from vlprompt.recipes import TrainingSettings
from vlprompt.training.descent import descent_of
parameter = torch.nn.Parameter(torch.ones(2))
parameter.grad = torch.ones(2)
descent_of({{"context": parameter}}, TrainingSettings(optimizer={optimizer!r})).step()
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
