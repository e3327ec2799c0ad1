#!/usr/bin/env bash
# scikit-bio and Biopython read other names from one Newick tree.
#
# Versions:  scikit-bio 0.7.4, biopython 1.88, numpy 2.4.6, Python 3.11
# Behaviour: by the format's rules an underscore in a name without quotes is a space. scikit-bio follows that, Biopython keeps
#            the underscore. A name that needs quotes is the same in both. convert_underscores=False makes
#            scikit-bio keep it.
# Why it matters: the names of tips are matched with columns of a table or records of an alignment, which say Homo_sapiens: with one
#            library all match, with the other none do, or only those without an underscore.
# Output seen:
#   Biopython  ['Homo_sapiens', 'yeast', 'E. coli']
#   scikit-bio ['Homo sapiens', 'yeast', 'E. coli']
#   in the table: 3 and 2
#   convert_underscores=False ['Homo_sapiens', 'yeast', 'E. coli']
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python scikit-bio==0.7.4 biopython==1.88 numpy==2.4.6
venv/bin/python - <<'PYTHON' 2>&1 | tee seen
import io
from Bio import Phylo
from skbio import TreeNode

text, table = "((Homo_sapiens:1,yeast:2):1,'E. coli':3);", {"Homo_sapiens", "yeast", "E. coli"}
biopython = [tip.name for tip in Phylo.read(io.StringIO(text), "newick").get_terminals()]
skbio = [tip.name for tip in TreeNode.read(io.StringIO(text)).tips()]
print("Biopython ", biopython)
print("scikit-bio", skbio)
print("in the table:", len(table & set(biopython)), "and", len(table & set(skbio)))
kept = TreeNode.read(io.StringIO(text), format="newick", convert_underscores=False)
print("convert_underscores=False", [tip.name for tip in kept.tips()])
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
Biopython  ['Homo_sapiens', 'yeast', 'E. coli']
scikit-bio ['Homo sapiens', 'yeast', 'E. coli']
in the table: 3 and 2
convert_underscores=False ['Homo_sapiens', 'yeast', 'E. coli']
EXPECTED
