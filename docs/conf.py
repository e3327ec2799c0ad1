"""How `make docs` makes a site of the repository's pages: Sphinx reads their Markdown as it stands."""

project = "mlflow-model-chain"
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
# From the root of the repository, so that the pages' links to its files hold on a host of code and on the site alike.
include_patterns = ["*.md", "docs/**.md", "examples/*/README.md"]
exclude_patterns = [".*", "docs/_build", "models", "scripts", "tests", "model_template"]
root_doc = "docs/index"
html_theme = "furo"
html_title = project
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
