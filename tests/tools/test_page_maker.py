"""What goes into explorer.html, without a browser; tests/browser/test_page.py looks at the page itself."""

import base64
import hashlib
import re

import numpy as np
import page as script
import pytest
import torch

import hw2
from hw2.data import ARCHIVES
from hw2.latent import grid
from hw2.notebook_settings import Settings


def test_settings_are_those_of_notebook_2():
    s = script.settings()
    assert s.TUNED in s.BETAS
    assert {0, 10} <= set(s.PLANES)
    assert s.EPOCHS >= 2
    assert isinstance(s.SEED, int)


@pytest.mark.parametrize("tuned", [0, 0.05])
def test_a_tuned_beta_that_the_page_has_no_network_for_is_said_before_anything_trains(tuned, monkeypatch):
    monkeypatch.setattr(hw2, "notebook_settings", lambda **_: Settings(tuned=tuned))
    with pytest.raises(SystemExit, match=rf"from 1e-5 to 0.01: set the tuned β between them, it is {tuned}"):
        script.settings()


def test_every_data_set_is_credited_and_the_networks_range_is_notebook_4s():
    assert script.CREDITS.keys() == ARCHIVES.keys()
    assert hw2.ConditionedVAE(2, hidden=(4,)).betas == script.BETAS


@pytest.mark.parametrize(("inputs", "kind", "error"), [(3, "<f4", 0), (32, "<f4", 0), (33, "<f2", 1e-3)])
def test_a_layer_has_its_weights_in_float16_if_it_is_large_a_row_for_each_input(inputs, kind, error):
    linear = torch.nn.Linear(inputs, 5)
    layer = script.layer(linear, "relu")
    weight = np.frombuffer(base64.b64decode(layer["weight"]), kind).reshape(inputs, 5)
    np.testing.assert_allclose(weight.T, linear.weight.detach(), rtol=error, atol=error / 1000)
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(layer["bias"]), "<f4"), linear.bias.detach())
    assert (layer["outputs"], layer["after"], layer["exact"]) == (5, "relu", kind == "<f4")


def test_units_that_are_never_used_are_left_out_and_change_nothing():
    vae = hw2.VAE(2, hidden=(40, 30), seed=1)
    with torch.no_grad():
        vae.decoder[2].bias[:20] = -100  # so that these are 0 everywhere
    smaller = [*script.without_idle_units(vae.decoder, grid(3.2, 60))]
    assert smaller[2].in_features <= 20
    z = grid(3.2, 23)
    expected, h = hw2.decode(vae, z), z
    for part in smaller[:-1]:
        h = part(h).relu()
    torch.testing.assert_close(smaller[-1](h).sigmoid().view_as(expected), expected)


def test_rounding_is_measured():
    vae = hw2.VAE(4, hidden=(40,), seed=0)
    z = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    assert 0 < script.rounding(vae, z) < 1
    with torch.no_grad():
        vae.decoder[2].weight *= 100  # float16 keeps eleven bits
    assert script.rounding(vae, z) > 1


def test_a_sentence_without_its_number_is_an_error():
    with pytest.raises(KeyError):
        script.panels({"tuned": "0.001"})


def test_the_policy_names_the_script_and_the_style_and_data_cannot_end_their_element():
    text = script.page({"panels": "<p>π</p>", "digits": "</script><b>"})
    for tag in ("style", 'script type="module"'):
        content = re.search(rf"<{tag}>(.*?)</{tag.split()[0]}>", text, flags=re.S)[1]
        assert f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}" in text
    assert "</script><b>" not in text
    assert text.count("http") == text.count("http-equiv") + text.count("http://www.w3.org/2000/svg")
