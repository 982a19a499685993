"""Make networks with real frameworks, export them, and note which tensor is which module's.

See README.md. ``python make.py --zoo DIR [NAME...]``; without names all of them.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from oracle import write_record

def main() -> None:
    """Make what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zoo", type=Path, required=True, help="where the networks go")
    parser.add_argument("--again", action="store_true", help="make those too that are there")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    import networks_torch as framework
    for name in given.names or framework.names():
        if not given.again and len(list(given.zoo.glob(f"{name}.*.json"))) > 1:
            continue
        try:
            model, picture = framework.build(name)
            calls = framework.observe(model, picture)
            for path, layouts in framework.exports(model, picture, given.zoo, name):
                write_record(path, picture.numpy(), calls, layouts=layouts)
                print(path.name, flush=True)
        except Exception as error:
            print(f"{name}: {error!r}"[:1000], flush=True)


if __name__ == "__main__":
    main()
