"""Write the catalogue's manifests: ``python models/catalogue FACTS.json``.

FACTS.json is a list of records, one for each public file: stem, sha256, size, addresses, inputs,
outputs, preprocessing, published accuracy, licence. ``networks.py`` says which of them the
catalogue has, and under which name.
"""

import argparse
import json
import sys
from pathlib import Path

from fill import manifest
from networks import CATALOGUE

from cnntool.nets.manifest import manifest_text, read_manifest

parser = argparse.ArgumentParser(description="Write the catalogue's manifests.")
parser.add_argument("facts", type=Path, metavar="FACTS.json")
parser.add_argument(
    "--into", type=Path, default=Path(__file__).parents[1], metavar="FOLDER", help="[models]"
)
arguments = parser.parse_args()
facts = {one["stem"]: one for one in json.loads(arguments.facts.read_text(encoding="utf-8"))}
for name, row in CATALOGUE.items():
    spec = manifest(name, row, facts[row.stem])
    path = arguments.into / f"{name}.toml"
    path.write_text(manifest_text(spec), encoding="utf-8")
    if read_manifest(path)._replace(labels=None, manifest=None) != spec:
        sys.exit(f"{path} does not say what was meant")
