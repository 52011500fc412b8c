"""Build the wheel, install it alone in a clean venv, and play the scenarios of python_client.py there."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
UV = Path(sys.executable).parent / "uv"


def constraints() -> str:
    """The versions of the lock: what the client needs is installed as it was tested."""
    pinned = re.findall(r"^[\w.-]+==[^ ;\\]+", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
    return "\n".join(pinned)


def main() -> int:
    """The exit code of the scenarios."""
    with tempfile.TemporaryDirectory(prefix="cloneservice-wheel-") as folder:
        scratch = Path(folder)
        (scratch / "constraints.txt").write_text(constraints(), encoding="utf-8")
        python = scratch / "venv" / "bin" / "python"
        build = ["build", "--wheel", "--no-build-isolation", "--python", sys.executable, "-o", str(scratch), str(ROOT)]
        subprocess.run([UV, "--quiet", *build], check=True)
        (wheel,) = scratch.glob("cloneservice-*.whl")
        subprocess.run([UV, "--quiet", "venv", "--python", sys.executable, scratch / "venv"], check=True)
        install = ["pip", "install", "--python", str(python), "-c", str(scratch / "constraints.txt"), str(wheel)]
        subprocess.run([UV, "--quiet", *install], check=True)
        return subprocess.run([python, HERE / "python_client.py"], cwd=scratch, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
