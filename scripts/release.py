"""Cut a release of the template: `make release VERSION=X.Y.Z`.

Packs copier.yml, changes.yml and template/ into src/fastperf_new/releases/X.Y.Z.zip, enters its
hash into the ledger, empties changes.yml for the next release, commits all of it and tags the
commit vX.Y.Z. A release never changes again.
"""

import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.version import Version

from fastperf_new import changes, releases
from fastperf_new.errors import RefusedError

ROOT = Path(__file__).parent.parent


def cut(version: str) -> None:
    """Cut a release.

    Raises:
        SystemExit: when the version is not a new one, or the checkout is not ready for it.
    """
    ledger = releases.read_ledger()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if project["version"] != version:
        sys.exit(f"error: pyproject.toml says {project['version']}, not {version}.")
    if f"## [{version}]" not in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"):
        sys.exit(f"error: CHANGELOG.md has no section for {version}.")
    if any(Version(version) <= Version(released) for released in ledger):
        sys.exit(f"error: {version} is not newer than {list(ledger)[-1]}.")
    if _git("status", "--porcelain"):
        sys.exit("error: there are changes that are not committed.")

    content = releases.pack(ROOT)
    try:
        complaints = releases.complaints(releases.Release(version, content))
    except RefusedError as error:
        complaints = [str(error)]
    if complaints:
        sys.exit("\n".join(["error: changes.yml is not right:", *complaints]))
    (releases.FOLDER / f"{version}.zip").write_bytes(content)
    ledger[version] = hashlib.sha256(content).hexdigest()
    releases.LEDGER.write_text(json.dumps(ledger, indent=2) + "\n", encoding="utf-8")
    (ROOT / changes.FILE).write_text(changes.EMPTY, encoding="utf-8")
    _git("add", "--all", releases.FOLDER, changes.FILE)
    _git("commit", "--quiet", "-m", f"Release {version} of the template")
    _git("tag", "-a", f"v{version}", "-m", f"Release {version}")


def _git(*arguments: str | Path) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


if __name__ == "__main__":
    cut(sys.argv[1])
