"""What a run is of, in words: nothing that decides it is left out, and what the words do not tell is refused."""

import contextlib
import copy
import functools
import io
import json
import re
from dataclasses import fields, replace

import pytest
import torch
from kinds import CONFIG, MODELS
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import prune

import hw2
import hw2.conditioned
import hw2.losses
import hw2.models
import hw2.training
from hw2 import VAE, ConditionedVAE, TrainConfig, fit, load_checkpoint, save, sweep, train_or_load
from hw2.guards import check
from hw2.runs import fit_with_checkpoint
from hw2.runs.identity import alterations, build, code, describe, differences, identity

CHANGES = {"beta": 0.03, "epochs": 3, "batch_size": 21, "lr": 2e-3, "schedule": "constant", "likelihood": "bernoulli",
           "warmup": 1, "seed": 5, "device": "mps"}  # fmt: skip


def test_the_list_above_has_every_field_of_the_config():
    assert set(CHANGES) == {field.name for field in fields(TrainConfig)}


# Describe and build


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_model_is_built_again_from_its_description_as_json(make, global_rng_untouched):
    model = make()
    again = build(json.loads(json.dumps(describe(model))))
    assert type(again) is type(model)
    assert describe(again) == describe(model)
    assert again.hidden == model.hidden
    weights = model.state_dict()
    assert again.state_dict().keys() == weights.keys()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in again.state_dict().items())


def test_a_description_is_of_the_constructors_arguments_not_of_the_weights(digits):
    model = VAE(3, hidden=(8,))
    fit(model, digits, TrainConfig(epochs=1), progress=False)
    assert describe(model) == describe(VAE(3, hidden=(8,)))


def test_only_the_modules_own_kinds_of_model_are_described():
    class VAE(hw2.VAE):
        """A student's own: of the same name and weights, and may compute something else with them."""

    for model in (nn.Linear(2, 2), VAE(3)):
        with pytest.raises(
            TypeError, match=r"AutoEncoder, VAE, ConditionedVAE, got (Linear|VAE) of (torch|test_identity)"
        ):
            describe(model)


# Identity and differences


def test_an_identity_holds_all_that_decides_a_run_as_json(digits):
    about = identity(VAE(3, hidden=(8,)), CONFIG, digits.digest())
    found = json.loads(json.dumps(about))
    assert differences(found, about) == []
    assert found["config"] == {field.name: getattr(CONFIG, field.name) for field in fields(TrainConfig)}
    assert found["model"] | {"kind": "VAE", "latent_dim": 3, "hidden": [8], "arch": "mlp", "seed": 0} == found["model"]
    assert (found["torch"], found["data"]) == (torch.__version__, digits.digest())


@pytest.mark.parametrize("name", CHANGES)
def test_another_config_is_another_identity(name):
    here = identity(VAE(3), CONFIG, "")
    there = identity(VAE(3), replace(CONFIG, **{name: CHANGES[name]}), "")
    assert differences(there, here) == [f"config.{name} is {CHANGES[name]!r} there and {getattr(CONFIG, name)!r} here"]


def test_a_model_without_a_known_run_has_an_identity_too(digits):
    unknown, known = identity(VAE(3), None, ""), identity(VAE(3), CONFIG, digits.digest())
    assert differences(json.loads(json.dumps(unknown)), unknown) == []
    data, config = differences(unknown, known)
    assert data == f"data is '' there and {digits.digest()[:12]}… here"
    assert config.startswith("config is None there and {'beta': 0.02")


def test_differences_are_named_from_outside_in():
    found = {"a": 1, "b": {"c": [1, 2], "d": 4}, "more": 0}
    assert differences(found, {"a": 1, "b": {"c": (1, 2), "d": 4}}) == []
    assert differences(found, {"a": 2, "b": {"c": (1, 3), "d": 4}, "e": None, "f": 5}) == [
        "a is 1 there and 2 here",
        "b.c is [1, 2] there and (1, 3) here",
        "f is None there and 5 here",
    ]


def test_the_precision_of_products_is_part_of_an_identity():
    here = identity(VAE(3), CONFIG, "")
    try:
        torch.set_float32_matmul_precision("medium")
        assert differences(identity(VAE(3), CONFIG, ""), here) == [
            "numerics.matmul is 'medium' there and 'highest' here"
        ]
    finally:
        torch.set_float32_matmul_precision("highest")


def test_a_config_of_a_class_of_its_own_is_refused(digits):
    """It has the same fields, and may compute something else with them."""

    class TrainConfig(hw2.TrainConfig):
        def beta_at(self, step, steps_per_epoch):
            return 10 * super().beta_at(step, steps_per_epoch)

    with pytest.raises(TypeError, match=r"of hw2\.TrainConfig itself"):
        train_or_load(VAE(3, hidden=(8,)), digits, TrainConfig(epochs=1), progress=False)


