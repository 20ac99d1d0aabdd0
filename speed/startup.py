"""Start-up: how long the package, its help and one prediction take in a new process, files read once before.

python speed/startup.py --json startup.json
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measuring

from vlprompt import PromptClassifier
from vlprompt.data.catalogue import load_dataset


def median_seconds(command: list[str], rounds: int) -> float:
    """Median wall time of a command, after one run that warms the file cache."""
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def main() -> None:
    options = measuring.parser(__doc__.splitlines()[0], threads=False)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model, picture = Path(folder) / "model", Path(folder) / "picture.png"
        dataset = load_dataset("emoji-food")
        PromptClassifier(method="cocoop", shots=1, epochs=2, cache=None, progress=False).fit(dataset).save(model)
        dataset.test[0].image.open().save(picture)
        vlprompt = [sys.executable, "-m", "vlprompt"]
        figures = {
            "python_s": median_seconds([sys.executable, "-c", "pass"], chosen.rounds),
            "import_s": median_seconds([sys.executable, "-c", "import vlprompt"], chosen.rounds),
            "help_s": median_seconds([*vlprompt, "--help"], chosen.rounds),
            "import_torch_s": median_seconds([sys.executable, "-c", "import torch"], chosen.rounds),
            "predict_s": median_seconds([*vlprompt, "predict", str(model), str(picture)], chosen.rounds),
        }
    measuring.report("Start-up, whole processes", figures, chosen.json)


if __name__ == "__main__":
    main()
