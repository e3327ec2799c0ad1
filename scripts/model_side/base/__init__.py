"""What every room needs: errors, files, processes, redaction, tracebacks."""