# Models that were altered


def mlp():
    return VAE(3, hidden=(8, 8))


def conv():
    return VAE(2, "conv", (4, 4, 4, 4))


def conditioned():
    return ConditionedVAE(3, hidden=(8, 8))


def hooked(register):
    """An alteration: a hook on the first layer with weights, by that method."""

    def alter(model):
        getattr(model.encoder[1], register)(lambda *_: None)

    return alter


def tied_modules(model):
    model.modulations[1] = model.modulations[0]


def tied_parameters(model):
    model.modulations[1].weight = model.modulations[0].weight


def tied_memory(model):
    model.modulations[1].weight.data = model.modulations[0].weight.data


def tied_statistics(model):
    model.encoder[3].running_mean = model.encoder[6].running_mean


def one_number(model):
    weight = model.modulations[0].weight
    weight.data = torch.zeros(()).expand(weight.shape)


def same_name(model):
    class Parameter(nn.Parameter):
        pass

    model.encoder[1].weight = Parameter(model.encoder[1].weight.data)


def same_class_name(model):
    class ReLU(nn.ReLU):
        def forward(self, x):
            return x

    model.encoder[2] = ReLU()


def parametrized(model):
    nn.utils.parametrizations.weight_norm(model.encoder[1])


def two_swapped(model):
    a, b = model.encoder[4], model.encoder[5]
    model.encoder[4], model.encoder[5] = b, a


def renamed_order(model):
    layers = model.decoder._modules
    layers["0"] = layers.pop("0")  # what a Sequential runs last


def of_another_class(model):
    model.encoder[2].__class__ = nn.Tanh


def set_(path, value):
    """An alteration: the attribute of that name, some levels down, becomes that value."""
    *owner, name = path.split(".")

    def alter(model):
        setattr(model.get_submodule(".".join(owner)), name, value)

    return alter


