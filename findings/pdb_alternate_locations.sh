#!/usr/bin/env bash
# Five readers of one PDB file give four answers where an atom has two places.
#
# Versions:  biopython 1.88, biotite 1.6.0, mdtraj 1.11.1.post2, MDAnalysis 2.11.0, gemmi 0.7.5, Python 3.11
# Behaviour: for an atom with alternate locations A (occupancy 0.4) and B (0.6): Biopython keeps B, the more occupied; biotite and mdtraj keep A,
#            the first; MDAnalysis and gemmi keep both, so the number of atoms differs, too.
# Why it matters: features of a structure (distances, contact maps, counts of atoms) depend on the library that read it; crystal
#            structures with alternate side chains are common.
# Output seen (x of the C alpha atom, in angstrom):
#   Biopython [2.0]
#   biotite [1.0]
#   mdtraj [1.0]
#   MDAnalysis [1.0, 2.0]
#   gemmi [1.0, 2.0]
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python \
    biopython==1.88 biotite==1.6.0 mdtraj==1.11.1.post2 MDAnalysis==2.11.0 gemmi==0.7.5
cat > residue.pdb <<'PDB'
ATOM      1  N   SER A   1       0.000   0.000   0.000  1.00 10.00           N
ATOM      2  CA ASER A   1       1.000   0.000   0.000  0.40 10.00           C
ATOM      3  CA BSER A   1       2.000   0.000   0.000  0.60 10.00           C
ATOM      4  C   SER A   1       3.000   0.000   0.000  1.00 10.00           C
END
PDB
venv/bin/python -W ignore - <<'PYTHON' | tee seen
import biotite.structure.io.pdb as biotite_pdb
import gemmi
import MDAnalysis
import mdtraj
from Bio.PDB import PDBParser

FILE = "residue.pdb"
atoms = PDBParser(QUIET=True).get_structure("", FILE).get_atoms()
print("Biopython", [float(atom.coord[0]) for atom in atoms if atom.name == "CA"])
atoms = biotite_pdb.PDBFile.read(FILE).get_structure(model=1)
print("biotite", atoms.coord[atoms.atom_name == "CA", 0].tolist())
trajectory = mdtraj.load(FILE)
print("mdtraj", [round(float(trajectory.xyz[0, i, 0]) * 10, 3) for i in trajectory.topology.select("name CA")])
print("MDAnalysis", MDAnalysis.Universe(FILE).select_atoms("name CA").positions[:, 0].tolist())
print("gemmi", [atom.pos.x for chain in gemmi.read_structure(FILE)[0] for one in chain for atom in one if atom.name == "CA"])
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
Biopython [2.0]
biotite [1.0]
mdtraj [1.0]
MDAnalysis [1.0, 2.0]
gemmi [1.0, 2.0]
EXPECTED
