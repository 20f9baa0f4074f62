"""Codes as features: what a simple classifier makes of a latent space. Notebook 3, *Downstream*."""

import numpy as np
import torch
from torch import Tensor

PROBES = ("linear", "neighbours")
NEIGHBOURS = 5  # that vote


def probe_accuracy(
    kind: str, codes: Tensor, labels: Tensor, test_codes: Tensor, test_labels: Tensor, standardised: bool = False
) -> float:
    """Test accuracy, 0 to 1, of a simple classifier of codes: "linear" or "neighbours".

    Logistic regression as in scikit-learn with its default penalty, or the vote of the five nearest; of classes with
    as many votes, the first. codes: (N, D), labels: (N,), and the same of the test set. standardised: first give each
    coordinate mean 0 and variance 1 over the labelled codes. ValueError for an unknown kind, for codes that are not
    finite, fewer than five, or not as many as their labels.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils import check_X_y
    from threadpoolctl import threadpool_limits

    if kind not in PROBES:
        raise ValueError(f"unknown kind {kind!r}: expected one of {', '.join(PROBES)}")
    z, y = check_X_y(codes.numpy(), labels.numpy(), dtype=np.float32, ensure_min_samples=NEIGHBOURS)
    z_test, y_test = check_X_y(test_codes.numpy(), test_labels.numpy(), dtype=np.float32)
    if standardised or kind == "neighbours":  # which are at least centred: float32 has most digits near 0
        scaler = StandardScaler(with_std=standardised).fit(z)
        z, z_test = scaler.transform(z), scaler.transform(z_test)
    if kind == "neighbours":  # scikit-learn's, in float64, takes twice as long
        nearest = torch.cdist(torch.from_numpy(z_test), torch.from_numpy(z)).topk(NEIGHBOURS, largest=False).indices
        votes = torch.from_numpy(y).long()[nearest].mode().values
        return (votes.numpy() == y_test).mean().item()
    classifier = LogisticRegression(solver="newton-cg", max_iter=1000)
    with threadpool_limits(1, "blas"):  # thousands of small products, for which threads would wait on each other
        classifier.fit(z, y)
    return classifier.score(z_test, y_test)
