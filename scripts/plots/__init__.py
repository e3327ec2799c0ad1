"""Plots as SVG, for pages of any colour and as files of their own, drawn by matplotlib."""
