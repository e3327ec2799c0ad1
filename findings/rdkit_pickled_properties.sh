#!/usr/bin/env bash
# A molecule of RDKit loses its name and its measured values on the way to another process.
#
# Versions:  rdkit 2026.9.1, numpy 2.4.6, Python 3.11
# Behaviour: pickling leaves out what SetProp stored, and the name in _Name, by default; copy.deepcopy keeps both. What crosses
#            a process (multiprocessing, joblib) is pickled. Chem.SetDefaultPickleProperties(AllProps) keeps them.
# Why it matters: the same function gives other answers when it is mapped over processes; identifiers read from an SDF file are gone
#            when predictions are to be joined with them.
# Output seen:
#   here: {'_Name': 'ethanol', 'pIC50': '7.1'}
#   deepcopy: {'_Name': 'ethanol', 'pIC50': '7.1'}
#   in another process: {}
#   with AllProps: {'_Name': 'ethanol', 'pIC50': '7.1'}
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python rdkit==2026.9.1 numpy==2.4.6
venv/bin/python - <<'PYTHON' 2>&1 | tee seen
import copy
from concurrent.futures import ProcessPoolExecutor
from rdkit import Chem


def properties(molecule):
    return {name: molecule.GetProp(name) for name in ("_Name", "pIC50") if molecule.HasProp(name)}


molecule = Chem.MolFromSmiles("CCO")
molecule.SetProp("_Name", "ethanol")
molecule.SetProp("pIC50", "7.1")
print("here:", properties(molecule))
print("deepcopy:", properties(copy.deepcopy(molecule)), flush=True)
with ProcessPoolExecutor(1) as pool:
    print("in another process:", pool.submit(properties, molecule).result())
    Chem.SetDefaultPickleProperties(Chem.PropertyPickleOptions.AllProps)
    print("with AllProps:", pool.submit(properties, molecule).result())
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
here: {'_Name': 'ethanol', 'pIC50': '7.1'}
deepcopy: {'_Name': 'ethanol', 'pIC50': '7.1'}
in another process: {}
with AllProps: {'_Name': 'ethanol', 'pIC50': '7.1'}
EXPECTED
