from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, signal, time
import numpy as np, torch
from tests.tiny_models import tiny_backbone
from vlprompt import PromptClassifier

torch.set_num_threads(2)
images = [np.full((40, 40, 3), grey, np.uint8) for grey in (30, 200)] * 64
classifier = PromptClassifier(method="zero-shot", backbone=tiny_backbone(), cache=None)
before = classifier.fit(images, ["dark", "light"] * 64).predict_proba(images)
child = os.fork()
if child == 0:
    after = classifier.predict_proba(images)
    os._exit(0 if np.allclose(before, after, atol=1e-5) and torch.get_num_threads() == 1 else 3)
waited = time.monotonic()
while time.monotonic() < waited + 30:
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        break
    time.sleep(0.05)
else:
    os.kill(child, signal.SIGKILL)
    raise SystemExit("the child hangs")
assert torch.get_num_threads() == 2
raise SystemExit(os.waitstatus_to_exitcode(status))
"""


def test_a_forked_child_predicts_what_its_parent_predicts():
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
