"""Rewrites requirements.lock: the newest versions that pyproject.toml's ranges resolve to, as a constraints file.

Asks pip for a fresh resolution without installing anything. Versions only: where they come from is pip's own
configuration.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HEAD = """\
# The versions that vlprompt is tested with, the extra `dev` included: pip install -c requirements.lock -e '.[dev]'
# Resolved for Python 3.11 on Linux x86-64 by `make lock`; the nvidia-* and cuda-* ones are torch's companions there.
"""


def resolve(repository: Path) -> list[str]:
    """`name==version` of everything that the package with its extra `dev` needs, sorted by name."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        subprocess.run([*command, "--report", str(report), "-e", f"{repository}[dev]"], check=True)
        installs = json.loads(report.read_text())["install"]
    pins = {item["metadata"]["name"]: item["metadata"]["version"] for item in installs}
    pins.pop("vlprompt")
    # A local label such as +cpu names a build that only one index has.
    return sorted((f"{name}=={version.split('+')[0]}" for name, version in pins.items()), key=str.lower)


if __name__ == "__main__":
    root = Path(__file__).resolve().parent.parent
    (root / "requirements.lock").write_text(HEAD + "\n".join(resolve(root)) + "\n")
