"""What a verified package is shipped with: a report, a model card, a bill of materials, all from the same facts."""

# What each step behind the proof makes, in the package.
MADE = {"report": "report.html", "card": "model_card/README.md", "sbom": "sbom.cdx.json"}
ENVELOPE = "envelope.json"  # what `batch --envelope` leaves there for the report