ALTERATIONS = {  # a model, what is done to it, and what the error names
    "a layer replaced": (mlp, lambda m: m.encoder.__setitem__(2, nn.Tanh()), r"encoder\.2 is Tanh, not ReLU"),
    "a layer of the same name": (mlp, same_class_name, r"encoder\.2 is ReLU"),
    "a layer's class": (mlp, of_another_class, r"encoder\.2 is Tanh, not ReLU"),
    "a layer added": (mlp, lambda m: m.encoder.append(nn.ReLU()), r"encoder\.6 was added|order of encoder's"),
    "a layer beside": (mlp, lambda m: m.add_module("extra", nn.ReLU()), r"extra"),
    "a layer removed": (mlp, lambda m: m.encoder.__delitem__(2), r"order of encoder's"),
    "a layer made none": (mlp, lambda m: m.encoder._modules.update({"2": None}), r"encoder\.2 is gone"),
    "two layers swapped": (conv, two_swapped, r"encoder\.4 is Conv2d, not LeakyReLU"),
    "layers in another order": (mlp, renamed_order, r"the order of decoder's layers"),
    "dropout": (mlp, lambda m: m.encoder.insert(3, nn.Dropout(0.5)), r"Dropout|order of encoder's"),
    "frozen": (mlp, lambda m: m.encoder[1].weight.requires_grad_(False), r"encoder\.1\.weight is .*frozen"),
    "no bias": (mlp, lambda m: m.encoder[1].register_parameter("bias", None), r"encoder\.1\.bias is None"),
    "a buffer for a parameter": (
        mlp,
        lambda m: (delattr(m.encoder[1], "bias"), m.encoder[1].register_buffer("bias", torch.zeros(8))),
        r"encoder\.1\.bias",
    ),
    "a parameter of the same name": (mlp, same_name, r"the type of encoder\.1\.weight"),
    "float64": (mlp, lambda m: m.double(), r"torch\.float64.*not torch\.float32"),
    "bfloat16 in one": (conv, lambda m: m.decoder[0].bfloat16(), r"decoder\.0\.weight is torch\.bfloat16"),
    "channels last": (
        lambda: VAE(2, "conv", (2, 3, 4, 5)),
        lambda m: m.to(memory_format=torch.channels_last),
        "laid out otherwise",
    ),
    "a forward hook": (mlp, hooked("register_forward_hook"), r"encoder\.1\._forward_hooks"),
    "a forward pre-hook": (mlp, hooked("register_forward_pre_hook"), r"encoder\.1\._forward_pre_hooks"),
    "a backward hook": (mlp, hooked("register_full_backward_hook"), r"encoder\.1\._backward_hooks"),
    "a backward pre-hook": (mlp, hooked("register_full_backward_pre_hook"), r"encoder\.1\._backward_pre_hooks"),
    "a parameter's hook": (mlp, lambda m: m.encoder[1].weight.register_hook(torch.neg), r"encoder\.1\.weight.*hooks"),
    "a hook after accumulation": (
        mlp,
        lambda m: m.encoder[1].bias.register_post_accumulate_grad_hook(lambda p: None),
        r"encoder\.1\.bias.*hooks",
    ),
    "a slope": (conv, set_("encoder.1.negative_slope", 0.1), r"encoder\.1\.negative_slope is 0\.1, not 0\.2"),
    "a momentum": (conv, set_("encoder.3.momentum", 0.5), r"encoder\.3\.momentum is 0\.5, not 0\.1"),
    "an epsilon": (conv, set_("encoder.3.eps", 1e-3), r"encoder\.3\.eps is 0\.001"),
    "a stride": (conv, set_("encoder.0.stride", (1, 1)), r"encoder\.0\.stride is \(1, 1\)"),
    "no statistics": (conv, set_("encoder.3.track_running_stats", False), r"encoder\.3\.track_running_stats"),
    "forward": (mlp, lambda m: setattr(m, "forward", functools.partial(VAE.forward, m)), r"forward was added"),
    "a layer's forward": (mlp, lambda m: setattr(m.encoder[2], "forward", lambda x: x), r"encoder\.2\.forward was"),
    "terms": (mlp, lambda m: setattr(m, "terms", functools.partial(VAE.terms, m)), r"terms was added"),
    "a constant of the class": (conditioned, set_("tilt", 0.5), r"tilt was added"),
    "train": (conv, lambda m: setattr(m.encoder[3], "train", lambda mode: m), r"encoder\.3\.train was added"),
    "compiled": (mlp, lambda m: setattr(m, "_compiled_call_impl", m._call_impl), r"_compiled_call_impl"),
    "parametrized": (mlp, parametrized, r"encoder\.1 is ParametrizedLinear, not Linear"),
    "pruned": (mlp, lambda m: prune.identity(m.encoder[1], "weight"), r"encoder\.1"),
    "tied modules": (conditioned, tied_modules, r"modulations\.1\.weight is .*shared with modulations\.0\.weight"),
    "tied parameters": (conditioned, tied_parameters, r"modulations\.1\.weight is .*shared with modulations\.0"),
    "tied memory": (conditioned, tied_memory, r"modulations\.1\.weight is .*shared with modulations\.0\.weight"),
    "tied statistics": (conv, tied_statistics, r"encoder\.6\.running_mean is .*shared with encoder\.3"),
    "one number for all": (conditioned, one_number, r"modulations\.0\.weight is .*laid out otherwise"),
}


@pytest.mark.parametrize(("make", "alter", "named"), ALTERATIONS.values(), ids=ALTERATIONS)
def test_an_altered_model_is_refused_with_what_differs_and_the_remedy(
    make, alter, named, digits, path, forbid_training
):
    assert alterations(make()) == []
    save(path, make(), None, TrainConfig(epochs=1), digits.digest())
    kept_as = path.read_bytes()
    forbid_training()
    model, config = make(), TrainConfig(epochs=1)
    alter(model)
    assert any(re.search(named, line) for line in alterations(model))
    uses = [lambda: save(path, model), lambda: load_checkpoint(path, model=model)]
    with contextlib.suppress(Exception):  # what cannot be trained at all is said before
        check(model, digits, config)
        uses += [
            lambda: train_or_load(model, digits, config, progress=False),
            lambda: sweep({"a": (model, config)}, digits),
            lambda: fit_with_checkpoint(model, digits, config, path, progress=False),
        ]
    for use in uses:
        with pytest.raises(ValueError, match=r"is not as its constructor makes it: .*hw2\.fit"):
            use()
    assert path.read_bytes() == kept_as


def test_a_hook_on_all_modules_is_refused():
    model = mlp()
    hook = register_module_forward_hook(lambda *_: None)
    try:
        assert alterations(model) == ["_global_forward_hooks of torch.nn has hooks"]
    finally:
        hook.remove()
    assert alterations(model) == []


def trained(model, digits):
    fit(model, digits, TrainConfig(epochs=1, batch_size=16), progress=False)
    return model


def unpickled(model, _digits):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def once_hooked(model, digits):
    """As a tool leaves it that looks at what the layers give."""
    hooks = [m.register_forward_hook(lambda *_: None) for m in model.modules()]
    hooks += [m.register_full_backward_hook(lambda *_: None) for m in model.modules()]
    hooks += [p.register_hook(lambda g: None) for p in model.parameters()]
    for hook in hooks:
        hook.remove()
    return model


