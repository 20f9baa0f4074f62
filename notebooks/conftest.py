"""Settings for `pytest --nbval notebooks/`, so that the plain command works from any folder."""

import contextlib
import re
import time
from collections import defaultdict, deque
from queue import Empty

from nbformat.v4 import new_code_cell
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell, IPyNbFile

CELL_TIMEOUT_S = 3600  # the conv net on a slow laptop; a dead kernel is noticed long before
POLL_S = 0.1  # a kernel drops what it said if some thousand messages wait


def pytest_addoption(parser):
    parser.addoption(
        "--solutions",
        action="store_true",
        help="after each notebook's last cell, run the solutions of its exercises in its kernel",
    )


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


_collect = IPyNbFile.collect


def collect(self):
    """As nbval does; with --solutions also the Python in the cell of that name."""
    cells = list(_collect(self))
    more = self.nb.cells if self.config.option.solutions else []
    text = "".join(cell.source for cell in more if cell.get("id") == "solutions")
    for n, source in enumerate(re.findall(r"```python\n(.*?)```", text, flags=re.S), len(cells)):
        cell, options = new_code_cell(source, execution_count=n + 1), defaultdict(bool)
        item = {"name": f"Cell {n}", "cell_num": n, "cell": cell, "options": options}
        cells.append(IPyNbCell.from_parent(self, **item))
    return cells


IPyNbFile.__init__, IPyNbFile.collect = init, collect
_await_reply, _get_message = RunningKernel.await_reply, RunningKernel.get_message


def get_message(self, stream, timeout=None):
    """As nbval does; first what `await_reply` took."""
    taken = self.__dict__.get("taken")
    return taken.popleft() if stream == "iopub" and taken else _get_message(self, stream, timeout)


def await_reply(self, msg_id, timeout=None):
    """Wait for the cell to end, as nbval does. Look now and then if the kernel lives, and take
    what it says: of a long run's progress bars the last messages would be dropped, and with them
    that the cell has ended.
    """
    taken = self.__dict__.setdefault("taken", deque())
    end = time.monotonic() + (timeout or CELL_TIMEOUT_S)
    while True:
        with contextlib.suppress(Empty):
            while True:
                taken.append(_get_message(self, "iopub", timeout=0))
        try:
            return _await_reply(self, msg_id, timeout=POLL_S)
        except Empty:
            if not self.is_alive():
                raise RuntimeError("the kernel died while this cell ran") from None
            if time.monotonic() > end:
                raise


RunningKernel.await_reply, RunningKernel.get_message = await_reply, get_message
