"""What the tests of pictures and of views share."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def images_in():
    """The images of a mosaic of tiles, (N, 28, 28), in [0, 1]."""

    def cut(picture, scale, columns):
        pixels = np.asarray(picture.convert("L"))[::scale, ::scale] / 255
        rows = pixels.shape[0] // 29
        return np.stack(
            [pixels[29 * r + 1 : 29 * r + 29, 29 * c + 1 : 29 * c + 29] for r in range(rows) for c in range(columns)]
        )

    return cut


@pytest.fixture(scope="session")
def same():
    """Pixels shown are those of the images, to the rounding of a byte."""

    def check(shown, images):
        np.testing.assert_allclose(shown, images[:, 0].numpy(), atol=0.5 / 255 + 1e-6)

    return check
