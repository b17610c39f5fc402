"""Looks for known vulnerabilities of what is locked, with pip-audit. Ends with 1 if there is one.

Where no vulnerability service can be reached that is said, and it ends with 0: one can work without network.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-cuda.lock")
_UNREACHABLE = re.compile(r"requests\.exceptions\.\w+|Could not connect|ServiceError")


def main(arguments: list[str]) -> int:
    """:param arguments: for pip-audit, such as ``--vulnerability-service osv``."""
    locks = [part for lock in LOCKS for part in ("--requirement", lock)]
    wanted = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json", "--desc", "off"]
    command = [sys.executable, "-m", "pip_audit", *locks, *wanted, *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    try:
        packages = json.loads(ended.stdout)["dependencies"]
    except ValueError:  # it stopped before it had looked at all of them
        unreachable = _UNREACHABLE.search(ended.stderr)
        if unreachable is None:
            print(ended.stderr, file=sys.stderr)
            return 1
        print(f"No vulnerability service can be reached ({unreachable[0]}): nothing was checked.", file=sys.stderr)
        return 0
    found = [(package, known) for package in packages for known in package.get("vulns", ())]
    for package, known in found:
        mended = ", ".join(known["fix_versions"]) or "none yet"
        print(f"{package['name']} {package['version']}: {known['id']}, mended in: {mended}", file=sys.stderr)
    unknown = sum("skip_reason" in package for package in packages)
    if unknown == len(packages):
        print("The vulnerability service knows none of the locked packages: nothing was checked.", file=sys.stderr)
    else:
        print(f"{len(packages) - unknown} of {len(packages)} locked packages were checked.", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
