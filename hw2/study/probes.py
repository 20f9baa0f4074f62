"""Codes as features: what a simple classifier makes of a latent space. Notebook 3, *Downstream*."""

from torch import Tensor

PROBES = ("linear", "neighbours")


def probe_accuracy(
    kind: str, codes: Tensor, labels: Tensor, test_codes: Tensor, test_labels: Tensor, standardised: bool = False
) -> float:
    """Test accuracy, 0 to 1, of a simple classifier of codes: "linear" or "neighbours".

    Logistic regression, or the vote of the five nearest, as in scikit-learn with its default penalty.
    codes: (N, D), labels: (N,), and the same of the test set. standardised: first give each coordinate mean 0 and
    variance 1 over the labelled codes. ValueError for an unknown kind.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    if labels.ndim != 1 or test_labels.ndim != 1:
        raise ValueError(f"labels must be a class for each code, (N,), got {tuple(labels.shape)}")
    if kind not in PROBES:
        raise ValueError(f"unknown kind {kind!r}: expected one of {', '.join(PROBES)}")
    classifier = LogisticRegression(solver="newton-cg", max_iter=1000) if kind == "linear" else KNeighborsClassifier(5)
    if standardised:
        classifier = make_pipeline(StandardScaler(), classifier)
    with threadpool_limits(1, "blas"):  # thousands of small products, for which threads would wait on each other
        classifier.fit(codes.numpy(), labels.numpy())
    return classifier.score(test_codes.numpy(), test_labels.numpy())