def thawed(model, _digits):
    return model.requires_grad_(False).requires_grad_(True)


def from_one_vector(model, _digits):
    nn.utils.vector_to_parameters(nn.utils.parameters_to_vector(model.parameters()), model.parameters())
    return model


HARMLESS = {
    "fresh": lambda model, digits: model,
    "trained": trained,
    "in eval mode": lambda model, digits: model.eval(),
    "moved": lambda model, digits: model.to("cpu").float(),
    "deep-copied": lambda model, digits: copy.deepcopy(model),
    "trained and deep-copied": lambda model, digits: copy.deepcopy(trained(model, digits)),
    "unpickled": unpickled,
    "trained and unpickled": lambda model, digits: unpickled(trained(model, digits), digits),
    "once hooked": once_hooked,
    "thawed": thawed,
    "from one vector": from_one_vector,
    "in shared memory": lambda model, digits: model.share_memory(),
}


@pytest.mark.parametrize("act", HARMLESS.values(), ids=HARMLESS)
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_model_that_was_only_used_is_not_refused(make, act, digits, path):
    model = act(make(), digits)
    assert alterations(model) == []
    save(path, model)
    assert describe(load_checkpoint(path, model).model) == describe(model)


def test_a_network_at_one_beta_is_not_refused(digits, path):
    for latent_dim in (1, 3):
        model = ConditionedVAE(latent_dim, hidden=(8, 1)).at(1e-3)
        save(path, model)
        assert alterations(load_checkpoint(path).model) == []


# Code that was replaced


def other(*_args, **_kwargs):
    """Something else."""


REPLACED = [
    (hw2.losses, "kl_normal", other),
    (hw2.losses, "LOGVAR_MAX", 50.0),
    (hw2.losses, "F", torch),
    (hw2.models, "kl_normal", other),
    (hw2.models, "reparametrize", other),
    (hw2.models, "len", other),
    (hw2.models.VAE, "terms", other),
    (hw2.models.VAE, "decode", functools.partialmethod(VAE.code)),  # where none was
    (hw2.models.VAE, "__call__", other),
    (hw2.models.AutoEncoder, "decode", other),
    (hw2.conditioned.ConditionedVAE, "tilt", 0.5),
    (hw2.conditioned, "Posterior", tuple),
    (hw2.training, "training_step", other),
    (hw2.training, "effective_beta", other),
    (hw2.training.Training, "run_epoch", other),
    (hw2.training.TrainConfig, "beta_at", other),
    (hw2.losses.kl_normal, "__code__", other.__code__),
    (hw2.losses.reconstruction_loss, "__defaults__", ("bernoulli",)),
]


@pytest.mark.parametrize(
    ("owner", "name", "value"), REPLACED, ids=[f"{owner.__name__}.{name}" for owner, name, _ in REPLACED]
)
def test_a_run_of_code_that_was_replaced_is_not_kept(owner, name, value, digits, monkeypatch, tmp_path):
    code()
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, value, raising=False)
        with pytest.raises(RuntimeError, match=r"hw2\.\w+\.\w+.* was replaced in this kernel.* hw2\.fit, or restart"):
            code()
    code()


def test_a_network_of_another_table_is_not_kept(digits, monkeypatch, tmp_path):
    monkeypatch.setitem(hw2.networks.ARCHS, "mlp", (hw2.networks.mlp_encoder, lambda *_: nn.Identity(), (8,)))
    with pytest.raises(RuntimeError, match=r"hw2\.networks\.ARCHS\['mlp'\] was replaced"):
        code()


def test_train_or_load_and_sweep_refuse_code_that_was_replaced(digits, monkeypatch, tmp_path):
    kl = hw2.losses.kl_normal
    monkeypatch.setattr(hw2.models, "kl_normal", lambda mu, logvar: 2 * kl(mu, logvar))
    config = TrainConfig(epochs=1)
    for train in (
        lambda: train_or_load(VAE(3, hidden=(8,)), digits, config, progress=False),
        lambda: sweep({"a": (VAE(3, hidden=(8,)), config)}, digits),
    ):
        with pytest.raises(RuntimeError, match=r"hw2\.models\.kl_normal was replaced in this kernel"):
            train()
    assert not (tmp_path / "runs").exists()
    fit(VAE(3, hidden=(8,)), digits, config, progress=False)


def test_a_name_that_a_module_does_not_use_is_no_replacement(monkeypatch):
    """torch.compile leaves such names."""
    monkeypatch.setattr(hw2.models, "__compiled_fn_1", other, raising=False)
    code()
