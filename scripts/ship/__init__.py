"""What a verified package is shipped with: a report, a model card, a bill of materials, all from the same facts."""
