# SPDX-License-Identifier: Apache-2.0
"""The house rules' own checks must find what they are there for: each gets a small bad tree."""
import subprocess

import pytest

from lib import host

MESON = "folders = ['base', 'kernel', 'image', 'task', 'object', 'archive']\n"
HEAD = "// SPDX-License-Identifier: Apache-2.0\n/* story */\n"


def check(name, top):
    done = subprocess.run([host.TOP / "scripts" / f"check-{name}", top], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.fixture
def tree(tmp_path):
    """A tree in which every check is content; bad() adds one file."""
    (tmp_path / "meson.build").write_text(MESON)
    (tmp_path / ".clang-format").write_text((host.TOP / ".clang-format").read_text())

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return tmp_path

    write("src/base/a.h", "/* SPDX-License-Identifier: Apache-2.0 */\n/*\n * a: story.\n */\n#pragma once\n")
    write("src/base/a.c", HEAD + '#include "base/a.h"\n')
    write("src/kernel/k.h", "/* SPDX-License-Identifier: Apache-2.0 */\n/* k: story */\n#pragma once\n")
    write("src/object/o.c", HEAD + '#include "base/a.h"\n#include "kernel/k.h"\n')
    return write


def test_good_tree(tree):
    top = tree("src/task/t.c", HEAD + '#include "base/a.h"\n/* ptrace(2) is only named here */\n')
    for name in ("layers", "sizes", "format"):
        assert check(name, top)[0] == 0, check(name, top)[1]


@pytest.mark.parametrize("name, text, finding", [
    ("src/base/x.c", '#include "kernel/k.h"\n', "comes after it"),
    ("src/archive/x.c", '#include "kernel/k.h"\n', "offline"),
    ("src/image/x.c", '#include "kernel/k.h"\n', "offline"),
    ("src/kernel/x.c", '#include "a.h"\n', "does not name its folder"),
    ("src/kernel/x.c", '#include "nowhere/a.h"\n', "not a folder"),
    ("src/shed/x.c", "int x;\n", "not listed"),
    ("src/object/x.c", "int f(void)\n{\n\treturn ptrace(0, 0, 0, 0);\n}\n", "ptrace"),
])
def test_layers(tree, name, text, finding):
    code, out = check("layers", tree(name, HEAD + text))
    assert code == 1 and finding in out


def test_ring(tree):
    tree("src/base/p.h", '#include "base/q.h"\n')
    tree("src/base/q.h", '#include "base/r.h"\n')
    top = tree("src/base/r.h", '/* #include "base/p.h" */\n')
    assert check("layers", top)[0] == 0
    tree("src/base/r.c", '#include "base/p.h"\n')
    code, out = check("layers", top)
    assert code == 1 and "ring: base/p base/q base/r" in out


@pytest.mark.parametrize("name, text, finding", [
    ("src/base/x.c", "\n" * 600, "limit is 600"),
    ("src/base/x.h", "\n" * 201, "limit is 200"),
    ("src/base/x.c", "int f(void)\n{\n" + "\tg();\n" * 79 + "}\n", "limit is 80"),
    ("tests/x.py", "\n" * 601, "limit is 600"),
])
def test_sizes(tree, name, text, finding):
    code, out = check("sizes", tree(name, HEAD + text))
    assert code == 1 and finding in out


@pytest.mark.parametrize("name, text, finding", [
    ("src/base/x.c", "int x;\n", "does not open with"),
    ("src/base/x.c", "// SPDX-License-Identifier: Apache-2.0\nint x;\n", "no comment"),
    ("src/base/x.c", HEAD + "int  x;\n", "clang-format"),
    ("tests/x.py", "import os\n", "does not open with"),
    ("scripts/x", "#!/bin/sh\necho\n", "does not open with"),
])
def test_format(tree, name, text, finding):
    code, out = check("format", tree(name, text))
    assert code == 1 and finding in out
