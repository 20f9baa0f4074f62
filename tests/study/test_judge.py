"""The judge that is in the package: its size, its accuracy, and that a damaged file is not used."""

import pytest
import torch

from hw2 import load
from hw2.study import judge


@pytest.mark.slow
def test_the_shipped_judge_is_small_and_right_on_99_percent():
    assert judge.WEIGHTS.stat().st_size <= 500_000
    test = load("mnist", "test")
    assert judge.accuracy(judge.the_judge(), test.images, test.labels) >= 0.99


def test_features_and_probabilities_have_the_documented_shapes(digits):
    found = judge.features(digits.images)
    assert found.shape == (len(digits), 64)
    probabilities = judge.probabilities(found)
    assert probabilities.shape == (len(digits), 10)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(len(digits)))
    torch.testing.assert_close(probabilities, judge.the_judge()(digits.images).softmax(1).detach())


def test_a_damaged_file_is_refused_with_its_path(tmp_path, monkeypatch):
    damaged = tmp_path / "judge.safetensors"
    content = bytearray(judge.WEIGHTS.read_bytes())
    content[-1000] ^= 1
    damaged.write_bytes(content)
    monkeypatch.setattr(judge, "WEIGHTS", damaged)
    judge.the_judge.cache_clear()
    try:
        with pytest.raises(ValueError, match=r"judge\.safetensors"):
            judge.the_judge()
    finally:
        judge.the_judge.cache_clear()


def test_accuracy_is_the_share_of_images_whose_most_probable_class_is_the_label(digits):
    labels = judge.the_judge()(digits.images).argmax(1)
    labels[:12] = (labels[:12] + 1) % 10
    assert judge.accuracy(judge.the_judge(), digits.images, labels) == 36 / 48
