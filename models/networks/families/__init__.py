"""The families of networks: one file each, registered by its decorator.

A file here names the family's sizes, builds its parts, lists them for a trace, reads the
checkpoints of other code bases and says which firing rates are published for it. Nothing else in
the product knows a family by name. `--help` lists families, so a file imports torch only where it
builds something.
"""

from __future__ import annotations

from models.networks.families.base import FAMILIES as FAMILIES
from models.networks.families.base import Family as Family

for _name in FAMILIES.names():
    FAMILIES.named(_name)
