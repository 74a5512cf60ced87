"""DVC's own command line, in which a text of YAML is parsed once a process.

DVC 3.67 reads params.yaml anew for every stage that it looks at, and dvc.lock for every target: with
this many stages and parameters that is most of what starting it costs. What it does is the same;
`dvc repro` without this module too.
"""

from __future__ import annotations

import copy
import sys
from typing import Any


def remember_yaml() -> None:
    """Replace DVC's parser by one that remembers; whoever changes what it gives changes a copy."""
    from dvc.utils import strictyaml
    from dvc.utils.serialize import _yaml

    parse, known = _yaml.parse_yaml, {}

    def parse_once(text: str, path: str, typ: str = "safe") -> Any:
        if typ != "safe":  # a document with its comments, to be edited and written back
            return parse(text, path, typ)
        if text not in known:
            known[text] = parse(text, path, typ)
        return copy.deepcopy(known[text])

    _yaml.parse_yaml = strictyaml.parse_yaml = parse_once


def main() -> int:
    from dvc.cli import main as dvc

    remember_yaml()
    return dvc(sys.argv[1:]) or 0


if __name__ == "__main__":
    sys.exit(main())
