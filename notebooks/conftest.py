"""Settings for `pytest --nbval notebooks/`, so that the plain command works from any folder."""

import time
from queue import Empty

from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbFile

CELL_TIMEOUT_S = 3600  # the conv net on a slow laptop; a dead kernel is noticed long before
POLL_S = 2


def pytest_configure(config):
    config.option.nbval_cell_timeout = CELL_TIMEOUT_S
    config.option.nbval_current_env = (
        True  # the Python that runs pytest, whatever kernels are installed
    )


_init = IPyNbFile.__init__


def init(self, *args, **kwargs):
    """What a library says on stderr (an unwritable folder, a deprecation) is not compared."""
    _init(self, *args, **kwargs)
    self.skip_compare += ("stderr",)


IPyNbFile.__init__ = init
_await_reply = RunningKernel.await_reply


def await_reply(self, msg_id, timeout=None):
    """Wait for the cell to end, as nbval does, and look now and then if the kernel still lives."""
    end = time.monotonic() + (timeout or CELL_TIMEOUT_S)
    while True:
        try:
            return _await_reply(self, msg_id, timeout=POLL_S)
        except Empty:
            if not self.is_alive():
                raise RuntimeError("the kernel died while this cell ran") from None
            if time.monotonic() > end:
                raise


RunningKernel.await_reply = await_reply
