"""An error that the checked function raises, as a sentence: what happened, where, and what to do about it."""

import contextlib
import functools
import re
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from torch.distributions import Distribution

from .mistake import IN_PLACE, Mistake

_ADVICE = {  # what the error says, and the line where it happened: what a student can do
    r"mat1 and mat2(?s:.*)(@|matmul|mm\()": "@ and matmul multiply matrices: * multiplies number by number",
    r"mat1 and mat2 shapes cannot be multiplied": (
        "a linear layer got rows of another length than it was made for: each takes as many numbers as the one before "
        "it gives. Images, (B, 1, 28, 28), need an nn.Flatten(), which keeps B, before the first linear layer"
    ),
    r"same dtype|scalar type|[Dd]ouble": (
        "one tensor is float64, which NumPy's functions give, the other float32: use torch's (torch.linspace), or "
        "add .float()"
    ),
    r"Can't call numpy\(\) on Tensor that requires grad": (
        "NumPy's functions pass no gradient on. Do not add detach(): write it with torch's functions"
    ),
    r"leaf Variable that requires grad|modified by an inplace operation": IN_PLACE,
    r"does not require grad and does not have a grad_fn": (
        "what backward() is called on has lost its graph: no detach(), item() or no_grad() before it"
    ),
    r"backward through the graph a second time": "compute the loss anew in each step, and call backward() once",
    r"implicitly created only for scalar": "backward() needs one number: take the loss, averaged over the batch",
    r"cannot be converted to Scalar|only one element tensors": (
        ".item() takes a single number, and so do math's functions, and no gradient passes through either: use torch's"
    ),
    r"to satisfy the constraint": "the scale of a Normal is σ, which is positive: exp(logvar / 2)",
    r"must match the size|not broadcastable|shape '.*' is invalid|[Ss]izes of tensors must match": (
        "two shapes do not fit: print both before this line, and compare them with the docstring's"
    ),
    r"same device": "a new tensor must be made where the others are: device=mu.device",
    r"NoneType": "something is None: is a `return` forgotten?",
    r"is not defined": "is it spelled right, and imported at the top of the file?",
    r"positional argument|unexpected keyword|missing \d+ required": (
        "compare the call with the function's own first line; in yours keep the arguments, their order and their "
        "defaults as they were given"
    ),
    r"is not a Module subclass": (
        "nn.Sequential takes layers one by one, of a list *layers, and each as it is made: nn.ReLU(), with brackets"
    ),
    r"values to unpack": "what is unpacked has more or fewer parts than there are names on the left: print it",
    r"attribute '_modules'|before Module.__init__": "the __init__ of a module must begin with super().__init__()",
    r"'(Probe|Plain|_Terms)' object has no attribute": (
        "of a model only encode, decode, code, terms and latent_dim are promised, because another kind may have no more"
    ),
    r"has no attribute": "is it spelled right? A function of the module is called by its name alone, without self",
}


def explained(check: Callable) -> Callable:
    """The check, whose errors are Mistakes without the frames in between: they would show a list of known mistakes.

    Warnings are kept quiet, because nbgrader gives no points to a cell that writes to stderr.
    """

    @functools.wraps(check)
    def quiet(*arguments, **options) -> None:
        try:
            with warnings.catch_warnings(), _validated():
                warnings.simplefilter("ignore")
                check(*arguments, **options)
                return
        except Mistake as mistake:
            said = str(mistake)
        except Exception as error:
            said = sentence(error)
        raise Mistake(said)

    return quiet


@contextlib.contextmanager
def _validated() -> Iterator[None]:
    """torch.distributions looks at its arguments, as at first: torch.compile switches that off for good."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(True)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


def sentence(error: Exception) -> str:
    """What went wrong, where in the file that is checked, and what to do."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _own(Path(frame.filename))]
    if isinstance(error, NotImplementedError) and frames and not str(error):
        return (
            f"{frames[-1].name} is not written yet, or its `raise NotImplementedError` is still there: see "
            f"{Path(frames[-1].filename).name}"
        )
    message = re.sub(r"\s+", " ", str(error)).strip().rstrip(".")
    searched = message + "\n" + (frames[-1].line or "" if frames else "")
    advice = next((text for pattern, text in _ADVICE.items() if re.search(pattern, searched)), "")
    if len(message) > 160:
        message = message[:160].rsplit(" ", 1)[0] + " ..."
    said = f"{type(error).__name__}: {message}" + (f". {advice[0].upper()}{advice[1:]}" if advice else "")
    if frames:  # of which the deepest is where it happened
        said += f"\nIt happened in {Path(frames[-1].filename).name}, line {frames[-1].lineno}: {frames[-1].line}"
    return said


def _own(file: Path) -> bool:
    """Whether a file may be what is checked: neither this package, nor a library, nor hw2's checks of arguments."""
    return (
        file.parent != Path(__file__).parent
        and file.name != "inputs.py"
        and not {"site-packages", "dist-packages"} & set(file.parts)
        and Path(functools.__file__).parent not in file.parents
        and not file.name.startswith("<frozen")
    )
