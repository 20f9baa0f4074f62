"""What opening the module costs: `import hw2` against `import torch`, and `load`.

python tools/bench/startup.py
"""

import subprocess
import sys

from timing import in_turn, keep

import hw2

ROUNDS = 7
CODE = {
    "`import torch`": "import torch",
    "`import hw2`": "import hw2",
    "`import hw2`, then `load()`": "import hw2; hw2.load()",
}


def main() -> None:
    hw2.load()  # the archives have been read once

    def python(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    times = in_turn({name: lambda code=code: python(code) for name, code in CODE.items()}, ROUNDS)
    times |= in_turn({"`load()` by itself, 60,000 images checked": hw2.load}, ROUNDS)
    first = times["`import torch`"]
    rows = [(name, f"{seconds:.2f}", f"{seconds / first:.2f}") for name, seconds in times.items()]
    keep("startup", ("a fresh Python", "seconds", "of `import torch`"), rows)


if __name__ == "__main__":
    main()
