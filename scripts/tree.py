# SPDX-License-Identifier: Apache-2.0
"""tree: the list of files that the checks look at; shared by the check-* scripts beside it."""
import subprocess
import sys
from pathlib import Path


def root():
    """The tree to check: the argument, or the one this script stands in."""
    return Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent


def files(top, *endings):
    """Files that git knows or would add, relative to top; every file where there is no git tree."""
    listed = subprocess.run(["git", "-C", top, "ls-files", "-co", "--exclude-standard"],
                            capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        names = listed.stdout.splitlines()
    else:
        names = [str(p.relative_to(top)) for p in top.rglob("*") if p.is_file()]
    return sorted(n for n in set(names) if n.endswith(endings) and (top / n).is_file())


def finish(name, findings, looked):
    """Print the findings and one closing line; the exit code says whether there were any."""
    for finding in findings:
        print(finding)
    print(f"{name}: {looked} files, {len(findings)} findings")
    sys.exit(1 if findings else 0)
